//! Scrape targets.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::labels::{LabelSet, Telling};
use super::number::Number;
use super::times;
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::backends::rest::{Request, shorten};
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, View};
use crate::toolkit::{Entry, FanOut, Listing, Permission, Policy, Tool, fan_out};

pub(super) const TOOLS: &[Entry] = &[fan_out::<ListTargets>()];

/// Lists scrape targets with health and last error.
///
/// Unhealthy ones come first. Use it when series are missing: a target that is down or dropped gives none.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ListTargets {
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// `dropped` are those that relabelling threw away; they show their labels before that.
    #[serde(default)]
    state: State,
    /// Only these.
    health: Option<Health>,
    /// Scrape pool, which is the name of the job in the configuration.
    pool: Option<String>,
    /// Part of job, address or any label, in any case.
    query: Option<String>,
    /// `summary` counts by pool and health; `full` adds address, interval and all labels, also those discovered.
    #[serde(default)]
    view: View,
    /// Rows per page, at most 1000.
    #[serde(default)]
    limit: Limit<50, 1000>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Active,
    Dropped,
    Any,
}

/// Whether the last scrape went well. The order is that of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Health {
    Up,
    Down,
    Unknown,
}

/// A target; or, in the summary, a scrape pool.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
struct Target {
    /// `up`, `down`, `unknown` before the first scrape, or `dropped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// Its label `instance`; the address for dropped ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Scrape pool.
    pool: String,
    /// Targets of the pool that are down.
    #[serde(skip_serializing_if = "Option::is_none")]
    down: Option<usize>,
    /// Targets of the pool that were not scraped yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<usize>,
    /// Targets of the pool that are up.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<usize>,
    /// Targets of the pool that relabelling threw away.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<usize>,
    /// Of the last scrape; of one target, in the summary.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    /// Seconds since the last scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    scraped_seconds_ago: Option<Number>,
    /// How long the last scrape took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Labels besides job and instance.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
    /// Labels before relabelling.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    discovered: LabelSet,
}

/// The answer of `targets`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(default, deserialize_with = "super::null_is_empty")]
    active_targets: Vec<Active>,
    #[serde(default, deserialize_with = "super::null_is_empty")]
    dropped_targets: Vec<Dropped>,
    /// From 2.46: also those that are not kept for want of memory.
    #[serde(default, deserialize_with = "super::null_is_empty")]
    dropped_target_counts: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    discovered_labels: LabelSet,
    labels: LabelSet,
    #[serde(default)]
    scrape_pool: String,
    scrape_url: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    last_scrape: String,
    #[serde(default)]
    last_scrape_duration: f64,
    health: String,
    #[serde(default)]
    scrape_interval: Option<String>,
    #[serde(default)]
    scrape_timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dropped {
    discovered_labels: LabelSet,
    #[serde(default)]
    scrape_pool: String,
}

impl Tool for ListTargets {
    const NAME: &str = "prometheus_list_targets";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(15).by_default();
    const REPLACES: &[&str] = &["prometheus_targets_summary", "prometheus_get_targets"];
    type Backend = Prometheus;
    type Output = Listing<Target>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Target>> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            state: State,
            #[serde(rename = "scrapePool", skip_serializing_if = "Option::is_none")]
            pool: Option<&'a str>,
        }
        let parameters = Parameters { state: self.state, pool: self.pool.as_deref() };
        let request = Request::get("api/v1/targets").query(&parameters)?;
        let mut found = prometheus.ask::<Found>(request).await?.data;
        let discovered = found.active_targets.iter_mut().map(|target| &mut target.discovered_labels);
        for labels in discovered.chain(found.dropped_targets.iter_mut().map(|target| &mut target.discovered_labels)) {
            labels.hide_parameters(&prometheus.context.signer);
        }
        // The parameter `scrapePool` is known from 2.42, `state` is passed over by some stores.
        if let Some(pool) = &self.pool {
            found.active_targets.retain(|target| target.scrape_pool == *pool || target.labels.get("job") == pool);
            found
                .dropped_targets
                .retain(|target| target.scrape_pool == *pool || target.discovered_labels.get("job") == pool);
            found.dropped_target_counts.retain(|name, _| name == pool);
        }
        let now = prometheus.context.now;
        let health = Counts::of(&found);
        let listing = match self.view {
            View::Summary => summary(&found),
            View::Table | View::Full => self.list(found, now),
        };
        if listing.rows.is_empty() && health.is_empty() {
            return Ok(listing.note(no_targets(prometheus, self.pool.as_deref()).await));
        }
        Ok(health.tell(listing))
    }
}

