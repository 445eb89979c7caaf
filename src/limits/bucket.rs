//! What one replica knows of one limit, and holds of it: a few units at once for whoever is hot.

use std::time::{Duration, Instant};

use crate::store::{Rate, Taken};

/// A replica takes at once what is asked of it in this time,
const LEASE_TIME: Duration = Duration::from_secs(1);

/// but at most this part of what can be saved up,
const LEASE_PART: u32 = 10;

/// and of what comes in a second.
const LEASE_SECOND_PART: u32 = 2;

/// After so long, units that nobody used are lost: they are never given back.
const LEASE_LIFE: Duration = Duration::from_secs(2);

/// How long a call counts as demand.
const DEMAND_TIME: f64 = 1.0;

/// One limit, as this replica sees it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) rate: Rate,
    /// Units that were taken from the store, and not used yet.
    units: u32,
    /// From when to when they may be used.
    usable: (Instant, Instant),
    /// When all that was taken will have come: not before this, as others may have taken more meanwhile.
    due: Instant,
    /// Units that were asked for in the last second or so, and when that was worked out.
    demand: (f64, Instant),
    /// When all will have come that was admitted without the store.
    due_alone: Instant,
}

/// What can be said without the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Granted,
    Refused(Duration),
    Ask(Ask),
}

/// What to ask of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) units: u32,
    pub(super) ahead: Duration,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, units: 0, usable: (now, now), due: now, demand: (0.0, now), due_alone: now }
    }

    /// Takes units that this replica holds, or says what to ask for.
    pub(super) fn take(&mut self, units: u32, leases: bool, now: Instant) -> Known {
        let demand = self.demanded(units, now);
        let (from, until) = self.usable;
        if now >= until {
            self.units = 0;
        }
        if self.units >= units {
            if now < from {
                return Known::Refused(from - now);
            }
            self.units -= units;
            return Known::Granted;
        }
        let lease = if leases { self.lease(demand).max(units) } else { units };
        // Whoever is hot takes its place in the line: then one question is enough for each turn.
        let ahead = if lease > units { self.rate.time(self.rate.burst) } else { Duration::ZERO };
        let known = self.rate.take(self.full(now), lease, ahead);
        if known.granted { Known::Ask(Ask { units: lease, ahead }) } else { Known::Refused(known.wait) }
    }

    /// Takes over what the store answered; how long to wait where it is not enough.
    pub(super) fn got(&mut self, units: u32, ask: Ask, taken: Taken, now: Instant) -> Option<Duration> {
        self.due = now + taken.full;
        if !taken.granted {
            return Some(taken.wait);
        }
        self.units += ask.units;
        let from = now + taken.wait;
        self.usable = (from, from + LEASE_LIFE);
        if taken.wait.is_zero() {
            self.units -= units;
            return None;
        }
        Some(taken.wait)
    }

    /// Takes units of this replica's share, because nobody can say what the others do.
    pub(super) fn take_alone(&mut self, units: u32, percent: u32, now: Instant) -> Option<Duration> {
        let part = |number: u32| u32::try_from(u64::from(number) * u64::from(percent) / 100).unwrap_or(number).max(1);
        let share = Rate { per_second: part(self.rate.per_second), burst: part(self.rate.burst).max(units) };
        let taken = share.take(self.due_alone.saturating_duration_since(now), units, Duration::ZERO);
        self.due_alone = now + taken.full;
        (!taken.granted).then_some(taken.wait)
    }

    /// How long it takes until all units have come, as far as is known.
    pub(super) fn full(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// Units that are left, as far as is known.
    pub(super) fn remaining(&self, now: Instant) -> u32 {
        let left = self.rate.units(self.rate.time(self.rate.burst).saturating_sub(self.full(now)));
        left.saturating_add(if self.usable.0 <= now { self.units } else { 0 }).min(self.rate.burst)
    }

    /// Counts units that are asked for; how many were in the last second or so.
    fn demanded(&mut self, units: u32, now: Instant) -> f64 {
        let (demand, at) = self.demand;
        let faded = demand * (-now.saturating_duration_since(at).as_secs_f64() / DEMAND_TIME).exp();
        self.demand = (faded + f64::from(units), now);
        self.demand.0
    }

    /// How many units to take at once.
    fn lease(&self, demand: f64) -> u32 {
        let most = (self.rate.burst / LEASE_PART).min(self.rate.per_second / LEASE_SECOND_PART);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast of a float ends at the bounds"
        )]
        let wanted = (demand * LEASE_TIME.as_secs_f64()) as u32;
        wanted.min(most)
    }
}
