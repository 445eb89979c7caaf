//! The tree of routes, and the way an alert takes through it (dispatch/route.go of Alertmanager).

use super::api::Labels;
use super::matchers::{self, Matcher, match_all};

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// What an alert must be like to come here; the root takes all.
    pub(super) matchers: Vec<Matcher>,
    /// Whether an alert that came here is offered to the routes after this one too.
    pub(super) continues: bool,
    /// What applies here, with what it inherits.
    pub(super) settings: Settings,
    /// Tried in order before the route itself.
    pub(super) children: Vec<Route>,
}

/// How alerts are notified that end at a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) receiver: String,
    /// Labels that groups are made by; `...` for all.
    pub(super) group_by: Vec<String>,
    pub(super) group_wait: String,
    pub(super) group_interval: String,
    pub(super) repeat_interval: String,
    /// Time intervals in which it is quiet. Not inherited.
    pub(super) mute_time_intervals: Vec<String>,
    /// Time intervals outside of which it is quiet. Not inherited.
    pub(super) active_time_intervals: Vec<String>,
}

/// The routes from the root to the one where an alert ends.
pub(super) type Path<'a> = Vec<&'a Route>;

impl Route {
    /// Where an alert with these labels ends: one path for each notification.
    pub(super) fn paths(&self, labels: &Labels) -> Vec<Path<'_>> {
        if !match_all(&self.matchers, labels) {
            return Vec::new();
        }
        let mut paths = Vec::new();
        for child in &self.children {
            let below = child.paths(labels);
            let taken = !below.is_empty() && !child.continues;
            paths.extend(below);
            if taken {
                break;
            }
        }
        if paths.is_empty() {
            paths.push(Vec::new());
        }
        for path in &mut paths {
            path.insert(0, self);
        }
        paths
    }

    /// All routes in the order of the configuration, each with its depth.
    pub(super) fn all(&self) -> Vec<(usize, &Self)> {
        let mut all = vec![(0, self)];
        for child in &self.children {
            all.extend(child.all().into_iter().map(|(depth, route)| (depth + 1, route)));
        }
        all
    }

    /// What it takes, for a person.
    pub(super) fn name(&self) -> String {
        if self.matchers.is_empty() { "all alerts".into() } else { matchers::in_words(&self.matchers) }
    }

    /// The tree, one line a route: what it takes, where it leads, and what is different from the route above.
    pub(super) fn tree(&self) -> String {
        let mut text = self.line(None);
        self.branches(&mut text, "");
        text
    }

    fn branches(&self, text: &mut String, indent: &str) {
        for (place, child) in self.children.iter().enumerate() {
            let is_last = place + 1 == self.children.len();
            let (branch, below) = if is_last { ("└ ", "  ") } else { ("├ ", "│ ") };
            text.push_str(&format!("\n{indent}{branch}{}", child.line(Some(&self.settings))));
            child.branches(text, &format!("{indent}{below}"));
        }
    }

    fn line(&self, above: Option<&Settings>) -> String {
        let mut remarks = self.settings.remarks(above);
        if self.continues {
            remarks.push("then continues".into());
        }
        let remarks = if remarks.is_empty() { String::new() } else { format!("  ({})", remarks.join(", ")) };
        format!("{} → {}{remarks}", self.name(), self.settings.receiver)
    }
}

impl Settings {
    /// What is worth telling: everything, or what is different from the route above.
    pub(super) fn remarks(&self, above: Option<&Self>) -> Vec<String> {
        let grouping = match self.group_by.as_slice() {
            [] => "all in one group".into(),
            [all] if all == "..." => "each alert by itself".into(),
            labels => format!("grouped by {}", labels.join(" ")),
        };
        let mut remarks = Vec::new();
        if above.is_none_or(|above| above.group_by != self.group_by) {
            remarks.push(grouping);
        }
        let times = [
            ("wait", &self.group_wait, above.map(|above| &above.group_wait)),
            ("interval", &self.group_interval, above.map(|above| &above.group_interval)),
            ("repeat", &self.repeat_interval, above.map(|above| &above.repeat_interval)),
        ];
        let differ = times.into_iter().filter(|(_, own, above)| above.is_none_or(|above| above != *own));
        remarks.extend(differ.map(|(name, own, _)| format!("{name} {own}")));
        if !self.mute_time_intervals.is_empty() {
            remarks.push(format!("quiet during {}", self.mute_time_intervals.join(" ")));
        }
        if !self.active_time_intervals.is_empty() {
            remarks.push(format!("only during {}", self.active_time_intervals.join(" ")));
        }
        remarks
    }
}
