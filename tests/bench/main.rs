//! Measures the server under load, beside the backend it asks and beside another server if there is one.
//!
//! `cargo build --release && cargo run --release --example load`; docs/BENCHMARK.md explains the figures.

mod calls;
#[expect(dead_code, unreachable_pub, reason = "tests use it too, and more of it")]
#[path = "../cluster/mod.rs"]
mod cluster;
mod connection;
mod kubernetes;
mod measure;
mod process;
mod prometheus;
mod report;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use calls::{Call, Endpoint, Era};
use clap::Parser;
use kubernetes::{Peer, Pods, until_kept};
use measure::Row;
use process::{Figures, Server};
use prometheus::Prometheus;
use report::Report;
use serde_json::json;

/// Measures the server under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds for each row, after a tenth of it to warm up.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Callers at once: one connection each, one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    callers: Vec<usize>,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// An MCP endpoint to measure in the same run, for example `http://127.0.0.1:9000/mcp`.
    #[arg(long, value_name = "URL")]
    other_url: Option<String>,
    /// Its bearer token.
    #[arg(long, value_name = "KEY")]
    other_key: Option<String>,
    /// Its process, to measure what it takes.
    #[arg(long, value_name = "PID")]
    other_pid: Option<u32>,
    /// A tool to call there, with its arguments: `name={"argument": 1}`. Can be given several times.
    #[arg(long, value_name = "CALL", value_parser = Call::of_tool)]
    other_call: Vec<Call>,
    /// Everything at once for so many seconds instead: fails on errors, and on memory that goes on growing.
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Lists of so many pods instead, on a cluster of its own: the API server alone, and our server before it, without and
    /// with a watch that keeps them up to date.
    #[arg(long, value_name = "PODS")]
    kubernetes: Option<usize>,
    /// The program of kubernetes-mcp-server, to measure it on the same cluster.
    #[arg(long, value_name = "PROGRAM", requires = "kubernetes")]
    peer: Option<PathBuf>,
    /// JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Something to measure: where it is, and where its process shows what it takes.
struct Measured<'a> {
    name: &'static str,
    endpoint: &'a Endpoint,
    figures: Option<Figures>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whatever was started ends when it goes out of scope, and so also when somebody loses patience.
    let outcome = tokio::select! {
        outcome = run(&arguments) => outcome,
        () = process::asked_to_end() => Err("stopped".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            report::complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(pods) = arguments.kubernetes {
        return lists(arguments, pods).await;
    }
    let backend = Prometheus::start()?;
    let server = Server::start(&backend.configuration()).await?;
    if let Some(seconds) = arguments.soak {
        soak::run(&server, Duration::from_secs(seconds)).await?;
        return server.end().await;
    }
    let mut report = Report::new(arguments.seconds, arguments.json);
    let ours = Measured { name: "ours", endpoint: &server.endpoint, figures: Some(server.figures()) };
    for callers in &arguments.callers {
        for era in Era::BOTH {
            for call in own_calls() {
                row(arguments, &ours, &call, era, *callers, &mut report).await?;
            }
        }
        let direct = Measured { name: "fake Prometheus", endpoint: &backend.endpoint, figures: None };
        row(arguments, &direct, &Call::plain("query", prometheus::REQUEST), Era::None, *callers, &mut report).await?;
    }
    for era in Era::BOTH {
        row(arguments, &ours, &streamed(), era, 1, &mut report).await?;
    }
    if let Some(url) = &arguments.other_url {
        let endpoint = Endpoint::new(url, arguments.other_key.as_deref())?;
        let other =
            Measured { name: "other", endpoint: &endpoint, figures: arguments.other_pid.map(Figures::of_process) };
        let calls: Vec<_> = [Call::list()].into_iter().chain(arguments.other_call.clone()).collect();
        for callers in &arguments.callers {
            for (era, call) in Era::BOTH.into_iter().flat_map(|era| calls.iter().map(move |call| (era, call))) {
                row(arguments, &other, call, era, *callers, &mut report).await?;
            }
        }
    }
    report.finish();
    server.end().await
}

/// Lists of pods, by the API server, by ours without and with a watch, and by the other server.
async fn lists(arguments: &Arguments, pods: usize) -> Result<(), String> {
    let pods = Pods::start(pods).await?;
    let server = Server::start(&pods.configuration(false)).await?;
    let keeping = Server::start(&pods.configuration(true)).await?;
    let peer = match &arguments.peer {
        Some(program) => Some(Peer::start(program, &pods).await?),
        None => None,
    };
    let mut report = Report::new(arguments.seconds, arguments.json);
    let api = pods.direct()?;
    let direct = Measured { name: "API server", endpoint: &api, figures: None };
    let ours = Measured { name: "ours", endpoint: &server.endpoint, figures: Some(server.figures()) };
    let kept = Measured { name: "ours, warm", endpoint: &keeping.endpoint, figures: Some(keeping.figures()) };
    for callers in &arguments.callers {
        for (plain, call) in pods.calls()? {
            row(arguments, &direct, &plain, Era::None, *callers, &mut report).await?;
            for era in Era::BOTH {
                row(arguments, &ours, &call, era, *callers, &mut report).await?;
            }
            until_kept(&keeping.endpoint, &call).await?;
            for era in Era::BOTH {
                row(arguments, &kept, &call, era, *callers, &mut report).await?;
            }
        }
        for (peer, call) in peer.iter().flat_map(|peer| pods.peer_calls().into_iter().map(move |call| (peer, call))) {
            let other = Measured { name: "other", endpoint: &peer.endpoint, figures: Some(peer.figures()) };
            row(arguments, &other, &call, Era::Legacy, *callers, &mut report).await?;
        }
    }
    report.finish();
    keeping.end().await?;
    server.end().await
}

/// What is asked of our server: a tool without a backend, the list, and a tool with a backend.
fn own_calls() -> [Call; 3] {
    [
        Call::tool("utilities_get_time", json!({})),
        Call::list(),
        Call::tool("prometheus_query", json!({"query": prometheus::QUERY})),
    ]
}

/// A call that is answered by a stream: its p50 grows by 40 ms where `TCP_NODELAY` was lost.
fn streamed() -> Call {
    Call::tool("utilities_sleep", json!({"duration": "1ms"})).with_progress().named("utilities_sleep 1ms, streamed")
}

/// Measures one row. Where the other server does not answer, the row says so; ours must answer.
async fn row(
    arguments: &Arguments,
    measured: &Measured<'_>,
    call: &Call,
    era: Era,
    callers: usize,
    report: &mut Report,
) -> Result<(), String> {
    if !call.name.contains(&arguments.only) {
        return Ok(());
    }
    let length = Duration::from_secs_f64(arguments.seconds);
    let load = measure::load(measured.endpoint, call, era, callers, length, measured.figures.as_ref()).await;
    let refused = load.as_ref().err().cloned();
    report.add(Row { server: measured.name, call: call.name.clone(), era, callers, load });
    match refused {
        Some(reason) if measured.name != "other" => Err(format!("{}: {reason}", call.name)),
        _ => Ok(()),
    }
}
