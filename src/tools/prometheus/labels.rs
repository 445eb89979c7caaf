//! Label sets: which labels tell series apart, matchers applied here, and names in addresses.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use promql_parser::label::{METRIC_NAME, Matcher};
use promql_parser::parser::Expr;
use promql_parser::util::escape_string;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::promql;
use crate::answers::redact;
use crate::error::{Error, Result};
use crate::secrets::Signer;

/// Characters up to which a value is read rather than skipped.
const READABLE: f64 = 40.0;

/// The labels of a series, in the order in which they are to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, String>")]
pub(super) struct LabelSet(Vec<(String, String)>);

impl LabelSet {
    /// The value of a label; absent and empty mean the same.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Takes a label out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Hides the values of URL parameters (`__param_token`) that are secret by their name.
    pub(super) fn hide_parameters(&mut self, signer: &Signer) {
        for (name, value) in &mut self.0 {
            if name.strip_prefix("__param_").is_some_and(redact::is_secret_parameter) {
                *value = redact::fingerprint(value, signer);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether any value contains the text, which is in lower case.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.0.iter().any(|(_, value)| value.to_lowercase().contains(text))
    }
}

impl From<BTreeMap<String, String>> for LabelSet {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl JsonSchema for LabelSet {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": {"type": "string"}})
    }
}

/// The labels of many series, most telling first.
#[derive(Debug, Default)]
pub(super) struct Telling {
    names: Vec<String>,
    /// How many of them are enough to tell all series apart.
    enough: usize,
}

impl Telling {
    /// Looks at all series.
    ///
    /// A label with many values tells more than one with few, one that all have more than one that some have, and a
    /// short value more than a long one. One that tells
    /// all series apart alone, in words short enough to read, comes before any other: `pod` before `uid` and `zone`.
    pub(super) fn of<'a>(sets: impl Iterator<Item = &'a LabelSet> + Clone) -> Self {
        let mut values: BTreeMap<&str, (HashSet<&str>, usize, usize)> = BTreeMap::new();
        let mut count = 0;
        for set in sets.clone() {
            count += 1;
            for (name, value) in set.iter() {
                let (distinct, present, length) = values.entry(name).or_default();
                distinct.insert(value);
                *present += 1;
                *length += value.len() + 1;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "only compared")]
        let mut ranked: Vec<(f64, &str)> = values
            .iter()
            .map(|(name, (distinct, present, length))| {
                let different = distinct.len() + usize::from(*present < count);
                let length = *length as f64 / *present as f64;
                let alone = if different == count && length <= READABLE { count as f64 } else { 0.0 };
                let common = *present as f64 / count as f64;
                (if different > 1 { alone + common * different as f64 / length.sqrt() } else { 0.0 }, *name)
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let names: Vec<String> = ranked.iter().map(|(_, name)| (*name).to_owned()).collect();
        let varying = ranked.iter().take_while(|(telling, _)| *telling > 0.0).count();
        let enough = (0..varying).find(|enough| are_told_apart(&names[..*enough], sets.clone(), count));
        Self { names, enough: enough.unwrap_or(varying) }
    }

    /// Puts the telling labels in front.
    pub(super) fn arrange(&self, set: &mut LabelSet) {
        set.0.sort_by_cached_key(|(name, _)| self.names.iter().position(|known| known == name));
    }

    /// Splits an arranged set into the labels that tell series apart, and the rest.
    pub(super) fn split(&self, mut set: LabelSet) -> (LabelSet, LabelSet) {
        self.arrange(&mut set);
        let (telling, rest) = set.0.into_iter().partition(|(name, _)| self.names[..self.enough].contains(name));
        (LabelSet(telling), LabelSet(rest))
    }
}

fn are_told_apart<'a>(names: &[String], sets: impl Iterator<Item = &'a LabelSet>, count: usize) -> bool {
    let mut seen = HashSet::with_capacity(count);
    sets.map(|set| names.iter().map(|name| set.get(name)).collect::<Vec<_>>()).all(|key| seen.insert(key))
}

/// Matchers over the labels of one thing.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<Matcher>);

impl Filter {
    /// Reads matchers such as `severity="page"` or `team=~"a|b"`, several in one text or one in each.
    pub(super) fn read(argument: &str, texts: &[String]) -> Result<Self> {
        let mut matchers = Vec::new();
        for text in texts {
            matchers.extend(read_matchers(text).ok_or_else(|| {
                Error::BadArguments(format!(
                    "{argument}: `{}` is no matcher; write it like severity=\"page\", team!=\"db\" or pod=~\"api-.*\"",
                    text.escape_debug()
                ))
            })?);
        }
        Ok(Self(matchers))
    }

    /// Whether all matchers hold.
    pub(super) fn holds(&self, labels: &LabelSet) -> bool {
        self.0.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
    }
}

/// A value without quotes is taken as it stands: people write it so, and there is one way to mean it.
fn read_matchers(text: &str) -> Option<Vec<Matcher>> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    parse_matchers(&format!("{{{inner}}}")).or_else(|| {
        let place = inner.find(['=', '!'])?;
        let (name, rest) = inner.split_at(place);
        let length = rest.find(|c: char| !"=!~".contains(c)).unwrap_or(rest.len());
        let (operator, value) = rest.split_at(length);
        let quoted = format!("{{{name}{operator}{}}}", quote(value.trim()));
        if value.contains('"') { None } else { parse_matchers(&quoted) }
    })
}

/// PromQL wants one matcher that no empty label fulfils; here that is not needed, so one is added and taken away.
fn parse_matchers(selector: &str) -> Option<Vec<Matcher>> {
    let inner = selector.strip_prefix('{')?.strip_suffix('}')?;
    match promql::parse(&format!("{{{METRIC_NAME}=\"x\",{inner}}}"))? {
        Expr::VectorSelector(selector) if selector.matchers.or_matchers.is_empty() && selector.offset.is_none() => {
            Some(selector.matchers.matchers.into_iter().skip(1).collect())
        }
        _ => None,
    }
}

/// A text as a string of PromQL.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", escape_string(text))
}

