//! The tools of `kubernetes/pods`.