impl FanOut for ListTargets {}

impl ListTargets {
    fn list(&self, found: Found, now: jiff::Timestamp) -> Listing<Target> {
        let full = self.view == View::Full;
        let wanted = self.query.as_deref().unwrap_or_default().to_lowercase();
        let (with_active, with_dropped) = match self.state {
            State::Active => (true, false),
            State::Dropped => (false, true),
            State::Any => (true, self.health.is_none()),
        };
        let active = found.active_targets.into_iter().filter(|target| {
            let fits = target.labels.mentions(&wanted) || target.scrape_url.to_lowercase().contains(&wanted);
            with_active && fits && self.health.is_none_or(|health| health == target.health())
        });
        let dropped = found
            .dropped_targets
            .into_iter()
            .filter(|target| with_dropped && target.discovered_labels.mentions(&wanted));
        let mut rows: Vec<Target> =
            active.map(|target| target.row(now, full)).chain(dropped.map(Dropped::row)).collect();
        let telling = Telling::of(rows.iter().map(|row| &row.discovered));
        for row in &mut rows {
            telling.arrange(&mut row.discovered);
        }
        Listing::new(rows).ordered(troubled_first)
    }
}

impl Active {
    fn health(&self) -> Health {
        match self.health.as_str() {
            "up" => Health::Up,
            "down" => Health::Down,
            _ => Health::Unknown,
        }
    }

    fn row(self, now: jiff::Timestamp, full: bool) -> Target {
        let health = self.health();
        let scraped = times::from_text(&self.last_scrape).map(|at| now.duration_since(at).as_secs_f64().max(0.0));
        let mut discovered = self.discovered_labels;
        if discovered.get("job") == self.labels.get("job") {
            discovered.take("job");
        }
        let tenths = |seconds: f64| Number((seconds * 10.0).round() / 10.0);
        let mut labels = self.labels;
        let row = Target {
            health: Some(health.word()),
            job: labels.take("job"),
            target: labels.take("instance"),
            error: shorten(&self.last_error),
            duration_seconds: scraped.is_some().then(|| Number((self.last_scrape_duration * 1e4).round() / 1e4)),
            scraped_seconds_ago: scraped.map(tenths),
            pool: self.scrape_pool,
            ..Target::default()
        };
        if !full {
            return row;
        }
        Target {
            url: Some(self.scrape_url),
            interval: self.scrape_interval,
            timeout: self.scrape_timeout,
            discovered,
            labels,
            ..row
        }
    }
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl Dropped {
    /// Its scrape pool; before 3.0 not told, but they begin with the job of that name.
    fn pool(&self) -> &str {
        if self.scrape_pool.is_empty() { self.discovered_labels.get("job") } else { &self.scrape_pool }
    }

    fn row(self) -> Target {
        let pool = self.pool().to_owned();
        let mut discovered = self.discovered_labels;
        Target {
            health: Some("dropped"),
            job: discovered.take("job"),
            target: discovered.take("__address__"),
            pool,
            discovered,
            ..Target::default()
        }
    }
}

/// How many targets there are of which health.
#[derive(Debug, Default)]
struct Counts {
    up: usize,
    down: usize,
    unknown: usize,
    dropped: usize,
}

impl Counts {
    fn of(found: &Found) -> Self {
        let mut counts = Self::default();
        for target in &found.active_targets {
            match target.health() {
                Health::Up => counts.up += 1,
                Health::Down => counts.down += 1,
                Health::Unknown => counts.unknown += 1,
            }
        }
        counts.dropped = found.dropped_target_counts.values().sum::<usize>().max(found.dropped_targets.len());
        counts
    }

    fn is_empty(&self) -> bool {
        self.up + self.down + self.unknown + self.dropped == 0
    }

