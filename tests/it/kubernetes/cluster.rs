//! The tools of `kubernetes/cluster`.