/// A selector of everything that has this name.
pub(super) fn named(metric: &str) -> String {
    format!("{{{METRIC_NAME}={}}}", quote(metric))
}

/// A label name where PromQL expects one; from 3.0 any text can be a name, in quotes.
pub(super) fn label_in_promql(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { quote(name) }
}

/// A label name as a path segment: other than plain ones are escaped
/// (prometheus.io/docs/prometheus/latest/querying/api, Querying label values; `ValueEncodingEscaping` in
/// prometheus/common `model/metric.go`).
pub(super) fn label_in_path(name: &str) -> String {
    if is_plain(name) && !name.starts_with("U__") {
        return name.to_owned();
    }
    let mut escaped = "U__".to_owned();
    for (place, c) in name.chars().enumerate() {
        match c {
            '_' => escaped.push_str("__"),
            'a'..='z' | 'A'..='Z' | ':' => escaped.push(c),
            '0'..='9' if place > 0 => escaped.push(c),
            _ => {
                let _ = write!(escaped, "_{:x}_", u32::from(c));
            }
        }
    }
    escaped
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>().into()
    }

    #[test]
    fn the_labels_that_tell_series_apart_come_first() {
        let sets = [
            set(&[("job", "api"), ("pod", "api-1"), ("uid", "0d5c1f3e-aaaa"), ("zone", "a")]),
            set(&[("job", "api"), ("pod", "api-2"), ("uid", "0d5c1f3e-bbbb"), ("zone", "b")]),
            set(&[("job", "api"), ("pod", "api-3"), ("uid", "0d5c1f3e-cccc"), ("zone", "b")]),
        ];
        let telling = Telling::of(sets.iter());
        assert_eq!(telling.names, ["pod", "uid", "zone", "job"]);
        let (apart, rest) = telling.split(sets[0].clone());
        assert_eq!(serde_json::to_string(&apart).unwrap(), r#"{"pod":"api-1"}"#);
        assert_eq!(rest.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["uid", "zone", "job"]);
        assert_eq!(Telling::of([set(&[("a", "1")])].iter()).enough, 0);
    }

    #[test]
    fn matchers_are_read_with_and_without_quotes_and_applied_to_whole_values() {
        let holds = |filter: &str, labels: &[(&str, &str)]| {
            Filter::read("filter", &[filter.to_owned()]).unwrap().holds(&set(labels))
        };
        let page = [("severity", "page"), ("team", "db")];
        for filter in
            ["severity=\"page\"", "severity=page", "{severity='page', team!=\"web\"}", "team=~\"d.\"", "gone=\"\"", ""]
        {
            assert!(holds(filter, &page), "{filter}");
        }
        for filter in ["severity=\"pag\"", "team=~\"d\"", "severity!=page", "team!~d.*", "gone=~\".+\""] {
            assert!(!holds(filter, &page), "{filter}");
        }
        for filter in ["severity", "=x", "a=\"b", "a=~\"(\"", "up{a=\"b\"}", "a=\"b\"} offset 5m {"] {
            let error = Filter::read("filter", &[filter.to_owned()]).unwrap_err().to_string();
            assert!(error.contains("severity=\"page\""), "{filter}: {error}");
        }
    }

    #[test]
    fn label_names_that_are_not_plain_are_escaped_in_paths() {
        for (name, path) in [
            ("job", "job"),
            ("__name__", "__name__"),
            ("service.name", "U__service_2e_name"),
            ("a_b/c", "U__a__b_2f_c"),
            ("9", "U___39_"),
            ("größe", "U__gr_f6__df_e"),
            ("U__x", "U__U____x"),
        ] {
            assert_eq!(label_in_path(name), path);
        }
    }
}
