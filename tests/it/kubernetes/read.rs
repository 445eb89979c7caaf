//! The tools of `kubernetes/read`.
