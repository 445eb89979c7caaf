//! How the API server refuses (`Status`, kubernetes.io/docs/reference/kubernetes-api/common-definitions/status).

use serde::Deserialize;

use super::redact::redact_refusal;
use crate::error::Error;
use crate::secrets::Signer;

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Refused {
    /// The API server says no.
    Status(Box<Status>),
    /// Nothing was done.
    Error(Error),
    /// A change was sent, and not answered: it may have been done.
    Unknown(Error),
}

/// What the API server said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Which cluster.
    #[serde(skip)]
    pub cluster: String,
    /// HTTP status.
    pub code: u16,
    /// One word for it, for example `NotFound`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// What exactly.
    pub details: Details,
    /// Where an expired list goes on.
    pub metadata: ListPlace,
}

/// What exactly was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Details {
    /// Each mistake.
    pub causes: Vec<Cause>,
    /// When to try again.
    pub retry_after_seconds: u64,
}

/// One mistake.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// One word for it.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The field that is wrong, or held by another manager.
    pub field: String,
}

/// Where a list goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListPlace {
    /// The token of the next part; empty at the end.
    #[serde(rename = "continue")]
    pub next: String,
    /// Objects after this part, where the server knows.
    pub remaining_item_count: Option<u64>,
    /// The state of the cluster that this is.
    pub resource_version: String,
}

impl Refused {
    /// HTTP status of the API server's answer; none where there was no answer.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::Error(_) | Self::Unknown(_) => None,
        }
    }
}

impl Refused {
    /// Whether it may be otherwise in a moment: the API server is away, busy, or behind something that is.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status(status) => status.code == 429 || status.code >= 500,
            Self::Error(error) | Self::Unknown(error) => matches!(error, Error::Unavailable(_) | Error::TimedOut(_)),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Status(status) => status.error(),
            Refused::Error(error) | Refused::Unknown(error) => error,
        }
    }
}

impl Status {
    /// What a cluster said, or a server behind it, as it may be shown: the only place where one is made.
    pub(super) fn said(body: &[u8], cluster: &str, code: u16, signer: &Signer) -> Self {
        // The API server, and servers behind it, may also answer with plain text.
        let mut status = serde_json::from_slice::<Self>(body).unwrap_or_else(|_| Self {
            message: String::from_utf8_lossy(body).chars().take(300).collect(),
            ..Self::default()
        });
        cluster.clone_into(&mut status.cluster);
        status.code = code;
        for cause in &mut status.details.causes {
            for text in [&mut cause.reason, &mut cause.field, &mut cause.message] {
                *text = redact_refusal(text, signer);
            }
        }
        status.reason = redact_refusal(&status.reason, signer);
        status.message = match status.message.split_once(" is invalid: ") {
            Some((what, _)) if code == 422 && !status.details.causes.is_empty() => {
                format!("{} is invalid: {}", redact_refusal(what, signer), told(&status.details.causes))
            }
            _ => redact_refusal(&status.message, signer),
        };
        status
    }

    fn error(self) -> Error {
        let backend = format!("kubernetes/{}", self.cluster);
        let message = match self.message.trim_end_matches('.') {
            "" if self.reason.is_empty() => match self.code {
                300..=399 => "it leads elsewhere, which is not followed; is its address that of an API server?".into(),
                _ => "it says nothing more".into(),
            },
            "" => self.reason,
            message => message.to_owned(),
        };
        match self.code {
            400 | 422 => Error::BadArguments(format!("{backend} refuses it: {message}")),
            401 => Error::Backend {
                backend,
                status: 401,
                message: format!(
                    "{message}: the credentials of this server for the cluster are missing, wrong or expired; an operator \
                     renews them in its kubeconfig"
                ),
            },
            403 => Error::Forbidden(format!(
                "{backend}: {message}. `kubernetes_check_permissions` lists what is allowed there"
            )),
            404 => Error::NotFound(format!("{backend}: {message}. `kubernetes_list_resources` shows what there is")),
            status => Error::Backend { backend, status, message },
        }
    }
}

/// Mistakes in words: of each its field, and the first line of what is wrong with it.
fn told(causes: &[Cause]) -> String {
    let each = causes.iter().map(|cause| {
        let message = cause.message.lines().next().unwrap_or(&cause.reason);
        match cause.field.as_str() {
            "" => message.to_owned(),
            field => format!("{field}: {message}"),
        }
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_invalid_object_is_told_by_its_fields() {
        let message = "Pod \"a\" is invalid: [spec: Forbidden: no change\n  core.PodSpec{ Value: \"hunter2\" }, \
                       spec.x: Invalid value: 3: must be 4]";
        let body = json!({"kind": "Status", "reason": "Invalid", "message": message, "details": {"causes": [
            {"field": "spec", "message": "Forbidden: no change\n  core.PodSpec{ Value: \"hunter2\" }"},
            {"field": "spec.x", "message": "Invalid value: 3: must be 4"}
        ]}});
        let status = Status::said(body.to_string().as_bytes(), "first", 422, &Signer::new(b"key"));
        assert_eq!(
            status.message,
            "Pod \"a\" is invalid: spec: Forbidden: no change…; spec.x: Invalid value: must be 4"
        );
        assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    }

    #[test]
    fn what_is_no_status_is_told_without_its_secrets() {
        let status = Status::said(b"down: db password=hunter2", "first", 503, &Signer::new(b"key"));
        assert!(status.message.starts_with("down: db password=hidden-"), "{status:?}");
    }
}
