//! What is broken, and why.

mod check_service;
mod resource;
mod unhealthy;
