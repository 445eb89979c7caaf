//! How much callers may ask for: rates that hold across replicas, and heavy calls at a time.

mod bucket;
mod places;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::bucket::Bucket;
use self::places::Places;
use crate::call::Place;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::store::{self, Rate};
use crate::telemetry::metrics;
use crate::toolkit::Cost;

/// Buckets that are kept in this process; idle ones are forgotten when there are more.
const MOST_BUCKETS: usize = 10_000;

/// After so long without a call a bucket is idle.
const IDLE: Duration = Duration::from_secs(60);

/// How long the store is not asked after it failed.
const AWAY: Duration = Duration::from_secs(1);

/// How much callers may ask for.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Units that a light call of a tool takes, and any request that calls none; a ping takes none.
    #[schemars(range(max = 1000))]
    pub light: u32,
    /// Units that a call of most tools takes.
    #[schemars(range(max = 1000))]
    pub normal: u32,
    /// Units that a call takes which makes many requests, or large scans.
    #[schemars(range(max = 1000))]
    pub heavy: u32,
    /// Each caller, over all replicas.
    pub caller: Limit,
    /// All callers together, over all replicas.
    pub server: Limit,
    /// Failed attempts of one address to say who it is, a unit each. An IPv6 address stands for its /64.
    pub failures: Limit,
    /// Percent of each limit that this replica admits while it cannot reach the shared store.
    #[schemars(range(min = 1, max = 100))]
    pub alone_percent: u32,
    /// Heavy calls at a time in this replica; 0 for any number.
    #[schemars(range(max = 1_000_000))]
    pub heavy_at_a_time: u32,
    /// Heavy calls of one caller at a time in this replica; 0 for any number.
    #[schemars(range(max = 1_000_000))]
    pub heavy_of_a_caller: u32,
}

/// A limit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Units that come in a second; 0 for no limit.
    #[schemars(range(max = 100_000))]
    pub per_second: u32,
    /// Units that can be saved up, and used at once.
    #[schemars(range(max = 1_000_000))]
    pub burst: u32,
}

impl Limit {
    fn rate(self) -> Option<Rate> {
        (self.per_second > 0).then_some(Rate { per_second: self.per_second, burst: self.burst })
    }
}

impl Config {
    /// Limits within which nobody could do anything, as keys within the section and sentences.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(String, String)> {
        let dearest = self.light.max(self.normal).max(self.heavy);
        let limits =
            [("caller", self.caller, dearest), ("server", self.server, dearest), ("failures", self.failures, 1)];
        let too_small = limits.into_iter().filter(|(_, limit, least)| limit.per_second > 0 && limit.burst < *least);
        too_small
            .map(|(key, limit, least)| {
                (
                    format!("{key}.burst"),
                    format!("{} is less than one call may take: give {least} or more", limit.burst),
                )
            })
            .collect()
    }

    fn units(&self, cost: Cost) -> u32 {
        match cost {
            Cost::Light => self.light,
            Cost::Normal => self.normal,
            Cost::Heavy => self.heavy,
        }
    }
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The name of the limit.
    pub limit: &'static str,
    /// Its rate.
    pub rate: Rate,
    /// Units that are left now.
    pub remaining: u32,
    /// How long it takes until all have come again, or until the next attempt.
    pub reset: Duration,
}

/// Who may not go on, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How long to wait: whole seconds.
    pub retry_after: Duration,
    /// What is left of the limit that refuses, where it is a rate.
    pub standing: Option<Standing>,
}

impl Refusal {
    fn new(limit: &'static str, wait: Duration, standing: Option<Standing>) -> Self {
        metrics::LIMITED.with_label_values(&[limit]).inc();
        Self { retry_after: seconds_up(wait), standing }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::TooManyCalls { retry_after: refusal.retry_after }
    }
}

/// A time in whole seconds, at least one: whoever comes back then does not come too early.
fn seconds_up(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(Duration::from_secs(1))
}

/// Lets calls in, or tells when to come back.
#[derive(Debug)]
pub struct Limits {
    config: Config,
    store: store::Shared,
    buckets: Mutex<HashMap<String, Kept>>,
    places: Places,
    /// Until when the store is not asked.
    away_until: Mutex<Instant>,
}

#[derive(Debug)]
struct Kept {
    bucket: Arc<tokio::sync::Mutex<Bucket>>,
    used: Instant,
}

