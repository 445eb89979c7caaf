//! One MCP endpoint for an organisation's cloud-native infrastructure.
//!
//! The modules stand in the order in which a call passes them; each may use those below it, never those above.

pub mod app;

pub mod remote;

pub mod config;

pub mod edge;

pub mod auth;

pub mod limits;

pub mod session;

pub mod mcp;

pub mod dispatch;

pub mod worker;

pub mod tools;

pub mod toolkit;

pub mod rights;

pub mod backends;

pub mod answers;

pub mod changes;

pub mod store;

pub mod telemetry;

pub mod call;

pub mod secrets;

pub mod caller;

pub mod error;

pub mod input;

pub mod yaml;
