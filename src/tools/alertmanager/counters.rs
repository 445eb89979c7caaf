//! Alertmanager's counters about itself, in the text format of Prometheus.

use std::collections::BTreeMap;

/// One line of the format.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What an instance counts, since it started where it is a total.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Vec<Sample>);

impl Counters {
    /// Reads the text; lines that are no samples are passed over.
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// A figure without labels, or the sum over all.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let values: Vec<_> = self.0.iter().filter(|sample| sample.name == name).map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The sums for each value of a label.
    pub(super) fn sum_by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == name) {
            let value = sample.labels.get(label).map_or("", String::as_str);
            *sums.entry(value).or_default() += sample.value;
        }
        sums
    }
}

fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what comes after it.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, c) => value.push(c),
            }
        };
        labels.insert(name.trim().to_owned(), value);
        text = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_summed() {
        let counters = Counters::read(
            "# HELP f Total.\n# TYPE f counter\nf{integration=\"webhook\",reason=\"other\"} 2\n\
             f{integration=\"webhook\",reason=\"clientError\",} 3 1700000000000\nf{integration=\"em\\\"ail\"} 0\n\
             up 1\nbig 1.5e+03\n broken{a=\"b\" 1\nalso broken\n{} 1\nnan NaN\n",
        );
        assert_eq!(counters.sum("up"), Some(1.0));
        assert_eq!(counters.sum("big"), Some(1500.0));
        assert_eq!(counters.sum("f"), Some(5.0));
        assert_eq!(counters.sum("none"), None);
        assert_eq!(counters.sum_by("f", "integration"), [("webhook", 5.0), ("em\"ail", 0.0)].into());
        assert_eq!(counters.sum_by("up", "integration"), [("", 1.0)].into());
    }
}
