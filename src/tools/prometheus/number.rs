//! Sample values as Prometheus writes them: NaN and the infinities are values too, and native histograms.

use std::borrow::Cow;
use std::cmp::Ordering;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::answers::Row;

/// Whole numbers up to this are exact in an `f64`.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A sample value: a number in JSON where JSON can say it, text (`NaN`, `+Inf`, `-Inf`) where it cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl Number {
    /// As many digits as people read: six that count, and at least three behind the point. Whole numbers stay exact.
    pub(super) fn rounded(self) -> Self {
        let Self(number) = self;
        if !number.is_finite() || number.fract() == 0.0 {
            return self;
        }
        if number.abs() >= 1000.0 {
            return Self((number * 1000.0).round() / 1000.0);
        }
        format!("{number:.5e}").parse().map_or(self, Self)
    }

    /// Highest first; what is not a number comes last.
    pub(super) fn descending(self, other: Self) -> Ordering {
        match (self.0.is_nan(), other.0.is_nan()) {
            (false, false) => other.0.total_cmp(&self.0),
            (mine, theirs) => mine.cmp(&theirs),
        }
    }

    /// Reads what [`Number::serialize`] wrote.
    pub(super) fn in_row(row: &Row, column: &str) -> Self {
        let text = match row.get(column) {
            Some(Value::Number(number)) => return Self(number.as_f64().unwrap_or(f64::NAN)),
            Some(Value::String(text)) => text.as_str(),
            _ => "NaN",
        };
        text.parse().unwrap_or(Self(f64::NAN))
    }
}

/// As Go's `strconv.ParseFloat` takes it: `+Inf` and `1e+09` are among what it may be.
impl std::str::FromStr for Number {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            n if n != 0.0 && !(1e-6..1e15).contains(&n.abs()) => write!(f, "{n:e}"),
            n => write!(f, "{n}"),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(number) = *self;
        if !number.is_finite() {
            return serializer.collect_str(self);
        }
        if number.fract() == 0.0 && number.abs() < LARGEST_EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            return serializer.serialize_i64(number as i64);
        }
        serializer.serialize_f64(number)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(f64),
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map_err(|_| de::Error::custom(format!("`{text}` is not a number"))),
        }
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"]})
    }
}

/// A native histogram (<https://prometheus.io/docs/specs/native_histograms>), as the query API gives it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Histogram {
    /// Observations.
    pub(super) count: Number,
    /// All observed values added up.
    pub(super) sum: Number,
    /// What lies between which bounds, in rising order.
    #[serde(default)]
    pub(super) buckets: Vec<Bucket>,
}

/// Which bounds belong to it (a code), the lower bound, the upper one, and how many observations are in it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bucket(#[expect(dead_code, reason = "too fine for an estimate")] u8, Number, Number, Number);

/// The figures that say most about a distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distribution {
    pub(super) count: Number,
    pub(super) sum: Number,
    pub(super) average: Number,
    pub(super) p50: Number,
    pub(super) p90: Number,
    pub(super) p99: Number,
}

impl Histogram {
    /// Its figures, the quantiles estimated within their buckets.
    pub(super) fn describe(&self) -> Distribution {
        Distribution {
            count: self.count,
            sum: self.sum,
            average: Number(self.sum.0 / self.count.0),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
        }
    }

    /// Between the bounds of its bucket: on a logarithmic scale as the buckets grow, or evenly where zero is inside.
    fn quantile(&self, share: f64) -> Number {
        let total: f64 = self.buckets.iter().map(|bucket| bucket.3.0).sum();
        let mut missing = share * total;
        for Bucket(_, Number(low), Number(high), Number(count)) in &self.buckets {
            if missing > *count {
                missing -= count;
                continue;
            }
            let part = missing / count;
            let same_side = low * high > 0.0 && low.is_finite() && high.is_finite();
            return Number(if same_side { low * (high / low).powf(part) } else { low + (high - low) * part });
        }
        Number(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_to_json_whatever_they_are() {
        for (written, json) in [
            ("1", "1"),
            ("-3", "-3"),
            ("2.5", "2.5"),
            ("2.0832369162003104e+01", "20.832369162003104"),
            ("1e+21", "1e+21"),
            ("NaN", "\"NaN\""),
            ("+Inf", "\"+Inf\""),
            ("-Inf", "\"-Inf\""),
        ] {
            let number: Number = serde_json::from_str(&format!("{written:?}")).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), json);
        }
        assert!(serde_json::from_str::<Number>("\"many\"").is_err());
    }

    #[test]
    fn rounding_keeps_whole_numbers_and_moments() {
        for (exact, rounded) in [
            (0.013_392_857_142_857_142, 0.013_392_9),
            (123_456_789.0, 123_456_789.0),
            (1_795_359_504.250_4, 1_795_359_504.25),
            (1e-12 / 3.0, 3.333_33e-13),
            (f64::INFINITY, f64::INFINITY),
        ] {
            assert_eq!(Number(exact).rounded(), Number(rounded));
        }
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let mut numbers = [f64::NAN, 1.0, f64::NEG_INFINITY, f64::INFINITY, -2.0].map(Number);
        numbers.sort_by(|a, b| a.descending(*b));
        assert_eq!(numbers.map(|n| n.to_string()), ["+Inf", "1", "-2", "-Inf", "NaN"]);
    }

    #[test]
    fn quantiles_of_a_native_histogram_lie_in_their_buckets() {
        let text =
            r#"{"count":"10","sum":"18.5","buckets":[[3,"-0.001","0.001","2"],[0,"1","2","6"],[0,"2","4","2"]]}"#;
        let histogram: Histogram = serde_json::from_str(text).unwrap();
        let figures = histogram.describe();
        assert_eq!(figures.average, Number(1.85));
        assert!((figures.p50.0 - 2_f64.sqrt()).abs() < 1e-9, "{}", figures.p50);
        assert!((2.0..4.0).contains(&figures.p90.0), "{}", figures.p90);
        let empty: Histogram = serde_json::from_str(r#"{"count":"0","sum":"0"}"#).unwrap();
        assert!(empty.describe().p99.0.is_nan());
    }
}
