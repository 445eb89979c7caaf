//! Backends where a laptop has them, for a start without any configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloud_native_mcp::backends::{Backends, Config as BackendsConfig, Instances};
use cloud_native_mcp::backends::{kubernetes, rest};
use cloud_native_mcp::call::Context;
use cloud_native_mcp::caller::{Caller, Effect};
use cloud_native_mcp::config::Config;
use futures_util::future::join3;

/// What those found are called.
const NAME: &str = "local";

/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A place that was looked at.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What might be there.
    pub(crate) service: &'static str,
    /// Where.
    pub(crate) address: String,
    /// Its version; none where nothing answered.
    pub(crate) version: Option<String>,
}

/// Looks at the usual ports, and configures what answers there.
pub(crate) async fn look(config: &mut Config) -> Vec<Looked> {
    let prometheus = "http://127.0.0.1:9090".to_owned();
    let alertmanager = "http://127.0.0.1:9093".to_owned();
    let candidates = BackendsConfig {
        prometheus: instance(&prometheus),
        alertmanager: instance(&alertmanager),
        kubernetes: kubeconfig().map(cluster).unwrap_or_default(),
        web: config.backends.web.clone(),
    };
    // A kubeconfig that cannot be used leaves the others as they are.
    let candidates = match Backends::new(&candidates) {
        Ok(_) => candidates,
        Err(_) => BackendsConfig { kubernetes: kubernetes::Config::default(), ..candidates },
    };
    let Ok(backends) = Backends::new(&candidates) else { return Vec::new() };
    let context = Context::detached(Arc::new(Caller::local(Effect::Read)), PATIENCE);
    let version = async |service: &str| backends.version(service, NAME, &context).await.ok().flatten();
    let (cluster, metrics, alerts) = join3(version("kubernetes"), version("prometheus"), version("alertmanager")).await;
    let api_server = backends
        .configured()
        .find(|(service, _)| *service == "kubernetes")
        .and_then(|(_, clusters)| clusters.addresses().next().map(|(_, address)| address.to_owned()));
    if cluster.is_some() {
        config.backends.kubernetes = candidates.kubernetes;
    }
    if metrics.is_some() {
        config.backends.prometheus = candidates.prometheus;
    }
    if alerts.is_some() {
        config.backends.alertmanager = candidates.alertmanager;
    }
    vec![
        Looked {
            service: "kubernetes",
            address: api_server.unwrap_or_else(|| "no kubeconfig".into()),
            version: cluster,
        },
        Looked { service: "prometheus", address: prometheus, version: metrics },
        Looked { service: "alertmanager", address: alertmanager, version: alerts },
    ]
}

/// The file with which kubectl would work: the first that exists of `KUBECONFIG`, or else `~/.kube/config`.
fn kubeconfig() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    std::env::split_paths(&named).chain(home.filter(|_| named.is_empty())).find(|file| file.is_file())
}

fn cluster(kubeconfig: PathBuf) -> kubernetes::Config {
    let config = kubernetes::ClusterConfig { kubeconfig: Some(kubeconfig), ..kubernetes::ClusterConfig::default() };
    kubernetes::Config { clusters: [(NAME.to_owned(), config)].into(), ..kubernetes::Config::default() }
}

fn instance(url: &str) -> Instances {
    let config = rest::Config { url: url.to_owned(), ..rest::Config::default() };
    Instances { default: None, instances: [(NAME.to_owned(), config)].into() }
}
