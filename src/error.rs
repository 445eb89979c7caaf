//! What can go wrong, named by who can act on it, and the tables that turn it into statuses.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::input::Asked;

/// The result of anything that can fail on the way of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with a message for whoever can act on it.
#[derive(Debug)]
pub enum Error {
    /// The caller gave an argument that cannot be used; the message says which one and what would be right.
    BadArguments(String),
    /// The caller did not say who it is, or not convincingly.
    Unauthenticated(String),
    /// The caller is known, and may not do this.
    Forbidden(String),
    /// The thing asked for does not exist.
    NotFound(String),
    /// The caller asks more than its share; try again after this while.
    TooManyCalls {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// A backend answered with a failure of its own.
    Backend {
        /// Service and instance, for example `prometheus/main`.
        backend: String,
        /// HTTP status of its answer.
        status: u16,
        /// What it said, made safe to show.
        message: String,
    },
    /// A backend, or a part of this server, cannot be reached now.
    Unavailable(String),
    /// The deadline passed; the message says of what.
    TimedOut(String),
    /// The client withdrew the request.
    Cancelled,
    /// The call needs an answer of the person behind the client before it can go on.
    InputRequired(Box<Asked>),
    /// A defect of ours: the client sees only that it happened, the log has the cause.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// The kind of an [`Error`], which is all that the status tables look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// [`Error::BadArguments`]
    BadArguments,
    /// [`Error::Unauthenticated`]
    Unauthenticated,
    /// [`Error::Forbidden`]
    Forbidden,
    /// [`Error::NotFound`]
    NotFound,
    /// [`Error::TooManyCalls`]
    TooManyCalls,
    /// [`Error::Backend`]
    Backend,
    /// [`Error::Unavailable`]
    Unavailable,
    /// [`Error::TimedOut`]
    TimedOut,
    /// [`Error::Cancelled`]
    Cancelled,
    /// [`Error::InputRequired`]
    InputRequired,
    /// [`Error::Internal`]
    Internal,
}

impl Code {
    /// The HTTP status (RFC 9110) of an answer that carries this failure outside of a tool result.
    #[must_use]
    pub fn http(self) -> StatusCode {
        match self {
            Self::BadArguments | Self::InputRequired => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooManyCalls => StatusCode::TOO_MANY_REQUESTS,
            Self::Backend => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Cancelled | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The JSON-RPC error code. Own codes lie outside the range that JSON-RPC 2.0 §5.1 reserves.
    #[must_use]
    pub fn json_rpc(self) -> i64 {
        match self {
            Self::BadArguments | Self::NotFound | Self::InputRequired => -32602,
            Self::Unauthenticated => 40100,
            Self::Forbidden => 40300,
            Self::TooManyCalls => 42900,
            Self::Cancelled => 49900,
            Self::Backend => 50200,
            Self::Unavailable => 50300,
            Self::TimedOut => 50400,
            Self::Internal => -32603,
        }
    }

    /// The word for this failure in logs and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::BadArguments => "bad_arguments",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooManyCalls => "too_many_calls",
            Self::Backend => "backend",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::InputRequired => "input_required",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// A defect of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The kind of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::BadArguments(_) => Code::BadArguments,
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Forbidden(_) => Code::Forbidden,
            Self::NotFound(_) => Code::NotFound,
            Self::TooManyCalls { .. } => Code::TooManyCalls,
            Self::Backend { .. } => Code::Backend,
            Self::Unavailable(_) => Code::Unavailable,
            Self::TimedOut(_) => Code::TimedOut,
            Self::Cancelled => Code::Cancelled,
            Self::InputRequired(_) => Code::InputRequired,
            Self::Internal(_) => Code::Internal,
        }
    }
}

/// The public message: safe to send to a client.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadArguments(message)
            | Self::Unauthenticated(message)
            | Self::Forbidden(message)
            | Self::NotFound(message)
            | Self::Unavailable(message)
            | Self::TimedOut(message) => f.write_str(message),
            Self::TooManyCalls { retry_after } => {
                write!(f, "too many calls; try again in {} s", retry_after.as_secs().max(1))
            }
            Self::Backend { backend, status, message } => write!(f, "{backend} answered {status}: {message}"),
            Self::Cancelled => f.write_str("cancelled by the client"),
            Self::InputRequired(_) => f.write_str("this call needs an answer that the client cannot give"),
            Self::Internal(_) => f.write_str("internal error; the server's log has the cause under this request's id"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Internal(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}
