//! Paths into objects: JSONPath as kubectl writes it (kubernetes.io/docs/reference/kubectl/jsonpath), and RFC 9535.

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use crate::error::{Error, Result};

/// Characters of one path.
const LONGEST: usize = 200;

/// Filters in one path.
const MOST_FILTERS: usize = 2;

/// Commas in one path: each may double what is found.
const MOST_COMMAS: usize = 3;

/// Paths that one argument may have.
pub(super) const MOST_PATHS: usize = 20;

/// Bytes that the places of all values in an object may take, which the evaluation keeps.
const LARGEST_PLACES: usize = 64 << 20;

/// Bytes of what all paths of one call may find.
const LARGEST_FOUND: usize = 16 << 20;

/// Room for what is found by all paths of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(LARGEST_FOUND)
    }
}

/// A path, already understood.
#[derive(Clone, Debug)]
pub(super) struct ObjectPath {
    text: String,
    query: JpQuery,
}

impl ObjectPath {
    /// Reads `.spec.nodeName`, `{.spec.nodeName}`, `spec.nodeName` or `$.spec.nodeName`.
    ///
    /// # Errors
    /// [`Error::BadArguments`], which names the argument, also where the path could take long to be understood or followed.
    pub(super) fn parse(argument: &str, text: &str) -> Result<Self> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(inner);
        let path = match inner.chars().next() {
            Some('$') => inner.to_owned(),
            Some('.' | '[') => format!("${inner}"),
            _ => format!("$.{inner}"),
        };
        check(&path).map_err(|why| {
            let shown: String = text.chars().take(LONGEST).collect();
            Error::BadArguments(format!("{argument}: `{}`: {why}", shown.escape_debug()))
        })?;
        match parse_json_path(&path) {
            Ok(query) => Ok(Self { text: text.trim().to_owned(), query }),
            Err(_) => Err(Error::BadArguments(format!(
                "{argument}: `{}` is not a JSONPath; write for example .spec.nodeName or .spec.containers[*].image",
                text.escape_debug()
            ))),
        }
    }

    /// As the caller wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is there: nothing, one value, or a list of several.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where the object, or what is found in it, is too large.
    pub(super) fn of(&self, object: &Value, room: &mut Room) -> Result<Value> {
        let too_large = |what: &str| {
            Error::BadArguments(format!(
                "`{}`: {what}; ask for less, or for the whole object",
                self.text.escape_debug()
            ))
        };
        let mut places = LARGEST_PLACES;
        if !fits_places(object, 1, &mut places) {
            return Err(too_large("an object is too large to follow a path in it"));
        }
        let found = js_path_process(&self.query, object).unwrap_or_default();
        if !found.iter().all(|found| fits(found.clone().val(), &mut room.0)) {
            return Err(too_large(&format!("these paths find more than {} MiB", LARGEST_FOUND >> 20)));
        }
        let mut values: Vec<Value> = found.into_iter().map(|found| found.val().clone()).collect();
        Ok(match values.len() {
            0 => Value::Null,
            1 => values.remove(0),
            _ => Value::Array(values),
        })
    }
}

/// Refuses several paths that are too many.
pub(super) fn check_count(argument: &str, count: usize) -> Result<()> {
    if count <= MOST_PATHS {
        return Ok(());
    }
    Err(Error::BadArguments(format!("{argument}: {count} are too many, {MOST_PATHS} is the most; ask in parts")))
}

/// Refuses what the grammar allows and could take for ever to be read or followed: functions, filters in filters, and what
/// multiplies. The grammar goes back and tries again at each parenthesis.
fn check(path: &str) -> Result<(), String> {
    if path.chars().count() > LONGEST {
        return Err(format!("a path has at most {LONGEST} characters"));
    }
    let mut quote = None;
    let mut is_escaped = false;
    let (mut filters, mut commas, mut descents, mut brackets, mut filter) = (0, 0, 0, 0_usize, None);
    let mut last = ' ';
    for character in path.chars() {
        if let Some(closing) = quote {
            if is_escaped {
                is_escaped = false;
            } else if character == '\\' {
                is_escaped = true;
            } else if character == closing {
                quote = None;
            }
            last = character;
            continue;
        }
        match character {
            '"' | '\'' => quote = Some(character),
            '[' => brackets += 1,
            ']' => {
                brackets = brackets.saturating_sub(1);
                filter = filter.filter(|depth| *depth <= brackets);
            }
            '?' if filter.is_some() => return Err("a filter cannot be in another one".into()),
            '?' => {
                filters += 1;
                filter = Some(brackets);
            }
            '(' if last != '?' => {
                return Err("functions and inner parentheses are not understood; compare fields, as in \
                            [?(@.type==\"Ready\")]"
                    .into());
            }
            ',' => commas += 1,
            '.' if last == '.' => descents += 1,
            '*' | '$' if filter.is_some() => return Err("a filter compares fields of `@` only".into()),
            _ => {}
        }
        if filter.is_some() && (character == '.' && last == '.' || character == ',') {
            return Err("a filter compares fields of `@` only".into());
        }
        if !character.is_whitespace() {
            last = character;
        }
    }
    match (filters, commas, descents) {
        (filters, ..) if filters > MOST_FILTERS => Err(format!("a path has at most {MOST_FILTERS} filters")),
        (_, commas, _) if commas > MOST_COMMAS => Err(format!("a path has at most {MOST_COMMAS} commas")),
        (_, _, descents) if descents > 1 => Err("a path has `..` at most once".into()),
        (_, 1.., 1) => Err("a path has `..` or commas, not both".into()),
        _ => Ok(()),
    }
}

