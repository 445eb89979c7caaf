//! The systems that tools talk to, one client each.

mod alertmanager;
mod breaker;
mod prometheus;
pub mod rest;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use alertmanager::Alertmanager;
pub use breaker::Turns;
pub use prometheus::Prometheus;
pub use web::{Page, Web};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::yaml::join;

/// The backends of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
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
    web: Arc<web::Fetcher>,
    turns: Turns,
}

/// The clients of one service.
#[derive(Debug)]
pub struct Service {
    default: Option<String>,
    instances: BTreeMap<String, rest::Shared>,
}

impl Backends {
    /// Makes all clients; connects to nothing.
    ///
    /// # Errors
    /// Every mistake, as path of the key and a sentence.
    pub fn new(config: &Config) -> Result<Self, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let turns = Turns::new(tokio::sync::watch::Sender::new(()));
        let services = [
            ("prometheus", &config.prometheus, prometheus::message as rest::Dialect),
            ("alertmanager", &config.alertmanager, alertmanager::message),
        ]
        .into_iter()
        .map(|(service, instances, dialect)| {
            (service, Service::new(service, instances, dialect, &turns, &mut mistakes))
        })
        .collect();
        let web = web::Fetcher::new(&config.web).map_err(|found| mistakes.extend(found));
        match web {
            Ok(web) if mistakes.is_empty() => Ok(Self { services, web: Arc::new(web), turns }),
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

    fn client(&self, service: &str, instance: Option<&str>) -> Result<rest::Shared> {
        let found = self.services.get(service).ok_or_else(|| Error::internal(format!("no service {service}")))?;
        found.client(service, instance)
    }

    /// A handle on one Prometheus.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when there is no such instance, or none was named and there are several.
    pub fn prometheus(&self, instance: Option<&str>, context: &Context) -> Result<Prometheus> {
        Ok(Prometheus::new(self.client("prometheus", instance)?, context.clone()))
    }

    /// A handle on one Alertmanager.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when there is no such instance, or none was named and there are several.
    pub fn alertmanager(&self, instance: Option<&str>, context: &Context) -> Result<Alertmanager> {
        Ok(Alertmanager::new(self.client("alertmanager", instance)?, context.clone()))
    }

    /// The version that an instance tells of itself, which proves address and credentials.
    ///
    /// # Errors
    /// What keeps it from answering.
    pub async fn version(&self, service: &str, instance: &str, context: &Context) -> Result<Option<String>> {
        let (answer, pointer): (Value, &str) = match service {
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
    fn new(
        service: &str,
        config: &Instances,
        dialect: rest::Dialect,
        turns: &Turns,
        mistakes: &mut Vec<(String, String)>,
    ) -> Self {
        let mut instances = BTreeMap::new();
        for (name, config) in &config.instances {
            let path = format!("backends.{service}.instances.{name}");
            if name.is_empty()
                || name == "*"
                || name.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            {
                mistakes.push((path.clone(), format!("`{name}` is not a name; use letters, digits, `-`, `_` and `.`")));
            }
            match rest::Rest::new(format!("{service}/{name}"), config, dialect, turns.clone()) {
                Ok(client) => {
                    instances.insert(name.clone(), Arc::new(client));
                }
                Err(found) => mistakes.extend(found.into_iter().map(|(key, message)| (join(&path, &key), message))),
            }
        }
        if let Some(default) = &config.default
            && !config.instances.contains_key(default)
        {
            let names: Vec<&str> = config.instances.keys().map(String::as_str).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("there is no instance `{default}`; configured: {names}");
            mistakes.push((format!("backends.{service}.default"), message));
        }
        Self { default: config.default.clone(), instances }
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
    pub fn clients(&self) -> impl Iterator<Item = (&str, &rest::Rest)> {
        self.instances.iter().map(|(name, client)| (name.as_str(), client.as_ref()))
    }

    /// All instances with their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instances.iter().map(|(name, client)| (name.as_str(), client.address()))
    }

    fn client(&self, service: &str, instance: Option<&str>) -> Result<rest::Shared> {
        let names = || self.instances.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.instances.is_empty() {
            return Err(Error::NotFound(format!(
                "no {service} is configured here; an operator adds one under `backends.{service}.instances`"
            )));
        }
        let name = instance.or_else(|| self.default_name()).ok_or_else(|| {
            Error::BadArguments(format!("instance: say which one, there is no default; configured: {}", names()))
        })?;
        self.instances.get(name).cloned().ok_or_else(|| {
            Error::BadArguments(format!(
                "instance: there is no {service} `{}`; configured: {}",
                name.escape_debug(),
                names()
            ))
        })
    }
}
