//! What somebody may wait for.

use serde_json::Value;

use super::super::model::condition;
use super::super::path::{ObjectPath, Room};
use super::super::pointer;
use super::{Verdict, complete, ready, rollout};
use crate::error::{Error, Result};

/// What is waited for.
#[derive(Clone, Debug)]
pub(in crate::tools::kubernetes) enum Until {
    Exists,
    Deleted,
    /// The object of this uid is gone, though there may be another one of its name.
    Replaced {
        uid: String,
    },
    Ready,
    RolledOut,
    Complete,
    Condition {
        kind: String,
        status: String,
    },
    Path {
        path: Box<ObjectPath>,
        value: Option<String>,
    },
}

impl Until {
    /// Reads `exists`, `deleted`, `ready`, `rolled_out`, `complete`, `Available=True` or `.status.phase=Running`.
    pub(in crate::tools::kubernetes) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        match text.to_ascii_lowercase().replace('-', "_").as_str() {
            "exists" | "create" | "created" => return Ok(Self::Exists),
            "deleted" | "delete" => return Ok(Self::Deleted),
            "ready" => return Ok(Self::Ready),
            "rolled_out" | "rollout" => return Ok(Self::RolledOut),
            "complete" | "completed" => return Ok(Self::Complete),
            _ => {}
        }
        let text = text.strip_prefix("condition=").or_else(|| text.strip_prefix("jsonpath=")).unwrap_or(text);
        if text.starts_with(['.', '{', '$']) {
            let (path, value) = match text.rsplit_once('=') {
                Some((path, value)) if !path.ends_with(['=', '!', '<', '>']) && !value.contains([')', ']']) => {
                    (path, Some(value.trim_matches(['"', '\'']).to_owned()))
                }
                _ => (text, None),
            };
            return Ok(Self::Path { path: Box::new(ObjectPath::parse("until", path)?), value });
        }
        let (kind, status) = text.split_once('=').unwrap_or((text, "True"));
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        };
        // A condition begins with a capital; anything else is more likely a misspelt word.
        if !is_word(kind) || !is_word(status) || !text.contains('=') && !kind.starts_with(|c: char| c.is_uppercase()) {
            return Err(Error::BadArguments(format!(
                "until: `{}` is none of exists, deleted, ready, rolled_out, complete, a condition such as Available=True, \
                 or a JSONPath such as .status.phase=Running",
                text.escape_debug()
            )));
        }
        Ok(Self::Condition { kind: kind.to_owned(), status: status.to_owned() })
    }

    /// Whether nothing needs to be there for it.
    pub(in crate::tools::kubernetes) fn is_deleted(&self) -> bool {
        matches!(self, Self::Deleted | Self::Replaced { .. })
    }

    /// Judges an object that is there.
    pub(in crate::tools::kubernetes) fn judge(&self, kind: &str, object: &Value) -> Verdict {
        match self {
            Self::Exists => Verdict::Met("it exists".into()),
            Self::Deleted => Verdict::Waiting(deletion(object)),
            Self::Replaced { uid } if object.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid) => {
                Verdict::Met("it is gone".into())
            }
            Self::Replaced { .. } => Verdict::Waiting(deletion(object)),
            Self::Ready => ready(kind, object),
            Self::RolledOut => match rollout::judge(kind, object) {
                Some(rollout) => rollout.verdict(),
                None => ready(kind, object),
            },
            Self::Complete => complete(kind, object),
            Self::Condition { kind: wanted, status } => by_condition(kind, wanted, status, object),
            Self::Path { path, value } => {
                let found = match path.of(object, &mut Room::default()) {
                    Ok(found) => found,
                    Err(error) => return Verdict::Failed(error.to_string()),
                };
                let shown = match &found {
                    Value::String(text) => text.clone(),
                    Value::Null => "nothing".into(),
                    other => other.to_string(),
                };
                let is_met = match value {
                    Some(value) => shown == *value && !found.is_null(),
                    None => !found.is_null(),
                };
                let told = format!("{} is {shown}", path.text());
                if is_met { Verdict::Met(told) } else { Verdict::Waiting(told) }
            }
        }
    }
}

/// What a condition says; a Job that failed never completes, and the other way round.
fn by_condition(kind: &str, wanted: &str, status: &str, object: &Value) -> Verdict {
    let conditions = condition::of(object);
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    match condition::find(&conditions, wanted) {
        Some(found) if found.observed_generation.is_some_and(|observed| observed < generation) => {
            Verdict::Waiting("its controller has not seen the change yet".into())
        }
        Some(found) if found.is(status) => Verdict::Met(found.told()),
        found => {
            if kind == "Job"
                && wanted.eq_ignore_ascii_case("complete")
                && let Verdict::Failed(why) = complete(kind, object)
            {
                return Verdict::Failed(why);
            }
            Verdict::Waiting(found.map_or_else(|| format!("it has no condition {wanted}"), condition::Condition::told))
        }
    }
}

/// Why an object is still there.
pub(in crate::tools::kubernetes) fn deletion(object: &Value) -> String {
    if object.pointer("/metadata/deletionTimestamp").is_none() {
        return "it is there, and nobody deletes it".into();
    }
    let names = pointer::texts(object, "/metadata/finalizers");
    if names.is_empty() {
        return "it is being deleted".into();
    }
    format!("it is being deleted, held by the finalizers {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_conditions_and_paths_are_told_apart() {
        let pod = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}});
        let judge = |text: &str| Until::parse(text).unwrap().judge("Pod", &pod);
        assert!(matches!(judge("exists"), Verdict::Met(_)));
        assert!(matches!(judge("Ready=False"), Verdict::Met(_)));
        assert_eq!(judge("condition=Ready"), Verdict::Waiting("Ready is False".into()));
        assert!(matches!(judge(".status.phase=Running"), Verdict::Met(_)));
        assert!(matches!(judge("jsonpath={.status.phase}=Pending"), Verdict::Waiting(_)));
        assert!(matches!(judge("{.status.none}"), Verdict::Waiting(_)));
        for wrong in ["redy", "", "a b=c", "=True"] {
            assert!(Until::parse(wrong).is_err(), "{wrong}");
        }
    }
}
