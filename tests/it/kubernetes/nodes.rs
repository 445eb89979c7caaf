//! The tools of `kubernetes/nodes`.
