//! How many requests run at the same time: short ones, and those that last as long as their call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// Places for watches and logs, with a share for each caller.
#[derive(Debug)]
pub(super) struct LongPlaces {
    all: Arc<Semaphore>,
    share: usize,
    /// How long it is waited for one, which others may hold for an hour.
    patience: Duration,
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct LongPlace {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl LongPlaces {
    /// Half as many as there are places for short requests, and half of those for one caller.
    pub(super) fn new(short: usize, patience: Duration) -> Self {
        let all = (short / 2).max(1);
        Self { all: Arc::new(Semaphore::new(all)), share: (all / 2).max(1), patience, callers: Mutex::default() }
    }

    /// A place for a caller.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is none for some seconds.
    pub(super) async fn take(&self, cluster: &str, caller: String) -> Result<LongPlace> {
        let own = self.own(caller);
        let take = async {
            let own = own.acquire_owned().await.map_err(Error::internal)?;
            let shared = self.all.clone().acquire_owned().await.map_err(Error::internal)?;
            Ok(LongPlace { _own: own, _shared: shared })
        };
        tokio::time::timeout(self.patience, take).await.unwrap_or_else(|_| {
            Err(Error::Unavailable(format!(
                "kubernetes/{cluster} is busy: all places for waiting and reading logs are taken, of which one caller has \
                 {}. Try again when another such call has ended, or look with `kubernetes_get_resource` instead of waiting. \
                 An operator can raise `most_concurrent`",
                self.share
            )))
        })
    }

    /// The places of one caller, kept while one of them is used.
    fn own(&self, caller: String) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = callers.get(&caller).and_then(Weak::upgrade) {
            return own;
        }
        callers.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(self.share));
        callers.insert(caller, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_caller_leaves_places_for_others() {
        let places = LongPlaces::new(8, Duration::ZERO);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(places.take("a", "ann".into()).await.unwrap());
        }
        let told = places.take("a", "ann".into()).await.unwrap_err().to_string();
        assert!(told.starts_with("kubernetes/a is busy") && told.contains("one caller has 2"), "{told}");
        held.push(places.take("a", "bob".into()).await.unwrap());
        held.push(places.take("a", "bob".into()).await.unwrap());
        assert!(places.take("a", "eve".into()).await.is_err());
        held.clear();
        assert!(places.take("a", "ann".into()).await.is_ok());
        assert!(places.take("a", "eve".into()).await.is_ok());
    }
}
