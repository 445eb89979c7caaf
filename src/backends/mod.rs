//! The systems that tools talk to, one client each.

mod alertmanager;
mod body;
mod breaker;
pub mod kubernetes;
mod prometheus;
pub mod rest;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use alertmanager::Alertmanager;
pub use breaker::Turns;
pub use kubernetes::Kubernetes;
pub use prometheus::Prometheus;
pub use web::{Page, Web};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::yaml::join;

/// The backends of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kubernetes clusters.
    pub kubernetes: kubernetes::Config,
    /// Prometheus, and what speaks its query API: Thanos, Mimir, VictoriaMetrics.
    pub prometheus: Instances,
    /// Alertmanager.
    pub alertmanager: Instances,
    /// Public web pages.
    pub web: web::Config,
}

/// The instances of one kind of backend.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Instances {
    /// The instance that is asked when a call names none; needless where there is only one.
    pub default: Option<String>,
    /// How to reach each, by the name that calls use.
    pub instances: BTreeMap<String, rest::Config>,
}

/// Clients for all configured backends.
#[derive(Debug)]
pub struct Backends {
    services: BTreeMap<&'static str, Service>,
    permitted: Arc<kubernetes::Permitted>,
    web: Arc<web::Fetcher>,
    turns: Turns,
}

/// The clients of one service.
#[derive(Debug)]
pub struct Service {
    default: Option<String>,
    /// What one of them is called: instance or cluster.
    noun: &'static str,
    instances: BTreeMap<String, Client>,
}

/// The client of one instance.
#[derive(Clone, Debug)]
pub enum Client {
    /// Of a service that speaks JSON over HTTP.
    Rest(rest::Shared),
    /// Of a Kubernetes cluster.
    Cluster(Arc<kubernetes::Cluster>),
}

impl Client {
    /// Its address, which never has credentials in it.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Rest(client) => client.address(),
            Self::Cluster(cluster) => cluster.address(),
        }
    }

    /// Why it is left alone, while it is.
    #[must_use]
    pub fn left_alone(&self) -> Option<String> {
        match self {
            Self::Rest(client) => client.left_alone(),
            Self::Cluster(cluster) => cluster.left_alone(),
        }
    }
}

impl Backends {
    /// Makes all clients; connects to nothing.
    ///
    /// # Errors
    /// Every mistake, as path of the key and a sentence.
    pub fn new(config: &Config) -> Result<Self, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let turns = Turns::new(tokio::sync::watch::Sender::new(()));
        let rest = [
            ("prometheus", &config.prometheus, prometheus::message as rest::Dialect),
            ("alertmanager", &config.alertmanager, alertmanager::message),
        ];
        let mut services = BTreeMap::new();
        for (service, Instances { default, instances }, dialect) in rest {
            let open = |name: &str, config: &rest::Config| {
                let client = rest::Rest::new(format!("{service}/{name}"), config, dialect, turns.clone())?;
                Ok(Client::Rest(Arc::new(client)))
            };
            services
                .insert(service, Service::new(service, "instance", default.as_ref(), instances, open, &mut mistakes));
        }
        let kubernetes::Config { default, clusters, .. } = &config.kubernetes;
        let open = |name: &str, config: &kubernetes::ClusterConfig| {
            Ok(Client::Cluster(Arc::new(kubernetes::Cluster::new(name, config, turns.clone())?)))
        };
        let clusters = Service::new("kubernetes", "cluster", default.as_ref(), clusters, open, &mut mistakes);
        services.insert("kubernetes", clusters);
        let permitted = kubernetes::Permitted::new(&config.kubernetes).map_err(|found| {
            mistakes.extend(found.into_iter().map(|(key, mistake)| (join("backends.kubernetes", &key), mistake)));
        });
        let web = web::Fetcher::new(&config.web).map_err(|found| mistakes.extend(found));
        match (web, permitted) {
            (Ok(web), Ok(permitted)) if mistakes.is_empty() => {
                Ok(Self { services, permitted: Arc::new(permitted), web: Arc::new(web), turns })
            }
            _ => Err(mistakes),
        }
    }

    /// The services that have at least one instance, with their clients.
    pub fn configured(&self) -> impl Iterator<Item = (&'static str, &Service)> {
        self.services
            .iter()
            .filter(|(_, service)| !service.instances.is_empty())
            .map(|(name, service)| (*name, service))
    }

    /// Changes whenever an instance is left alone because it keeps failing, or is asked again.
    #[must_use]
    pub fn turns(&self) -> tokio::sync::watch::Receiver<()> {
        self.turns.subscribe()
    }

    /// Whether a service can be used at all.
    #[must_use]
    pub fn has(&self, service: &str) -> bool {
        match self.services.get(service) {
            Some(service) => !service.instances.is_empty(),
            None => service == "web" && self.web.allows_any(),
        }
    }

    /// The names of a service's instances.
    #[must_use]
    pub fn names(&self, service: &str) -> Vec<String> {
        self.services.get(service).map(|service| service.instances.keys().cloned().collect()).unwrap_or_default()
    }

    fn client(&self, service: &str, instance: Option<&str>) -> Result<&Client> {
        let found = self.services.get(service).ok_or_else(|| Error::internal(format!("no service {service}")))?;
        found.client(service, instance)
    }

    fn rest(&self, service: &str, instance: Option<&str>) -> Result<rest::Shared> {
        match self.client(service, instance)? {
            Client::Rest(client) => Ok(client.clone()),
            Client::Cluster(_) => Err(Error::internal(format!("{service} is a cluster"))),
        }
    }

    /// A handle on one Kubernetes cluster.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when there is no such cluster, or none was named and there are several.
    pub fn kubernetes(&self, cluster: Option<&str>, context: &Context) -> Result<Kubernetes> {
        match self.client("kubernetes", cluster)? {
            Client::Cluster(cluster) => Ok(Kubernetes::new(cluster.clone(), self.permitted.clone(), context.clone())),
            Client::Rest(_) => Err(Error::internal("a cluster is none")),
        }
    }

    /// A handle on one Prometheus.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when there is no such instance, or none was named and there are several.
    pub fn prometheus(&self, instance: Option<&str>, context: &Context) -> Result<Prometheus> {
        Ok(Prometheus::new(self.rest("prometheus", instance)?, context.clone()))
    }

    /// A handle on one Alertmanager.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when there is no such instance, or none was named and there are several.
    pub fn alertmanager(&self, instance: Option<&str>, context: &Context) -> Result<Alertmanager> {
        Ok(Alertmanager::new(self.rest("alertmanager", instance)?, context.clone()))
    }

    /// The version that an instance tells of itself, which proves address and credentials.
    ///
    /// # Errors
    /// What keeps it from answering.
    pub async fn version(&self, service: &str, instance: &str, context: &Context) -> Result<Option<String>> {
        let (answer, pointer): (Value, &str) = match service {
            "kubernetes" => {
                let request = kubernetes::Request::get("/version");
                (self.kubernetes(Some(instance), context)?.get(request).await?, "/gitVersion")
            }
            "prometheus" => {
                let request = rest::Request::get("api/v1/status/buildinfo");
                (self.prometheus(Some(instance), context)?.ask(request).await?.data, "/version")
            }
            "alertmanager" => {
                let request = rest::Request::get("api/v2/status");
                (self.alertmanager(Some(instance), context)?.ask(request).await?, "/versionInfo/version")
            }
            _ => return Ok(None),
        };
        Ok(answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned))
    }

    /// A handle on the public web.
    ///
    /// # Errors
    /// None today.
    pub fn web(&self, context: &Context) -> Result<Web> {
        Ok(Web::new(self.web.clone(), context.clone()))
    }
}