/// Whether there is room for the places of all values in this one, which each name all keys above them.
fn fits_places(value: &Value, place: usize, room: &mut usize) -> bool {
    let Some(left) = room.checked_sub(place + 32) else { return false };
    *room = left;
    match value {
        Value::Array(items) => items.iter().all(|item| fits_places(item, place + 8, room)),
        Value::Object(map) => map.iter().all(|(key, item)| fits_places(item, place + key.len() + 4, room)),
        _ => true,
    }
}

/// Whether there is room for a copy of a value; takes it away.
fn fits(value: &Value, room: &mut usize) -> bool {
    let bytes = match value {
        Value::String(text) => text.len(),
        _ => 0,
    };
    let Some(left) = room.checked_sub(bytes + 32) else { return false };
    *room = left;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, room)),
        Value::Object(map) => map.iter().all(|(key, item)| {
            let left = room.checked_sub(key.len() + 32);
            *room = left.unwrap_or_default();
            left.is_some() && fits(item, room)
        }),
        _ => true,
    }
}

/// Whether a text is meant as a path, and not as the name of a column.
pub(super) fn is_path(text: &str) -> bool {
    text.trim_start().starts_with(['.', '{', '$', '['])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str, object: &Value) -> Value {
        ObjectPath::parse("columns", text).unwrap().of(object, &mut Room::default()).unwrap()
    }

    #[test]
    fn paths_may_be_written_as_kubectl_takes_them() {
        let pod = json!({"spec": {"nodeName": "n1", "containers": [{"image": "a"}, {"image": "b"}]}});
        for text in [".spec.nodeName", "{.spec.nodeName}", "spec.nodeName", "$.spec.nodeName"] {
            assert_eq!(found(text, &pod), json!("n1"), "{text}");
        }
        assert_eq!(found(".spec.containers[*].image", &pod), json!(["a", "b"]));
        assert_eq!(found(".spec.none", &pod), Value::Null);
        assert_eq!(found("$..image", &pod), json!(["a", "b"]));
        assert_eq!(found("{.spec.containers[?(@.image==\"b\")].image}", &pod), json!("b"));
        assert_eq!(found(".spec.containers[?@.image != 'a' && @.image != 'x' ].image", &pod), json!("b"));
        assert_eq!(found(".spec['nodeName','none'].x", &pod), Value::Null);
    }

    #[test]
    fn what_is_no_path_is_refused_with_an_example() {
        let error = ObjectPath::parse("columns", ".spec[").unwrap_err().to_string();
        assert_eq!(
            error,
            "columns: `.spec[` is not a JSONPath; write for example .spec.nodeName or .spec.containers[*].image"
        );
    }

    #[test]
    fn what_could_take_for_ever_is_refused_at_once() {
        let nested = |function: &str| format!("$[?{}#{}]", format!("{function}(").repeat(20), ")".repeat(20));
        for (path, why) in [
            (nested("length"), "functions"),
            (nested("value"), "functions"),
            (nested(""), "functions"),
            (nested("?"), "a filter cannot be in another one"),
            ("$..[?count($..[?count($..*)>0])>0]".into(), "functions"),
            ("$[?@[?@[?@.a]]]".into(), "a filter cannot be in another one"),
            ("$[?$..a == 1]".into(), "fields of `@` only"),
            ("$[?@..a]".into(), "fields of `@` only"),
            ("$[?@[*]]".into(), "fields of `@` only"),
            ("$..a..b".into(), "`..` at most once"),
            ("$..[*,*]".into(), "not both"),
            ("$[*,*][*,*][*,*][*,*]".into(), "at most 3 commas"),
            ("$[?@.a][?@.b][?@.c]".into(), "at most 2 filters"),
            (format!(".{}", "a".repeat(300)), "at most 200 characters"),
        ] {
            let error = ObjectPath::parse("select", &path).unwrap_err().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
        // What stands in quotes is a name, whatever it is made of.
        assert_eq!(found(".a['x(y)?\\'..,,,,'].b", &json!({"a": {"x(y)?'..,,,,": {"b": 1}}})), json!(1));
    }

    #[test]
    fn what_is_found_has_a_bound() {
        let mut object = json!(vec![0; 10_000]);
        for _ in 0..100 {
            object = json!({"a": object});
        }
        let all = ObjectPath::parse("select", "$..*").unwrap();
        assert!(all.of(&object, &mut Room::default()).unwrap_err().to_string().contains("more than 16 MiB"));
        let wide = json!({"k".repeat(100_000): vec![0; 10_000]});
        assert!(all.of(&wide, &mut Room::default()).unwrap_err().to_string().contains("too large"));
    }
}
