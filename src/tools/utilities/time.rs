//! Time, and waiting.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::toolkit::args::{Moment, Span};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// The longest wait.
const LONGEST_SLEEP: Span = Span::seconds(300);

/// Tells the time in any zone, or converts a time.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetTime {
    /// IANA zone, for example `Europe/Zurich`.
    #[serde(default = "utc")]
    zone: String,
    /// RFC 3339, relative such as `now-1h`, or Unix seconds, milliseconds or nanoseconds.
    #[serde(default = "Moment::now")]
    at: Moment,
    /// A strftime pattern, for example `%A %H:%M`.
    format: Option<String>,
}

fn utc() -> String {
    "UTC".into()
}

/// One moment, in the notations that people and programs use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Time {
    /// RFC 3339, in the zone asked for.
    time: String,
    zone: String,
    /// Distance from UTC.
    offset: String,
    weekday: String,
    day_of_year: i16,
    /// ISO 8601 week, for example `2026-W01`.
    iso_week: String,
    unix_seconds: i64,
    unix_milliseconds: i64,
    /// As text: too large for a JSON number to be exact everywhere.
    unix_nanoseconds: String,
    /// The pattern asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    formatted: Option<String>,
}

impl Tool for GetTime {
    const NAME: &str = "utilities_get_time";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).light().by_default();
    const REPLACES: &[&str] = &["utilities_get_timestamp", "utilities_get_date"];
    type Backend = Context;
    type Output = Facts<Time>;

    async fn call(self, context: &Context) -> Result<Facts<Time>> {
        let zone = TimeZone::get(&self.zone).map_err(|_| {
            Error::BadArguments(format!(
                "zone: there is no `{}`; give an IANA name such as Europe/Zurich or America/New_York",
                self.zone.escape_debug()
            ))
        })?;
        let at = self.at.when(context.now);
        let local = at.to_zoned(zone);
        let formatted = match &self.format {
            None => None,
            Some(pattern) => Some(jiff::fmt::strtime::format(pattern, &local).map_err(|error| {
                Error::BadArguments(format!("format: {error}; a strftime pattern looks like %Y-%m-%d %H:%M"))
            })?),
        };
        let week = local.date().iso_week_date();
        Ok(Facts::new(Time {
            time: local.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
            zone: self.zone,
            offset: local.strftime("%:z").to_string(),
            weekday: local.strftime("%A").to_string(),
            day_of_year: local.day_of_year(),
            iso_week: format!("{}-W{:02}", week.year(), week.week()),
            unix_seconds: at.as_second(),
            unix_milliseconds: at.as_millisecond(),
            unix_nanoseconds: at.as_nanosecond().to_string(),
            formatted,
        }))
    }
}

/// Waits a while, so that a change can take effect.
///
/// Reports progress, and ends early when the call is cancelled.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Sleep {
    /// How long, for example `30s`; at most `5m`.
    duration: Span,
}

/// How long it was.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Slept {
    /// Seconds that really passed.
    waited_seconds: f64,
}

impl Tool for Sleep {
    const NAME: &str = "utilities_sleep";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).light().longest(330).may_be_task();
    const REPLACES: &[&str] = &["utilities_pause"];
    type Backend = Context;
    type Output = Facts<Slept>;

    async fn call(self, context: &Context) -> Result<Facts<Slept>> {
        if self.duration > LONGEST_SLEEP {
            return Err(Error::BadArguments(format!("duration: at most {LONGEST_SLEEP}; call again to wait longer")));
        }
        let started = tokio::time::Instant::now();
        let total = self.duration.0.as_secs_f64();
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
        let end = tokio::time::sleep_until(started + self.duration.0);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = tick.tick() => {
                    let waited = started.elapsed().as_secs_f64();
                    context.outbox.progress(waited.min(total), Some(total), "waiting");
                }
            }
        }
        let waited_seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Ok(Facts::new(Slept { waited_seconds }))
    }
}
