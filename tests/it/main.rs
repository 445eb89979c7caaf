//! Tests through the door: HTTP, standard input and output, the command line.
//!
//! - `harness`: starts the service, and what it needs; `stack`: finds the real components
//! - `modern`, `legacy`, `two_endpoint`, `stdio`: the protocol, by era and transport
//! - `access`: who may call what; `command_line`: commands and configuration
//! - `alertmanager`, `web_fetch`: tools against what they reach
//! - `structure`: the order of the modules; generated documents are fresh

mod harness;
mod stack;

mod access;
mod alertmanager;
mod command_line;
mod legacy;
mod modern;
mod stdio;
mod structure;
mod two_endpoint;
mod web_fetch;
