//! Starts real Redis servers: alone, watched by Sentinels, behind TLS, killed, paused.

use std::path::PathBuf;
use std::sync::Arc;

use cloud_native_mcp::config::Config;
use cloud_native_mcp::store::{Redis, RedisConfig, Store};
use nix::sys::signal::Signal;

use crate::harness::{Folder, Process, eventually, free_port};
use crate::stack;

/// A server on a port of this machine. It keeps nothing on disk.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    folder: Folder,
    /// Its configuration, where it has one.
    file: Option<String>,
    arguments: Vec<String>,
    process: Option<Process>,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// Starts a server.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more arguments.
    pub async fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = stack::program("redis-server")?;
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server =
            Self { program, folder: Folder::new(), arguments, process: None, port: free_port(), file: None };
        server.restart().await;
        Some(server)
    }

    /// Starts a Sentinel with this file, in which it keeps what it learns.
    pub async fn start_sentinel(file: &str) -> Option<Self> {
        let program = stack::program("redis-server")?;
        let arguments = vec!["--sentinel".to_owned()];
        let mut server = Self {
            program,
            folder: Folder::new(),
            arguments,
            process: None,
            port: free_port(),
            file: Some(file.to_owned()),
        };
        server.restart().await;
        Some(server)
    }

    /// Starts it (again) where it was, with nothing in it.
    pub async fn restart(&mut self) {
        self.kill().await;
        let port = self.port.to_string();
        let folder = self.folder.path().display().to_string();
        let mut arguments: Vec<&str> = self.file.iter().map(String::as_str).collect();
        arguments.extend(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &folder]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.process = Some(Process::start(&self.program, &arguments));
        let url = self.url();
        eventually("the server accepts connections", async || {
            let client = redis::Client::open(url.as_str()).unwrap();
            client.get_multiplexed_async_connection().await.ok()
        })
        .await;
    }

    /// Ends it as a crash would.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.0.kill().await.unwrap();
        }
    }

    /// Stops it without ending it: connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let id = i32::try_from(process.0.id().expect("it runs")).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How a store reaches it, with patience for a machine that is busy with other tests.
    pub fn config(&self) -> RedisConfig {
        RedisConfig { url: self.url(), timeout_milliseconds: 10_000, ..Config::defaults().store.redis }
    }

    /// A store in it.
    pub fn store(&self) -> Arc<dyn Store> {
        store(&self.config())
    }

    /// A connection of its own, to look at what is there.
    pub async fn look(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

/// A store that is reached like this.
pub fn store(config: &RedisConfig) -> Arc<dyn Store> {
    Arc::new(Redis::new(config).unwrap())
}
