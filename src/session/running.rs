//! How much one session may have running at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// Requests that one session, or one local client, may have running at a time.
pub const MOST_RUNNING: usize = 128;

/// Counts the running requests of sessions, in this process.
#[derive(Debug, Default)]
pub(super) struct Running {
    by_session: Mutex<HashMap<String, usize>>,
}

impl Running {
    /// Takes a place for a request, until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>, session: &str) -> Result<Place> {
        let mut counts = self.counts();
        let count = counts.get(session).copied().unwrap_or_default();
        if count >= MOST_RUNNING {
            return Err(Error::TooManyCalls { retry_after: Duration::from_secs(1) });
        }
        counts.insert(session.to_owned(), count + 1);
        Ok(Place { running: self.clone(), session: session.to_owned() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.by_session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one running request.
#[derive(Debug)]
pub(super) struct Place {
    running: Arc<Running>,
    session: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.running.counts();
        if let Some(count) = counts.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_so_many_places_and_gets_them_back() {
        let running = Arc::<Running>::default();
        let places: Vec<_> = (0..MOST_RUNNING).map(|_| running.begin("a").unwrap()).collect();
        assert!(running.begin("a").is_err());
        assert!(running.begin("b").is_ok());
        drop(places);
        assert!(running.begin("a").is_ok());
        assert!(running.counts().is_empty());
    }
}
