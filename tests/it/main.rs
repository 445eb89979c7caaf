//! Tests through the door: HTTP, standard input and output, the command line.
//!
//! - `harness`: starts the service, and what it needs; `stack`: finds the real components
//! - `cluster`: starts Kubernetes; `simulated`: whether that cluster behaves as a real one would
//! - `modern`, `legacy`, `two_endpoint`, `stdio`: the protocol, by era and transport
//! - `tasks`: calls that go on after their answer, and calls that ask first
//! - `prometheus`: tools against the real component
//! - `conformance`: the official suite, against its fixtures; `clients`: programs of others, each in every way it speaks
//! - `access`: who may call what; `limits`: and how much; `command_line`: commands and configuration
//! - `alertmanager`, `web_fetch`: tools against what they reach
//! - `fuzz`: whatever comes in; `hostile`: clients that mean harm, and slow networks
//! - `recordings`: every tool against recorded exchanges; `failures`: backends that are down, slow or wrong
//! - `catalogue`: names and descriptions of tools and prompts
//! - `replicas`: several processes that share a Redis, as one service
//! - `store`: what every home of the store promises; `redis`: starts real servers for it
//! - `structure`: the order of the modules; generated documents are fresh

#![expect(unreachable_pub, reason = "modules of one test binary")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[expect(dead_code, reason = "the benchmark and the playground use more of it")]
#[path = "../cluster/mod.rs"]
mod cluster;
mod harness;
mod stack;

mod access;
mod alertmanager;
mod catalogue;
mod clients;
mod command_line;
mod conformance;
mod failures;
mod fuzz;
mod hostile;
mod kubernetes;
mod legacy;
mod limits;
mod modern;
mod prometheus;
mod recordings;
mod redis;
mod replicas;
mod simulated;
mod stdio;
mod store;
mod structure;
mod tasks;
mod two_endpoint;
mod web_fetch;
