//! Which replicas live, and which of them runs a call: so that nobody waits for one that died.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::Session;
use crate::error::{Error, Result};
use crate::mcp::envelope::Id;
use crate::secrets::random_token;
use crate::store::{Condition, Shared};

/// How often a replica says that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// How long that holds.
const ALIVE: Duration = Duration::from_secs(6);

/// Between two looks at the replica of a call. One that is missed at both is dead: after a pause of the store the first
/// look may come before it could speak.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// How long it is known where a call runs, after the last time somebody said so.
const LIFETIME: Duration = Duration::from_secs(900);

/// This replica, as others see it.
#[derive(Debug)]
pub(super) struct Presence {
    store: Shared,
    replica: String,
    beating: OnceLock<JoinHandle<()>>,
}

/// A call whose answers go into a stream that can be taken up again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    replica: String,
    /// The requests it answers.
    pub(super) requests: Vec<Id>,
}

impl Presence {
    /// A replica that nobody knows of yet.
    pub(super) fn new(store: Shared) -> Arc<Self> {
        Arc::new(Self { store, replica: random_token(""), beating: OnceLock::new() })
    }

    /// Says that a call runs here, and that this replica lives.
    pub(super) async fn begin(self: &Arc<Self>, session: &Session, stream: &str, requests: Vec<Id>) -> Result<Call> {
        if self.beating.get().is_none() {
            self.beat().await?;
            let presence = Arc::downgrade(self);
            self.beating.get_or_init(|| {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(BEAT).await;
                        let Some(presence) = presence.upgrade() else { return };
                        if let Err(error) = presence.beat().await {
                            tracing::debug!(%error, "nobody can be told that this replica lives");
                        }
                    }
                })
            });
        }
        let call = Call { replica: self.replica.clone(), requests };
        self.store.put(&call_key(session, stream), call.encode(), LIFETIME, Condition::Always).await?;
        Ok(call)
    }

    /// Says that a call still runs here.
    pub(super) async fn keep(&self, session: &Session, stream: &str) -> Result<()> {
        self.store.touch(&call_key(session, stream), LIFETIME).await?;
        Ok(())
    }

    /// Says that a call is about to be answered here, and whether it is still this replica's to answer.
    pub(super) async fn finish(&self, session: &Session, stream: &str, call: &Call) -> Result<bool> {
        let answered = Call { replica: call.replica.clone(), requests: Vec::new() };
        let key = call_key(session, stream);
        self.store.put(&key, answered.encode(), ALIVE, Condition::Is(call.encode())).await
    }

    /// Where a call runs; none where it has ended, or nobody knows.
    pub(super) async fn find(&self, session: &Session, stream: &str) -> Result<Option<Call>> {
        let Some(bytes) = self.store.get(&call_key(session, stream)).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(Error::internal)
    }

    /// Whether the replica of a call lives.
    pub(super) async fn lives(&self, call: &Call) -> Result<bool> {
        Ok(self.store.get(&replica_key(&call.replica)).await?.is_some())
    }

    /// Takes a call away from a replica that died, and says whether it was this one that did.
    pub(super) async fn give_up(&self, session: &Session, stream: &str, call: &Call) -> Result<bool> {
        let lost = Call { replica: self.replica.clone(), requests: Vec::new() };
        let key = call_key(session, stream);
        self.store.put(&key, lost.encode(), ALIVE, Condition::Is(call.encode())).await
    }

    /// Says that this replica is gone: its calls will not be answered.
    pub(super) async fn leave(&self) {
        let Some(beating) = self.beating.get() else { return };
        beating.abort();
        if let Err(error) = self.store.remove(&replica_key(&self.replica)).await {
            tracing::debug!(%error, "others will see later that this replica is gone");
        }
    }

    async fn beat(&self) -> Result<()> {
        self.store.put(&replica_key(&self.replica), Bytes::new(), ALIVE, Condition::Always).await?;
        Ok(())
    }
}

impl Call {
    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a call has a JSON form").into()
    }
}

fn replica_key(replica: &str) -> String {
    format!("replica:{replica}")
}

fn call_key(session: &Session, stream: &str) -> String {
    format!("call:{{{}}}:{stream}", session.id)
}
