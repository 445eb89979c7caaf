//! The older revisions (2024-11-05 to 2025-11-25), as an adapter over the stateless protocol.
//!
//! A session is a record in the store; no process holds it. Deleting this folder, and what edge/ does with it, leaves the
//! protocol of 2026-07-28 whole.

mod bus;
mod converse;
mod follower;
mod presence;
mod questions;
mod running;
mod streams;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use bus::{Heard, Signal, Signals};
pub use converse::{Outgoing, Sink};
pub use follower::Follower;
pub use presence::Call;
pub use running::MOST_RUNNING;
pub use streams::{Entry, GET_STREAM, Streams};

use crate::call::{Client, Context, LogLevel};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::mcp::envelope::Id;
use crate::mcp::{Engine, Fault, Revision};
use crate::secrets::random_token;
use crate::store::{Condition, Shared};

/// How long a session lives after its last request.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Resources that one session may follow.
const MOST_SUBSCRIPTIONS: usize = 100;

/// Bytes of the capabilities that a client may declare.
const MOST_CAPABILITIES: usize = 16 * 1024;

/// What `initialize` settled, and what was asked for since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id: unguessable, and still no proof of who somebody is.
    #[serde(skip)]
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// The revision that was agreed on.
    pub revision: Revision,
    /// What the client can do.
    pub capabilities: Arc<Map<String, Value>>,
    /// The least severe log messages that it wants.
    pub log_level: Option<LogLevel>,
    /// The resources whose changes it wants to hear of.
    pub subscriptions: BTreeSet<String>,
}

/// Keeps sessions, and answers requests within them.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Shared,
    engine: Arc<Engine>,
    running: Arc<running::Running>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    protocol_version: String,
    #[serde(default)]
    capabilities: Map<String, Value>,
}

impl Sessions {
    /// Sessions in this store, over this engine.
    #[must_use]
    pub fn new(store: Shared, engine: Arc<Engine>) -> Self {
        Self { store, engine, running: Arc::default() }
    }

    /// Begins a session: the record, and the result of `initialize`.
    ///
    /// # Errors
    /// -32602 for parameters that are no `InitializeRequestParams`; a failure of the store.
    pub async fn begin(&self, params: &Bytes, caller: &Caller) -> Result<(Session, Value), Fault> {
        let session = Self::negotiate(params, caller)?;
        self.store.put(&key(&session.id, &session.owner), encode(&session), LIFETIME, Condition::Absent).await?;
        let result = self.engine.initialize(session.revision);
        Ok((session, result))
    }

    /// Begins again in a session that exists already, as the two-endpoint transport does.
    ///
    /// # Errors
    /// As [`Sessions::begin`]; -32600 where the session ended meanwhile.
    pub async fn begin_in(&self, session: &Session, params: &Bytes, caller: &Caller) -> Result<Value, Fault> {
        let begun = Self::negotiate(params, caller)?;
        let revision = begun.revision;
        // What is over stays over: its stream is gone, and nobody would end it again.
        if !self.change(session, |record| *record = begun.clone()).await? {
            return Err(Fault::invalid_request("the session is over: open the stream again"));
        }
        Ok(self.engine.initialize(revision))
    }

