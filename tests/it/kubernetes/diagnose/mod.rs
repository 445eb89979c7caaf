//! What is broken, and why.

mod unhealthy;
