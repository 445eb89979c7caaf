//! Backends where a laptop has them, for a start without any configuration.

use std::sync::Arc;
use std::time::Duration;

use cloud_native_mcp::backends::rest;
use cloud_native_mcp::backends::{Backends, Config as BackendsConfig, Instances};
use cloud_native_mcp::call::Context;
use cloud_native_mcp::caller::{Caller, Effect};
use cloud_native_mcp::config::Config;
use futures_util::future::join;

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
        web: config.backends.web.clone(),
    };
    let Ok(backends) = Backends::new(&candidates) else { return Vec::new() };
    let context = Context::detached(Arc::new(Caller::local(Effect::Read)), PATIENCE);
    let version = async |service: &str| backends.version(service, NAME, &context).await.ok().flatten();
    let (metrics, alerts) = join(version("prometheus"), version("alertmanager")).await;
    if metrics.is_some() {
        config.backends.prometheus = candidates.prometheus;
    }
    if alerts.is_some() {
        config.backends.alertmanager = candidates.alertmanager;
    }
    vec![
        Looked { service: "prometheus", address: prometheus, version: metrics },
        Looked { service: "alertmanager", address: alertmanager, version: alerts },
    ]
}

fn instance(url: &str) -> Instances {
    let config = rest::Config { url: url.to_owned(), ..rest::Config::default() };
    Instances { default: None, instances: [(NAME.to_owned(), config)].into() }
}
