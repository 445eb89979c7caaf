//! What is broken, and why.

mod resource;
mod unhealthy;
