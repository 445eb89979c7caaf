//! How the API server refuses (`Status`, kubernetes.io/docs/reference/kubernetes-api/common-definitions/status).

use serde::Deserialize;

use crate::error::Error;

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Refused {
    /// The API server says no.
    Status(Box<Status>),
    /// Anything else.
    Error(Error),
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
            Self::Error(_) => None,
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
            Refused::Error(error) => error,
        }
    }
}

impl Status {
    fn error(self) -> Error {
        let backend = format!("kubernetes/{}", self.cluster);
        let message = match self.message.trim_end_matches('.') {
            "" if self.reason.is_empty() => format!("it answers {}", self.code),
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
