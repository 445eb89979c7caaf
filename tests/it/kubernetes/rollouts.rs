//! The tools of `kubernetes/rollouts`.
