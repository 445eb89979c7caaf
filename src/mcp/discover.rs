//! Who answers, and what it can do: `server/discover`, and the older `initialize`.

use serde_json::{Map, Value, json};

use super::era::Revision;
use super::{Engine, cacheable, tasks};

/// How long a client may keep what it discovered, in milliseconds.
const FRESH_FOR: u64 = 3_600_000;

/// `ServerCapabilities`.
pub type Capabilities = Map<String, Value>;

impl Engine {
    /// What answers in a revision; nothing else may be declared.
    #[must_use]
    pub fn capabilities(&self, revision: Revision) -> Capabilities {
        let changing = |also: Value| {
            let Value::Object(mut map) = also else { return json!({}) };
            if self.offer.changing {
                map.insert("listChanged".into(), true.into());
            }
            Value::Object(map)
        };
        let mut capabilities = Map::new();
        capabilities.insert("tools".into(), changing(json!({})));
        if !self.offer.prompts.is_empty() {
            capabilities.insert("prompts".into(), changing(json!({})));
        }
        let resources = if self.watches() { json!({"subscribe": true}) } else { json!({}) };
        capabilities.insert("resources".into(), changing(resources));
        if revision >= Revision::V2025_03_26 {
            capabilities.insert("completions".into(), json!({}));
        }
        if self.offer.logging {
            capabilities.insert("logging".into(), json!({}));
        }
        if revision.is_modern() {
            capabilities.insert("extensions".into(), json!({ tasks::EXTENSION: {} }));
        }
        capabilities
    }

    pub(super) fn discover(&self) -> Map<String, Value> {
        let mut result = Map::new();
        result.insert("supportedVersions".into(), json!(Revision::names()));
        result.insert("capabilities".into(), self.capabilities(Revision::V2026_07_28).into());
        result.insert("instructions".into(), self.identity.instructions.clone().into());
        cacheable(Revision::V2026_07_28, &mut result, FRESH_FOR);
        result
    }

    /// The result of `initialize` for a negotiated revision.
    #[must_use]
    pub fn initialize(&self, revision: Revision) -> Value {
        let mut implementation = self.identity.implementation.clone();
        if let Value::Object(implementation) = &mut implementation
            && revision < Revision::V2025_06_18
        {
            implementation.shift_remove("title");
        }
        json!({
            "protocolVersion": revision,
            "capabilities": self.capabilities(revision),
            "serverInfo": implementation,
            "instructions": self.identity.instructions,
        })
    }
}
