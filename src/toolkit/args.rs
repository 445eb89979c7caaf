//! Argument types that mean the same in every tool.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Tokens an answer may have when the caller does not say.
pub const DEFAULT_TOKENS: u32 = 4_000;

/// Tokens an answer may have at most.
pub const MOST_TOKENS: u32 = 20_000;

/// A whole number, such as rows per page: `DEFAULT` when absent, at least one, at most `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<const DEFAULT: u32, const MOST: u32>(u32);

impl<const DEFAULT: u32, const MOST: u32> Limit<DEFAULT, MOST> {
    /// The number.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// The budget of an answer in tokens; it shrinks to fit.
pub type MaxTokens = Limit<DEFAULT_TOKENS, MOST_TOKENS>;

impl<const DEFAULT: u32, const MOST: u32> Default for Limit<DEFAULT, MOST> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const DEFAULT: u32, const MOST: u32> Serialize for Limit<DEFAULT, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const DEFAULT: u32, const MOST: u32> Deserialize<'de> for Limit<DEFAULT, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |given: String| de::Error::custom(format!("{given} is not a whole number from 1 to {MOST}"));
        let value = serde_json::Value::deserialize(deserializer)?;
        let number = value.as_u64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0).map(whole));
        match number.map(u32::try_from) {
            Some(Ok(number)) if (1..=MOST).contains(&number) => Ok(Self(number)),
            _ => Err(wrong(value.to_string())),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and the range is checked next")]
fn whole(number: f64) -> u64 {
    number as u64
}

impl<const DEFAULT: u32, const MOST: u32> JsonSchema for Limit<DEFAULT, MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("Limit{DEFAULT}To{MOST}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MOST})
    }
}

/// Where the previous page ended: text of ours that the caller hands back as it is.
pub type Cursor = String;

/// Which instances of a backend a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Instances {
    /// One name, or `"*"` for all.
    One(String),
    /// Several names.
    Several(Vec<String>),
}

/// How much of each thing is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum View {
    /// What tells things apart, a row each.
    #[default]
    Table,
    /// Counts.
    Summary,
    /// All that is known.
    Full,
}

/// A moment: RFC 3339, Unix seconds, or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after now; before it when negative.
    Relative(SignedDuration),
    /// A fixed moment.
    At(Timestamp),
}

impl Moment {
    /// Now.
    pub const NOW: Self = Self::Relative(SignedDuration::ZERO);

    /// Now, as the default of an argument.
    #[must_use]
    pub const fn now() -> Self {
        Self::NOW
    }

    /// An hour ago, as the default of an argument.
    #[must_use]
    pub const fn an_hour_ago() -> Self {
        Self::ago(3600)
    }

    /// So many seconds ago.
    #[must_use]
    pub const fn ago(seconds: i64) -> Self {
        Self::Relative(SignedDuration::from_secs(-seconds))
    }

    /// The moment itself, when it is `now`.
    #[must_use]
    pub fn when(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Relative(offset) => {
                now.checked_add(offset).unwrap_or(if offset.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a time; give RFC 3339 (2026-01-02T15:04:05Z), Unix seconds, or now, now-1h, now-7d"
            )
        };
        let text = text.trim();
        if let Some(offset) = text.strip_prefix("now") {
            let offset = offset.trim();
            let (sign, length) = match (offset.strip_prefix('-'), offset.strip_prefix('+')) {
                _ if offset.is_empty() => return Ok(Self::NOW),
                (Some(length), _) => (-1, length),
                (_, Some(length)) => (1, length),
                _ => return Err(wrong()),
            };
            let length = length.trim().parse::<Span>().map_err(|_| wrong())?;
            return Ok(Self::Relative(SignedDuration::try_from(length.0).map_err(|_| wrong())? * sign));
        }
        if let Ok(seconds) = text.parse::<f64>() {
            return unix(seconds).ok_or_else(wrong);
        }
        text.parse::<Timestamp>().map(Self::At).map_err(|_| wrong())
    }
}

/// Unix seconds; numbers too large for that are taken as milli-, micro- or nanoseconds.
fn unix(number: f64) -> Option<Moment> {
    let seconds = match number.abs() {
        n if n < 1e11 => number,
        n if n < 1e14 => number / 1e3,
        n if n < 1e17 => number / 1e6,
        _ => number / 1e9,
    };
    let offset = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(offset).ok().map(Moment::At)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "{at}"),
            Self::Relative(offset) if offset.is_zero() => f.write_str("now"),
            Self::Relative(offset) => {
                let sign = if offset.is_negative() { '-' } else { '+' };
                write!(f, "now{sign}{}", Span(offset.unsigned_abs()))
            }
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A length of time such as `30s`, `5m`, `2h`, `1d` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration; give for example 30s, 5m, 2h, 1d or 1h30m");
        let mut rest = text.trim();
        if let Ok(seconds) = rest.parse::<u64>() {
            return Ok(Self::seconds(seconds));
        }
        let mut milliseconds = 0_u64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
            rest = &rest[letters..];
            milliseconds = number.checked_mul(*unit).and_then(|n| n.checked_add(milliseconds)).ok_or_else(wrong)?;
        }
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

/// As Prometheus writes it: the largest units first, nothing for zero parts.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS[..5].iter().rev() {
            if rest >= *unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        other => Err(de::Error::custom(format!("{other} is not text"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_notation_and_written_back() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("now", "2026-01-02T12:00:00Z"),
            ("now-1h", "2026-01-02T11:00:00Z"),
            ("now - 1d12h", "2026-01-01T00:00:00Z"),
            ("now+90s", "2026-01-02T12:01:30Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("1767355200", "2026-01-02T12:00:00Z"),
            ("1767355200000", "2026-01-02T12:00:00Z"),
            ("2026-01-02T13:00:00+01:00", "2026-01-02T12:00:00Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.when(now).to_string(), expected, "{text}");
            assert_eq!(moment.to_string().parse::<Moment>().unwrap(), moment, "{text}");
        }
        for text in ["", "yesterday", "now-", "now-1x", "now1h", "nan", "1e400", "now-99999999999999y"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        assert_eq!(Moment::ago(i64::MAX).when(now), Timestamp::MIN);
    }

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h30m", 5_400), ("2d", 172_800), ("45", 45)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span::seconds(seconds), "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for text in ["", "s", "5", "5 m", "-5m", "5mm", "99999999999999999y", "1h30"] {
            assert_eq!(text.parse::<Span>().is_err(), text != "5", "{text}");
        }
    }

    #[test]
    fn a_limit_is_a_whole_number_in_its_range() {
        let read = |text| serde_json::from_str::<Limit<20, 500>>(text).map(Limit::get);
        assert_eq!(read("7").unwrap(), 7);
        assert_eq!(read("7.0").unwrap(), 7);
        for text in ["0", "501", "-1", "7.5", "\"7\"", "1e99"] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains("from 1 to 500"), "{message}");
        }
    }
}
