//! The tools of `kubernetes/read`.

mod events;
mod get;
mod search;
mod tree;
