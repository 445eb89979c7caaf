//! How a tool gets at what it names: a handle, made for each call.

use std::sync::Arc;

use super::Catalogue;
use crate::answers::Wholes;
use crate::backends::{Alertmanager, Backends, Kubernetes, Prometheus, Web};
use crate::call::Context;
use crate::changes::Changes;
use crate::error::Result;

/// Everything that tools can reach.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The systems behind.
    pub backends: Arc<Backends>,
    /// The tools themselves.
    pub catalogue: Arc<Catalogue>,
    /// Where changes are told.
    pub changes: Changes,
    /// Answers that were cut, whole.
    pub wholes: Wholes,
}

/// What a tool reaches a backend with. It knows the caller, the instance, the deadline, and where progress goes.
pub trait Handle: Sized + Send + Sync + 'static {
    /// The service whose instances it talks to; none where there is no backend.
    const SERVICE: Option<&'static str>;
    /// The argument that names one of them.
    const ARGUMENT: &'static str = "instance";

    /// The handle for one call.
    ///
    /// # Errors
    /// [`crate::error::Error::BadArguments`] when the instance does not exist, or must be named.
    fn open(surroundings: &Surroundings, instance: Option<&str>, context: &Context) -> Result<Self>;
}

/// For tools that need nothing but the circumstances of the call.
impl Handle for Context {
    const SERVICE: Option<&'static str> = None;

    fn open(_: &Surroundings, _: Option<&str>, context: &Context) -> Result<Self> {
        Ok(context.clone())
    }
}

/// For tools about this server itself.
impl Handle for (Surroundings, Context) {
    const SERVICE: Option<&'static str> = None;

    fn open(surroundings: &Surroundings, _: Option<&str>, context: &Context) -> Result<Self> {
        Ok((surroundings.clone(), context.clone()))
    }
}

impl Handle for Kubernetes {
    const SERVICE: Option<&'static str> = Some("kubernetes");
    const ARGUMENT: &'static str = "cluster";

    fn open(surroundings: &Surroundings, cluster: Option<&str>, context: &Context) -> Result<Self> {
        surroundings.backends.kubernetes(cluster, context)
    }
}

impl Handle for Prometheus {
    const SERVICE: Option<&'static str> = Some("prometheus");

    fn open(surroundings: &Surroundings, instance: Option<&str>, context: &Context) -> Result<Self> {
        surroundings.backends.prometheus(instance, context)
    }
}

impl Handle for Alertmanager {
    const SERVICE: Option<&'static str> = Some("alertmanager");

    fn open(surroundings: &Surroundings, instance: Option<&str>, context: &Context) -> Result<Self> {
        surroundings.backends.alertmanager(instance, context)
    }
}

impl Handle for Web {
    const SERVICE: Option<&'static str> = Some("web");

    fn open(surroundings: &Surroundings, _: Option<&str>, context: &Context) -> Result<Self> {
        surroundings.backends.web(context)
    }
}
