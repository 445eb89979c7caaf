//! Lists that come part by part (kubernetes.io/docs/reference/using-api/api-concepts, "Retrieving large results sets in
//! chunks"): none goes on for ever.

use serde::{Deserialize, Deserializer};

use super::Kubernetes;
use super::request::Request;
use super::status::Refused;
use crate::error::{Error, Result};

/// Objects of one list that are read at most.
pub(super) const MOST_OBJECTS: usize = 50_000;

/// Parts in a row that may be empty though the list goes on.
const MOST_EMPTY: usize = 3;

/// What was read of a list so far.
#[derive(Debug)]
pub struct Parts {
    cluster: String,
    most_bytes: usize,
    objects: usize,
    bytes: usize,
    empty: usize,
}

impl Kubernetes {
    /// Counts the parts of a list.
    #[must_use]
    pub fn parts(&self) -> Parts {
        Parts::new(self.name(), self.cluster.most_bytes())
    }
}

impl Parts {
    /// Of a list of which one part may have so many bytes.
    pub(super) fn new(cluster: &str, most_bytes: usize) -> Self {
        Self { cluster: cluster.to_owned(), most_bytes: most_bytes.saturating_mul(2), objects: 0, bytes: 0, empty: 0 }
    }

    /// Takes one part.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where the list is too large, [`Error::Backend`] where it goes on with nothing in it.
    pub fn take(&mut self, objects: usize, bytes: usize, goes_on: bool) -> Result<()> {
        self.objects += objects;
        self.bytes += bytes;
        self.empty = if objects == 0 { self.empty + 1 } else { 0 };
        let advice = "ask for one namespace, or with labels";
        let cluster = &self.cluster;
        if self.bytes > self.most_bytes {
            let most = self.most_bytes >> 20;
            return Err(Error::BadArguments(format!(
                "kubernetes/{cluster} has more than {most} MiB of these; {advice}"
            )));
        }
        if self.objects > MOST_OBJECTS || (goes_on && self.objects == MOST_OBJECTS) {
            return Err(Error::BadArguments(format!(
                "kubernetes/{cluster} has more than {MOST_OBJECTS} of these; {advice}"
            )));
        }
        if goes_on && self.empty >= MOST_EMPTY {
            return Err(Error::Backend {
                backend: format!("kubernetes/{cluster}"),
                status: 200,
                message: format!(
                    "{MOST_EMPTY} parts of a list in a row are empty, and it says that more follow; {advice}"
                ),
            });
        }
        Ok(())
    }
}

/// Reads the part of a list that begins at a place, or the first one. Where the place is of a state that the API server has
/// forgotten, the list goes on after the same object, as it is now.
///
/// # Errors
/// Those of reading it.
pub async fn part_at<T, Reading>(
    request: Request,
    place: Option<&str>,
    read: impl Fn(Request) -> Reading,
) -> Result<T, Refused>
where
    Reading: Future<Output = Result<T, Refused>>,
{
    let Some(place) = place else { return read(request).await };
    match read(request.clone().query("continue", place)).await {
        Err(Refused::Status(status)) if status.code == 410 && !status.metadata.next.is_empty() => {
            read(request.query("continue", status.metadata.next)).await
        }
        other => other,
    }
}

/// The kind of a table, which must be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsTable;

impl<'de> Deserialize<'de> for IsTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer, "a Table", |kind| kind == "Table").map(|()| Self)
    }
}

/// The kind of a list, which must be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsList;

impl<'de> Deserialize<'de> for IsList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer, "a list", |kind| kind.ends_with("List")).map(|()| Self)
    }
}

fn named<'de, D: Deserializer<'de>>(
    deserializer: D,
    wanted: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<(), D::Error> {
    let kind = String::deserialize(deserializer)?;
    if fits(&kind) {
        return Ok(());
    }
    let kind: String = kind.chars().take(60).collect();
    Err(serde::de::Error::custom(format!("`{}` is not {wanted}", kind.escape_debug())))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{List, Table};
    use super::*;

    #[test]
    fn a_list_that_does_not_end_is_left() {
        let told = |parts: &[(usize, usize)]| {
            let mut counted = Parts::new("a", 1 << 20);
            let mut taken = parts.iter().map(|(objects, bytes)| counted.take(*objects, *bytes, true));
            taken.find_map(Result::err).map_or(String::new(), |error| error.to_string())
        };
        assert_eq!(told(&[(1, 1 << 20), (1, 1 << 20)]), "");
        assert!(told(&[(1, 1 << 20), (1, 1 << 20), (1, 1)]).contains("more than 2 MiB of these"));
        assert!(told(&[(40_000, 1), (10_000, 1)]).contains("more than 50000 of these"));
        assert!(told(&[(50_001, 1)]).contains("more than 50000 of these"));
        assert_eq!(told(&[(0, 1), (0, 1), (1, 1), (0, 1), (0, 1)]), "");
        assert!(told(&[(0, 1), (0, 1), (0, 1)]).contains("3 parts of a list in a row are empty"));
    }

    #[test]
    fn what_is_no_list_is_not_taken_for_an_empty_one() {
        let list = |value: Value| serde_json::from_value::<List>(value);
        assert!(list(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": null})).is_ok());
        for other in [json!({}), json!({"kind": "Pod", "metadata": {}}), json!({"items": []}), json!({"kind": 1})] {
            assert!(list(other).is_err());
        }
        let table = |value: Value| serde_json::from_value::<Table>(value);
        assert!(table(json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1"})).is_ok());
        let error = table(json!({"kind": "PodList", "items": []})).unwrap_err().to_string();
        assert_eq!(error, "`PodList` is not a Table");
        assert!(table(json!({})).is_err());
    }
}
