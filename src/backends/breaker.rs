//! Leaves a backend alone for a while when it keeps failing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Opens after some failures in a row; after a pause lets one request through to see.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    state: Mutex<State>,
    /// Told when it opens or closes.
    turns: Turns,
}

/// Tells that some instance was left alone, or is asked again.
pub type Turns = std::sync::Arc<tokio::sync::watch::Sender<()>>;

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    /// Closed to all but one request at a time from here on.
    until: Option<Instant>,
    reason: String,
}

impl Breaker {
    pub(super) fn new(failures: u32, pause: Duration, turns: Turns) -> Self {
        Self { failures: failures.max(1), pause, state: Mutex::default(), turns }
    }

    /// Whether a request may be made now; if not, why, and how long until the next try.
    pub(super) fn allow(&self) -> Result<(), (String, Duration)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => Err((state.reason.clone(), until - now)),
            Some(_) => {
                // This one tries; the others go on waiting until it is known how it went.
                state.until = Some(now + self.pause);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Why the instance is left alone, while it is.
    pub(super) fn open(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.until.map(|_| state.reason.clone())
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.in_a_row == 0 && state.until.is_none() {
            return;
        }
        let was_open = std::mem::take(&mut *state).until.is_some();
        drop(state);
        if was_open {
            self.turns.send_replace(());
        }
    }

    pub(super) fn failed(&self, reason: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_a_row = state.in_a_row.saturating_add(1);
        reason.clone_into(&mut state.reason);
        if state.in_a_row < self.failures {
            return;
        }
        let was_open = state.until.replace(Instant::now() + self.pause).is_some();
        drop(state);
        if !was_open {
            self.turns.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Turns {
        Turns::new(tokio::sync::watch::Sender::new(()))
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_closes_it() {
        let breaker = Breaker::new(2, Duration::from_secs(60), turns());
        breaker.failed("refused");
        breaker.succeeded();
        breaker.failed("refused");
        assert!(breaker.allow().is_ok());
        breaker.failed("refused");
        assert_eq!(breaker.allow().unwrap_err().0, "refused");
        breaker.succeeded();
        assert!(breaker.allow().is_ok());
    }

    #[test]
    fn after_the_pause_one_request_at_a_time_may_try() {
        let breaker = Breaker::new(1, Duration::ZERO, turns());
        breaker.failed("refused");
        assert!(breaker.allow().is_ok());
        let breaker = Breaker { pause: Duration::from_secs(60), ..breaker };
        assert!(breaker.allow().is_ok());
        assert!(breaker.allow().is_err());
    }
}
