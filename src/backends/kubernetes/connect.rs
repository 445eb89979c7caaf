//! Credentials and addresses, as a kubeconfig or the service account of a pod has them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::cluster::{Cluster, Config};
use crate::answers::redact::without_credentials;
use crate::error::{Error, Result};

/// How often credentials that are refused are read again.
const RENEWED_AFTER: Duration = Duration::from_secs(10);

/// The client that all calls share, once there is one.
#[derive(Default)]
pub(super) struct Connection {
    /// Held while credentials are read, which a plugin may take long to give: nobody asks it twice.
    begun: tokio::sync::Mutex<Option<JoinHandle<Result<kube::Client, String>>>>,
    made: Mutex<Option<(Instant, kube::Client)>>,
}

impl Connection {
    fn made(&self) -> MutexGuard<'_, Option<(Instant, kube::Client)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// The client, with the credentials of the configuration.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the credentials cannot be read.
    pub async fn client(&self) -> Result<kube::Client> {
        if let Some((_, client)) = &*self.client.made() {
            return Ok(client.clone());
        }
        let mut begun = self.client.begun.lock().await;
        if let Some((_, client)) = &*self.client.made() {
            return Ok(client.clone());
        }
        let config = self.config.clone();
        let runtime = Handle::current();
        // Plugins for credentials are programs, which are waited for.
        let reading =
            begun.get_or_insert_with(|| tokio::task::spawn_blocking(move || runtime.block_on(connect(&config))));
        let read = reading.await;
        *begun = None;
        let client = read.map_err(Error::internal)?.map_err(|reason| {
            Error::Unavailable(format!(
                "kubernetes/{}: its credentials cannot be used ({}); an operator mends `backends.kubernetes.clusters.{}`",
                self.name,
                without_credentials(&reason),
                self.name
            ))
        })?;
        *self.client.made() = Some((Instant::now(), client.clone()));
        Ok(client)
    }

    /// Forgets the client whose credentials are refused, so that they are read again; false where that was done a moment
    /// ago.
    pub(super) fn forget_client(&self) -> bool {
        self.client.made().take_if(|(made, _)| made.elapsed() >= RENEWED_AFTER).is_some()
    }
}

async fn connect(config: &Config) -> Result<kube::Client, String> {
    let mut connection = match &config.kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file).map_err(|error| error.to_string())?;
            let options = KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
            let read = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
            read.map_err(|error| error.to_string())?
        }
        None => kube::Config::incluster().map_err(|error| error.to_string())?,
    };
    // Nobody is there to answer a plugin, and standard input may be where requests come from.
    if let Some(plugin) = &mut connection.auth_info.exec {
        plugin.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    // Calls have their own deadlines and retries; a watch may be silent for long.
    connection.connect_timeout = Some(Duration::from_secs(5));
    connection.read_timeout = None;
    connection.write_timeout = Some(Duration::from_secs(30));
    connection.default_retry = false;
    kube::Client::try_from(connection).map_err(|error| error.to_string())
}

/// The address that a kubeconfig names for its context.
pub(super) fn address(config: &Config) -> Result<String, (&'static str, String)> {
    let Some(file) = &config.kubeconfig else { return Ok(String::new()) };
    let kubeconfig = Kubeconfig::read_from(file)
        .map_err(|error| ("kubeconfig", format!("{} cannot be read: {}", file.display(), innermost(&error))))?;
    let Some(name) = config.context.as_ref().or(kubeconfig.current_context.as_ref()) else {
        return Err(("context", format!("needed, since {} has no current one", file.display())));
    };
    let names: Vec<_> = kubeconfig.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
    let missing = || ("context", format!("{} has no `{name}`; it has {}", file.display(), names.join(", ")));
    let context = kubeconfig.contexts.iter().find(|context| &context.name == name).ok_or_else(missing)?;
    let wanted = context.context.as_ref().map(|context| context.cluster.as_str()).unwrap_or_default();
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == wanted);
    let server = cluster.and_then(|cluster| cluster.cluster.as_ref()?.server.clone());
    server.ok_or_else(|| ("kubeconfig", format!("{} has no address for the cluster `{wanted}`", file.display())))
}

pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
