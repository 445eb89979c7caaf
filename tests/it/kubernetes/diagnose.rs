//! The tools of `kubernetes/diagnose`.