impl Service {
    fn new<C>(
        service: &str,
        noun: &'static str,
        default: Option<&String>,
        configs: &BTreeMap<String, C>,
        open: impl Fn(&str, &C) -> Result<Client, Vec<(String, String)>>,
        mistakes: &mut Vec<(String, String)>,
    ) -> Self {
        let mut instances = BTreeMap::new();
        for (name, config) in configs {
            let path = format!("backends.{service}.{noun}s.{name}");
            if name.is_empty()
                || name == "*"
                || name.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            {
                mistakes.push((path.clone(), format!("`{name}` is not a name; use letters, digits, `-`, `_` and `.`")));
            }
            match open(name, config) {
                Ok(client) => {
                    instances.insert(name.clone(), client);
                }
                Err(found) => mistakes.extend(found.into_iter().map(|(key, message)| (join(&path, &key), message))),
            }
        }
        if let Some(default) = default
            && !configs.contains_key(default)
        {
            let names: Vec<&str> = configs.keys().map(String::as_str).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("there is no {noun} `{default}`; configured: {names}");
            mistakes.push((format!("backends.{service}.default"), message));
        }
        Self { default: default.cloned(), noun, instances }
    }

    /// The instance that is asked when a call names none.
    #[must_use]
    pub fn default_name(&self) -> Option<&str> {
        match (&self.default, self.instances.len()) {
            (Some(default), _) => Some(default),
            (None, 1) => self.instances.keys().next().map(String::as_str),
            (None, _) => None,
        }
    }

    /// All instances, with their clients.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.instances.iter().map(|(name, client)| (name.as_str(), client))
    }

    /// All instances with their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instances.iter().map(|(name, client)| (name.as_str(), client.address()))
    }

    fn client(&self, service: &str, instance: Option<&str>) -> Result<&Client> {
        let noun = self.noun;
        let names = || self.instances.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.instances.is_empty() {
            return Err(Error::NotFound(format!(
                "no {service} is configured here; an operator adds one under `backends.{service}.{noun}s`"
            )));
        }
        let name = instance.or_else(|| self.default_name()).ok_or_else(|| {
            Error::BadArguments(format!("{noun}: say which one, there is no default; configured: {}", names()))
        })?;
        self.instances.get(name).ok_or_else(|| {
            let name = name.escape_debug();
            Error::BadArguments(format!("{noun}: there is no {service} `{name}`; configured: {}", names()))
        })
    }
}
