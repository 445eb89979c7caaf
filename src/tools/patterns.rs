//! Regular expressions that callers give: none of them may take all of the memory, or the threads that serve others.

use regex::{Regex, RegexBuilder};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, Result};

/// Bytes that a pattern may become: what a text takes to be searched grows with it.
/// A `\w` is 30 KiB, in any case.
const LARGEST: usize = 1 << 18;

/// Bytes that may be kept to search faster.
const LARGEST_CACHE: usize = 1 << 20;

/// Compiles what a caller gives.
///
/// # Errors
/// [`Error::BadArguments`], which names the argument.
pub(super) fn pattern(argument: &str, text: &str, case_sensitive: bool) -> Result<Regex> {
    compiled(text, case_sensitive)
        .map_err(|why| Error::BadArguments(format!("{argument}: not a regular expression that can be used: {why}")))
}

/// Compiles a pattern.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn compiled(text: &str, case_sensitive: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .case_insensitive(!case_sensitive)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST_CACHE)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large; use fewer and smaller repetitions".into(),
        other => {
            let reason = other.to_string();
            reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

/// Does what may take long, such as comparing long texts with a pattern, without holding up others.
pub(super) fn at_length<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_take_long_are_refused() {
        for text in [r"(?:[ab]?){3000}[^a-z]", r"\w{100}", r"(a{100}){100}", "[^a]{1000}x"] {
            let error = pattern("grep", text, true).unwrap_err().to_string();
            assert_eq!(
                error,
                "grep: not a regular expression that can be used: it is too large; use fewer and smaller repetitions",
                "{text}"
            );
        }
        assert!(pattern("grep", "(", true).unwrap_err().to_string().ends_with("unclosed group"));
    }

    #[test]
    fn what_people_search_for_is_understood() {
        let long = "checkout-service-".repeat(20);
        for text in [r"(?i)error|warn", r"\w+\s+\w+", r"status=5\d\d .* took [0-9.]+s", r"^\S+ \[\w+\] ", &long] {
            assert!(pattern("grep", text, true).is_ok(), "{text}");
            assert!(pattern("grep", text, false).is_ok(), "{text}");
        }
    }
}