impl Limits {
    /// The limits of a configuration, counted in the store.
    #[must_use]
    pub fn new(config: &Config, store: store::Shared) -> Self {
        Self {
            config: config.clone(),
            store,
            buckets: Mutex::default(),
            places: Places::new(config.heavy_at_a_time, config.heavy_of_a_caller),
            away_until: Mutex::new(Instant::now()),
        }
    }

    /// Takes the units of calls from the limits of their caller and of the server, the caller's first: whoever is over
    /// its own limit takes nothing from the others. Tenants come between the two, once there are any.
    ///
    /// # Errors
    /// When to come back.
    pub async fn take(&self, caller: &Caller, costs: &[Cost]) -> Result<Option<Standing>, Refusal> {
        let units = costs.iter().fold(0, |sum: u32, cost| sum.saturating_add(self.config.units(*cost)));
        let limits = [
            ("caller", format!("limit:caller:{}", caller.identity()), self.config.caller),
            ("server", "limit:server".to_owned(), self.config.server),
        ];
        let mut tightest: Option<Standing> = None;
        for (name, key, limit) in limits {
            let Some(rate) = limit.rate().filter(|_| units > 0) else { continue };
            // A batch may be larger than what can be saved up, and has to wait until everything is there.
            let standing = self.take_of(name, key, rate, units.min(rate.burst)).await?;
            tightest = tightest.or(Some(standing));
        }
        Ok(tightest)
    }

    /// A place for a heavy call, as long as it runs.
    ///
    /// # Errors
    /// When to come back.
    pub fn enter(&self, caller: &Caller, costs: &[Cost]) -> Result<Option<Place>, Refusal> {
        if !costs.contains(&Cost::Heavy) {
            return Ok(None);
        }
        match self.places.take(&caller.identity()) {
            Some(place) => Ok(Some(place)),
            None => Err(Refusal::new("heavy", Duration::from_secs(1), None)),
        }
    }

    /// Counts a failed attempt of an address to say who it is.
    ///
    /// # Errors
    /// When to come back.
    pub async fn failed(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(rate) = self.config.failures.rate() else { return Ok(()) };
        let network = match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
        };
        self.take_of("failures", format!("limit:failures:{network}"), rate, 1).await.map(|_| ())
    }

    async fn take_of(&self, name: &'static str, key: String, rate: Rate, units: u32) -> Result<Standing, Refusal> {
        let bucket = self.bucket(&key, rate);
        // Whoever comes meanwhile waits for the same answer of the store, and uses what it brings.
        let mut bucket = bucket.lock().await;
        let wait = self.wait(&mut bucket, &key, units).await;
        let now = Instant::now();
        let standing = Standing {
            limit: name,
            rate,
            remaining: bucket.remaining(now),
            reset: seconds_up(wait.unwrap_or_else(|| bucket.full(now))),
        };
        match wait {
            None => Ok(standing),
            Some(wait) => Err(Refusal::new(name, wait, Some(Standing { remaining: 0, ..standing }))),
        }
    }

    /// Takes units; how long to wait where there are none.
    async fn wait(&self, bucket: &mut Bucket, key: &str, units: u32) -> Option<Duration> {
        let ask = match bucket.take(units, self.store.is_shared(), Instant::now()) {
            bucket::Known::Granted => return None,
            bucket::Known::Refused(wait) => return Some(wait),
            bucket::Known::Ask(ask) => ask,
        };
        if self.is_away() {
            return self.wait_alone(bucket, units);
        }
        match self.store.take(key, bucket.rate, ask.units, ask.ahead).await {
            Ok(taken) => bucket.got(units, ask, taken, Instant::now()),
            Err(error) => {
                tracing::debug!(%error, "limits hold in this replica only");
                *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + AWAY;
                self.wait_alone(bucket, units)
            }
        }
    }

    fn wait_alone(&self, bucket: &mut Bucket, units: u32) -> Option<Duration> {
        metrics::LIMITED_ALONE.inc();
        bucket.take_alone(units, self.config.alone_percent, Instant::now())
    }

    fn is_away(&self) -> bool {
        Instant::now() < *self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self, key: &str, rate: Rate) -> Arc<tokio::sync::Mutex<Bucket>> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = buckets.get_mut(key) {
            kept.used = now;
            return kept.bucket.clone();
        }
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, kept| now.duration_since(kept.used) < IDLE);
        }
        let bucket = Arc::new(tokio::sync::Mutex::new(Bucket::new(rate, now)));
        // Where there is no room the store knows all there is to know.
        if buckets.len() < MOST_BUCKETS {
            buckets.insert(key.to_owned(), Kept { bucket: bucket.clone(), used: now });
        }
        bucket
    }
}
