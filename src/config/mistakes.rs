//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use super::Config;
use super::check::Found;
use crate::yaml::Lines;

/// Something wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, as keys with points between.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where it was set.
    pub place: Option<Place>,
}

/// Where a setting was set. The order is that in which mistakes are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file: on a line, or it is about the file as a whole.
    File(PathBuf, Option<usize>),
    /// In a variable of the environment.
    Variable(String),
    /// By a flag of the command line.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, None) => write!(f, "{}", file.display()),
            Self::File(file, Some(line)) => write!(f, "{} line {line}", file.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub struct Faulty {
    pub(super) found: Vec<Found>,
    pub(super) places: Places,
    /// What is right in it, and harmless values elsewhere; none where nothing can be told of the rest.
    pub(super) rest: Option<Config>,
}

impl Faulty {
    /// All mistakes, by their place: also those that the parts find in the rest.
    ///
    /// `check` returns them as path of the key and a sentence; it is told whether the settings under a key are as the
    /// operator meant them.
    pub fn all(self, check: impl FnOnce(&Config, &dyn Fn(&str) -> bool) -> Vec<(String, String)>) -> Vec<Mistake> {
        let sure =
            |key: &str| !self.found.iter().any(|found| is_in(key, &found.doubtful) || is_in(&found.doubtful, key));
        let of_parts = self.rest.as_ref().map(|rest| check(rest, &sure)).unwrap_or_default();
        let follows = |key: &str| self.found.iter().any(|found| is_in(key, &found.doubtful));
        let more: Vec<(String, String)> = of_parts.into_iter().filter(|(key, _)| !follows(key)).collect();
        let found = self.found.iter().map(|found| (found.key.clone(), found.message.clone()));
        self.places.locate(found.chain(more))
    }
}

/// Where settings were set, to tell in a mistake.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) file: Option<(PathBuf, Lines)>,
    /// Keys that were set elsewhere, each over those before it.
    pub(super) others: Vec<(String, Place)>,
}

impl Places {
    /// Mistakes in the order of their places, each once.
    pub(super) fn locate(&self, mistakes: impl IntoIterator<Item = (String, String)>) -> Vec<Mistake> {
        let mut located: Vec<Mistake> = Vec::new();
        for (key, message) in mistakes {
            let mistake = Mistake { place: self.of(&key), key, message };
            if !located.contains(&mistake) {
                located.push(mistake);
            }
        }
        located.sort_by(|one, other| (one.place.is_none(), &one.place).cmp(&(other.place.is_none(), &other.place)));
        located
    }

    /// Where a key, or what it is in, was set.
    fn of(&self, key: &str) -> Option<Place> {
        if let Some((_, place)) = self.others.iter().rev().find(|(path, _)| is_in(key, path)) {
            return Some(place.clone());
        }
        let in_file = self.file.as_ref().and_then(|(file, lines)| {
            if key.is_empty() {
                return Some(Place::File(file.clone(), None));
            }
            let mut key = key;
            loop {
                if let Some(line) = lines.get(key) {
                    return Some(Place::File(file.clone(), Some(*line)));
                }
                key = key.rsplit_once('.')?.0;
            }
        });
        // A group that only a variable of the environment brought in.
        in_file.or_else(|| self.others.iter().find(|(path, _)| is_in(path, key)).map(|(_, place)| place.clone()))
    }
}

fn is_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
