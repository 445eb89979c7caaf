//! Which objects of a list are meant, where that can be told from their names and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use kube::core::{Expression, Selector, SelectorExt as _};
use regex::Regex;

/// One requirement of a label selector, of which the API server would accept every word
/// (kubernetes.io/docs/concepts/overview/working-with-objects/labels).
static REQUIREMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x) ^ \s* (?P<not> ! \s* )?
        (?P<key> (?: [a-z0-9] (?: [a-z0-9.-]* [a-z0-9] )? / )? [A-Za-z0-9] (?: [A-Za-z0-9_.-]* [A-Za-z0-9] )? )
        (?: \s* (?P<sign> == | = | != ) \s* (?P<value> [A-Za-z0-9] (?: [A-Za-z0-9_.-]* [A-Za-z0-9] )? )
          | \s+ (?P<set> in | notin ) \s* \( (?P<values> [A-Za-z0-9_.,\s-]+ ) \) )? \s* $",
    )
    .expect("a pattern of ours")
});

/// One requirement of a field selector that names objects.
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^metadata\.(name|namespace)==?([a-z0-9.-]+)$").expect("a pattern of ours"));

/// Characters of a name or value that the API server accepts at most.
const LONGEST: usize = 63;

/// Some objects of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    labels: Selector,
    name: Option<String>,
    namespace: Option<String>,
}

impl Choice {
    /// The objects of a kind, with namespaces or not, that selectors choose; none where the API server has to be asked which
    /// those are, or what is wrong.
    pub(super) fn parse(labels: Option<&str>, fields: Option<&str>, namespaced: bool) -> Option<Self> {
        let mut choice = Self::default();
        for requirement in parts(labels.unwrap_or_default()) {
            choice.labels.extend([requirement_of(requirement)?]);
        }
        for requirement in parts(fields.unwrap_or_default()) {
            let found = FIELD.captures(requirement)?;
            let wanted = if &found[1] == "name" { &mut choice.name } else { &mut choice.namespace };
            if wanted.replace(found[2].to_owned()).is_some() {
                return None;
            }
        }
        (namespaced || choice.namespace.is_none()).then_some(choice)
    }

    /// Whether all objects are meant.
    pub(super) fn is_all(&self) -> bool {
        self.labels.selects_all() && self.name.is_none() && self.namespace.is_none()
    }

    /// Whether this object is meant.
    pub(super) fn takes(&self, namespace: &str, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && self.labels.matches(labels)
    }
}

/// The requirements of a selector: between commas, but not those in parentheses.
fn parts(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let is_end = move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    let is_empty = selector.trim().is_empty();
    selector.split(is_end).filter(move |_| !is_empty)
}

fn requirement_of(text: &str) -> Option<Expression> {
    let found = REQUIREMENT.captures(text)?;
    let part = |name: &str| found.name(name).map(|part| part.as_str());
    let key = part("key").filter(|key| key.len() <= LONGEST)?.to_owned();
    let value = |text: &str| (1..=LONGEST).contains(&text.len()).then(|| text.to_owned());
    let values = || part("values")?.split(',').map(|one| value(one.trim())).collect::<Option<BTreeSet<_>>>();
    Some(match (part("not"), part("sign"), part("set")) {
        (None, None, None) => Expression::Exists(key),
        (Some(_), None, None) => Expression::DoesNotExist(key),
        (None, Some("!="), None) => Expression::NotEqual(key, value(part("value")?)?),
        (None, Some(_), None) => Expression::Equal(key, value(part("value")?)?),
        (None, None, Some("in")) => Expression::In(key, values()?),
        (None, None, Some(_)) => Expression::NotIn(key, values()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(labels: &str, own: &[(&str, &str)]) -> Option<bool> {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some(Choice::parse(Some(labels), None, true)?.takes("shop", "web-1", &own))
    }

    #[test]
    fn labels_are_compared_as_the_api_server_does() {
        let own = [("app", "web"), ("tier", "front"), ("example.org/team", "shop")];
        for (labels, expected) in [
            ("", true),
            ("app=web", true),
            ("app == web , tier=front", true),
            ("app=web,tier=back", false),
            ("app!=db", true),
            ("missing!=x", true),
            ("missing=x", false),
            ("app in (web, db)", true),
            ("app in(db)", false),
            ("app notin (db,cache)", true),
            ("missing notin (a)", true),
            ("example.org/team", true),
            ("missing", false),
            ("!missing", true),
            ("!app", false),
        ] {
            assert_eq!(takes(labels, &own), Some(expected), "{labels}");
        }
    }

    #[test]
    fn what_the_api_server_reads_otherwise_or_refuses_is_left_to_it() {
        for labels in ["app in", "a=b,", "a>1", "a=b=c", "!a=b", "a in ()", "a in (b,,c)", "a b", "a=-b", "-a=b", "a="]
        {
            assert!(takes(labels, &[]).is_none(), "{labels}");
        }
        assert!(takes(&format!("a={}", "x".repeat(64)), &[]).is_none());
    }

    #[test]
    fn fields_that_name_objects_are_known_and_no_others() {
        let takes =
            |fields: &str| Some(Choice::parse(None, Some(fields), true)?.takes("shop", "web-1", &BTreeMap::new()));
        assert_eq!(takes("metadata.name=web-1"), Some(true));
        assert_eq!(takes("metadata.name=web-2"), Some(false));
        assert_eq!(takes("metadata.namespace==shop,metadata.name=web-1"), Some(true));
        assert_eq!(takes("metadata.namespace=other"), Some(false));
        for fields in ["status.phase=Failed", "metadata.name!=a", "metadata.name=a,metadata.name=b", "metadata.name"] {
            assert!(takes(fields).is_none(), "{fields}");
        }
        assert!(Choice::parse(None, Some("metadata.namespace=shop"), false).is_none());
    }
}
