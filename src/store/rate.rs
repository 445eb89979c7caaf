//! Rates of units, and what is left of them: the generic cell rate algorithm.

use std::time::Duration;

/// Units that come all the time, of which some can be saved up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units that come in a second; not 0.
    pub per_second: u32,
    /// Units that can be saved up.
    pub burst: u32,
}

/// What came of an attempt to take units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether they were taken.
    pub granted: bool,
    /// How long it takes until they are there: those that were taken, or for the next attempt.
    pub wait: Duration,
    /// How long it takes until everything that was taken has come again.
    pub full: Duration,
}

impl Rate {
    /// In what time so many units come.
    #[must_use]
    pub fn time(self, units: u32) -> Duration {
        Duration::from_micros((u64::from(units) * 1_000_000 / u64::from(self.per_second.max(1))).max(1))
    }

    /// How many units come in a time.
    #[must_use]
    pub fn units(self, time: Duration) -> u32 {
        let units = time.as_micros() * u128::from(self.per_second) / 1_000_000;
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// Takes units where all that was taken before has come `due` from now; not where one would wait more than `ahead`.
    #[must_use]
    pub fn take(self, due: Duration, units: u32, ahead: Duration) -> Taken {
        let after = due + self.time(units);
        let wait = after.saturating_sub(self.time(self.burst));
        if wait > ahead {
            return Taken { granted: false, wait, full: due };
        }
        Taken { granted: true, wait, full: after }
    }
}