    /// A session before its `initialize`, for the transport whose stream comes first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn reserve(&self, caller: &Caller) -> Result<Session> {
        let session = Session::new(caller, Revision::V2024_11_05, Map::new());
        self.store.put(&key(&session.id, &session.owner), encode(&session), LIFETIME, Condition::Absent).await?;
        Ok(session)
    }

    fn negotiate(params: &Bytes, caller: &Caller) -> Result<Session, Fault> {
        let Initialize { protocol_version, capabilities } = serde_json::from_slice(params).map_err(|error| {
            Fault::invalid_params(format!("params: {error}; `initialize` takes `protocolVersion` and `capabilities`"))
        })?;
        if serde_json::to_vec(&capabilities).map_or(0, |text| text.len()) > MOST_CAPABILITIES {
            return Err(Fault::invalid_params(format!("capabilities: more than {MOST_CAPABILITIES} bytes")));
        }
        Ok(Session::new(caller, Revision::negotiate(&protocol_version), capabilities))
    }

    /// The session of this id, if it is there and the caller's; its life begins anew.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(&self, id: &str, caller: &Caller) -> Result<Option<Session>> {
        let Some(bytes) = self.store.renew(&key(id, &caller.identity()), LIFETIME).await? else { return Ok(None) };
        let session = Session { id: id.to_owned(), ..decode(&bytes)? };
        if session.owner != caller.identity() {
            return Ok(None);
        }
        Ok(Some(session))
    }

    /// Ends a session everywhere: its streams close, its calls are cancelled.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end(&self, session: &Session) -> Result<()> {
        self.store.remove(&key(&session.id, &session.owner)).await?;
        streams::forget(&self.store, session).await?;
        self.signal(&session.id, &Signal::Ended).await?;
        Ok(())
    }

    /// Acts on a notification of the client; those that need no action are passed over.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_notification(&self, session: &Session, method: &str, params: &Bytes) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled {
            request_id: Id,
        }
        if method == "notifications/cancelled"
            && let Ok(Cancelled { request_id }) = serde_json::from_slice(params)
        {
            self.signal(&session.id, &Signal::Withdrawn(request_id)).await?;
        }
        Ok(())
    }

    /// Changes the record, and says whether there is one; what changes at the same time elsewhere is not lost.
    async fn change(&self, session: &Session, change: impl Fn(&mut Session)) -> Result<bool> {
        loop {
            let Some(old) = self.store.get(&key(&session.id, &session.owner)).await? else { return Ok(false) };
            let mut record = decode(&old)?;
            change(&mut record);
            if self.store.put(&key(&session.id, &session.owner), encode(&record), LIFETIME, Condition::Is(old)).await? {
                return Ok(true);
            }
        }
    }

    async fn set_log_level(&self, session: &Session, params: &Bytes) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Params {
            level: LogLevel,
        }
        let Params { level } = serde_json::from_slice(params)
            .map_err(|error| Fault::invalid_params(format!("params: {error}; `level` is one of RFC 5424")))?;
        self.change(session, |record| record.log_level = Some(level)).await?;
        Ok(())
    }

    async fn subscribe(&self, session: &Session, params: &Bytes, on: bool) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Params {
            uri: String,
        }
        let Params { uri } =
            serde_json::from_slice(params).map_err(|error| Fault::invalid_params(format!("params: {error}")))?;
        if on && !self.engine.is_watched(&uri) {
            return Err(Fault::invalid_params("uri: changes of this resource are not told"));
        }
        if on && session.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err(Fault::invalid_params(format!("a session follows {MOST_SUBSCRIPTIONS} resources at most")));
        }
        self.change(session, |record| {
            if on {
                record.subscriptions.insert(uri.clone())
            } else {
                record.subscriptions.remove(&uri)
            };
        })
        .await?;
        self.signal(&session.id, &Signal::Resubscribed).await?;
        Ok(())
    }
}

impl Session {
    fn new(caller: &Caller, revision: Revision, capabilities: Map<String, Value>) -> Self {
        Self {
            id: random_token(""),
            owner: caller.identity(),
            revision,
            capabilities: Arc::new(capabilities),
            log_level: None,
            subscriptions: BTreeSet::new(),
        }
    }

    /// The session as one that cannot be asked anything: its client takes no stream on which it could be.
    #[must_use]
    pub fn without_questions(mut self) -> Self {
        let capabilities = Arc::make_mut(&mut self.capabilities);
        capabilities.retain(|name, _| !matches!(name.as_str(), "elicitation" | "sampling" | "roots"));
        self
    }

    /// The circumstances of a request in this session.
    #[must_use]
    pub fn context(&self, context: Context) -> Context {
        let client = Client { capabilities: self.capabilities.clone(), log_level: self.log_level };
        Context { client, ..context }
    }
}

/// The owner is part of it: another's session is not there, and a store can see how much of it is whose.
fn key(id: &str, owner: &str) -> String {
    format!("session:{{{id}}}:{owner}")
}

fn encode(session: &Session) -> Bytes {
    serde_json::to_vec(session).expect("a session has a JSON form").into()
}

fn decode(bytes: &[u8]) -> Result<Session> {
    serde_json::from_slice(bytes).map_err(Error::internal)
}
