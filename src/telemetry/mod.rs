//! What the server tells of itself.

pub mod log;
pub mod metrics;

use crate::error::Error;
use crate::secrets::random_token;

/// What a client is told of a failure. The cause of a defect of ours goes to the log, under an id that the client is told
/// too.
#[must_use]
pub fn told(error: &Error) -> String {
    let Error::Internal(cause) = error else { return error.to_string() };
    let id = random_token("");
    tracing::error!(error.id = id, error = %cause, "internal error");
    format!("internal error; the server's log has the cause under {id}")
}
