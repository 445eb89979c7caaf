//! The tools of `kubernetes/read`.

mod events;
mod get;
mod resource;
mod search;
mod tree;
