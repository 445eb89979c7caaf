//! Who may list what, as the cluster itself says: a kept list is shown to nobody whom the API server would refuse it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::backends::kubernetes::{Cluster, Kind, Request};
use crate::call::Context;

/// How long an answer is taken to hold.
const LONGEST: Duration = Duration::from_secs(10);

/// After this long one caller asks again, while the others go by the last answer.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(7);

/// Answers that are remembered.
const MOST: usize = 4096;

/// Who asks a cluster for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// This server, with the credentials of its configuration.
    Server,
}

/// Who wants to list which kind where.
type Question = (Identity, String, String, Option<String>);

#[derive(Clone, Copy, Debug)]
struct Known {
    allowed: bool,
    since: Instant,
    /// Whether somebody asks again.
    is_asked: bool,
}

/// What a cluster said a moment ago.
#[derive(Debug, Default)]
pub(super) struct Rights {
    known: Mutex<HashMap<Question, Known>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Review {
    status: ReviewStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReviewStatus {
    allowed: bool,
}

impl Rights {
    /// Whether the cluster lets somebody list a kind, in one namespace or in all; not, where it cannot be asked.
    pub(super) async fn may_list(
        &self,
        identity: Identity,
        kind: &Kind,
        namespace: Option<&str>,
        cluster: &Cluster,
        context: &Context,
    ) -> bool {
        let question = (identity, kind.group.clone(), kind.plural.clone(), namespace.map(str::to_owned));
        if let Some(allowed) = self.known(&question) {
            return allowed;
        }
        let since = Instant::now();
        let Some(allowed) = ask(kind, namespace, cluster, context).await else { return false };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(question, Known { allowed, since, is_asked: false });
        allowed
    }

    fn known(&self, question: &Question) -> Option<bool> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get_mut(question)?;
        let age = found.since.elapsed();
        if age >= LONGEST {
            return None;
        }
        if age >= ASKED_AGAIN_AFTER && !found.is_asked {
            found.is_asked = true;
            return None;
        }
        Some(found.allowed)
    }
}

/// Asks the cluster (kubernetes.io/docs/reference/access-authn-authz/authorization, "Checking API access").
async fn ask(kind: &Kind, namespace: Option<&str>, cluster: &Cluster, context: &Context) -> Option<bool> {
    let attributes = json!({
        "verb": "list",
        "group": kind.group,
        "version": kind.version,
        "resource": kind.plural,
        "namespace": namespace.unwrap_or_default(),
    });
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let request = Request::new(Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let body = cluster.send(&request.body("application/json", body.to_string()), context).await.ok()?;
    Some(serde_json::from_slice::<Review>(&body).ok()?.status.allowed)
}