    fn tell(self, mut listing: Listing<Target>) -> Listing<Target> {
        for (name, count) in
            [("up", self.up), ("down", self.down), ("unknown", self.unknown), ("dropped", self.dropped)]
        {
            if count > 0 {
                listing.facts.insert(name.into(), count.into());
            }
        }
        listing
    }
}

/// A row for each pool.
fn summary(found: &Found) -> Listing<Target> {
    let mut pools: BTreeMap<&str, Target> = BTreeMap::new();
    for target in &found.active_targets {
        let pool = pools.entry(&target.scrape_pool).or_default();
        let count = match target.health() {
            Health::Up => &mut pool.up,
            Health::Down => &mut pool.down,
            Health::Unknown => &mut pool.unknown,
        };
        *count = Some(count.unwrap_or(0) + 1);
        if pool.error.is_empty() && target.health() == Health::Down {
            pool.error = shorten(&target.last_error);
        }
    }
    let kept = found.dropped_targets.iter().fold(BTreeMap::<&str, usize>::new(), |mut counts, target| {
        *counts.entry(target.pool()).or_default() += 1;
        counts
    });
    let counted = found.dropped_target_counts.iter().map(|(pool, count)| (pool.as_str(), *count));
    for (pool, count) in kept.into_iter().chain(counted).filter(|(_, count)| *count > 0) {
        let dropped = &mut pools.entry(pool).or_default().dropped;
        *dropped = Some(dropped.unwrap_or(0).max(count));
    }
    let rows = pools.into_iter().map(|(pool, row)| Target { pool: pool.to_owned(), ..row });
    Listing::new(rows.collect()).ordered(most_down_first)
}

/// Down before unknown before up before dropped, then by job and target.
fn troubled_first(a: &Row, b: &Row) -> Ordering {
    let text = |row: &Row, column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rank =
        |row: &Row| ["down", "unknown", "up"].iter().position(|health| text(row, "health") == *health).unwrap_or(3);
    let key = |row: &Row| (rank(row), text(row, "job"), text(row, "target"));
    key(a).cmp(&key(b))
}

fn most_down_first(a: &Row, b: &Row) -> Ordering {
    let count = |row: &Row, column: &str| row.get(column).and_then(Value::as_u64).unwrap_or(0);
    let key = |row: &Row| (count(row, "down"), count(row, "unknown"));
    key(b).cmp(&key(a))
}

/// Why there is nothing, with the pools that there are.
async fn no_targets(prometheus: &Prometheus, pool: Option<&str>) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Pools {
        #[serde(default, deserialize_with = "super::null_is_empty")]
        scrape_pools: Vec<String>,
    }
    // Known from 2.42.
    let pools = match prometheus.ask::<Pools>(Request::get("api/v1/scrape_pools")).await {
        Ok(answer) => answer.data.scrape_pools,
        Err(_) => Vec::new(),
    };
    match (pool, pools.is_empty()) {
        (Some(pool), false) => {
            format!("There are no targets in pool `{}`; pools: {}.", pool.escape_debug(), pools.join(", "))
        }
        _ => "This server scrapes nothing of that kind.".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::toolkit::Output as _;

    fn found() -> Found {
        let active = |job: &str, instance: &str, health: &str, error: &str| {
            json!({"discoveredLabels": {"__address__": instance}, "labels": {"job": job, "instance": instance},
                "scrapePool": job, "scrapeUrl": format!("http://{instance}/metrics"), "lastError": error,
                "lastScrape": "2026-01-02T11:59:50Z", "lastScrapeDuration": 0.01234, "health": health})
        };
        serde_json::from_value(json!({
            "activeTargets": [active("api", "a:1", "up", ""), active("api", "a:2", "down", "refused"), active("db", "d:1", "up", "")],
            "droppedTargets": [{"discoveredLabels": {"__address__": "x:1", "job": "api"}, "scrapePool": "api"}],
            "droppedTargetCounts": {"api": 7, "db": 0},
        }))
        .unwrap()
    }

    fn list(arguments: Value) -> Vec<String> {
        let tool: ListTargets = serde_json::from_value(arguments).unwrap();
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let answer = tool.list(found(), now).into_answer().unwrap();
        answer.rows.unwrap().iter().map(|row| format!("{} {}", row["health"], row["target"]).replace('"', "")).collect()
    }

    #[test]
    fn targets_are_filtered_and_the_troubled_come_first() {
        assert_eq!(list(json!({})), ["down a:2", "up a:1", "up d:1"]);
        assert_eq!(list(json!({"health": "up", "query": "API"})), ["up a:1"]);
        assert_eq!(list(json!({"state": "any"})).last().unwrap(), "dropped x:1");
        assert_eq!(list(json!({"state": "dropped"})), ["dropped x:1"]);
    }

    #[test]
    fn a_summary_counts_by_pool_and_names_an_error() {
        let rows = summary(&found()).into_answer().unwrap().rows.unwrap();
        assert_eq!(
            Value::from(rows[0].clone()),
            json!({"pool": "api", "down": 1, "up": 1, "dropped": 7, "error": "refused"})
        );
        assert_eq!(Value::from(rows[1].clone()), json!({"pool": "db", "up": 1}));
    }

    #[test]
    fn times_of_a_scrape_are_relative_and_short() {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let row = found().active_targets.remove(0).row(now, false);
        assert_eq!((row.scraped_seconds_ago, row.duration_seconds), (Some(Number(10.0)), Some(Number(0.0123))));
    }
}
