//! Clients that others wrote, in every era and over every transport that each speaks (`tests/stack/clients/matrix.json`).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cloud_native_mcp::caller::Effect;
use cloud_native_mcp::secrets::random_token;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::process::Command;

use crate::harness::{Folder, Service, binary};
use crate::stack;

/// Exchanges that are played at a time.
const AT_A_TIME: usize = 2;

/// How long one may take: a little more than the clients give themselves.
const PATIENCE: Duration = Duration::from_secs(40);

/// One client in one way of connecting.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    /// A program of the stack, its script, and arguments with places for the server.
    run: Vec<String>,
    /// The revision that must come out.
    protocol: String,
}

/// What a client reports of its exchange.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    protocol: String,
    tools: Vec<String>,
    answer: String,
    is_error: bool,
}

#[tokio::test]
async fn every_client_finds_and_calls_a_tool() {
    let service = Service::start_with_key("", Effect::Read).await;
    let matrix = include_str!("../stack/clients/matrix.json");
    let rows: Vec<Row> = serde_json::from_str(matrix).unwrap();
    assert!(!rows.is_empty());
    let plays = rows.iter().map(async |row| match play(row, &service).await {
        Ok(()) => None,
        Err(reason) => Some(format!("{}: {reason}", row.name)),
    });
    let failures: Vec<_> = stream::iter(plays).buffer_unordered(AT_A_TIME).filter_map(async |it| it).collect().await;
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// Plays one row and looks at what came of it.
async fn play(row: &Row, service: &Service) -> Result<(), String> {
    let [program, script, arguments @ ..] = row.run.as_slice() else { return Err("names no script".into()) };
    let Some(program) = stack::program(program) else { return Ok(()) };
    // Whatever belongs to this exchange carries the mark: in its environment, or in the command line of our program.
    let mark = random_token("exchange-");
    let folder = Folder::new();
    let config = folder.write(&mark, "");
    let stdio = format!("'{}' stdio --config '{}'", binary(), config.display());
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/clients").join(script));
    for argument in arguments {
        command.arg(match argument.as_str() {
            "{url}" => format!("{}/mcp", service.base),
            "{sse_url}" => format!("{}/sse", service.base),
            "{stdio}" => stdio.clone(),
            other => other.to_owned(),
        });
    }
    if !arguments.iter().any(|argument| argument == "{stdio}") {
        command.arg("--header").arg(format!("Authorization: Bearer {}", service.key()));
    }
    command.env("EXCHANGE", &mark).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let left = left_of(&mark).await;
    let output = output.map_err(|_| "does not end".to_owned())?.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    if !left.is_empty() {
        return Err(format!("leaves processes: {left:?}"));
    }
    let report: Report = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let said = |text: &str| report.answer.contains(text);
    let right = report.protocol == row.protocol
        && report.tools.iter().any(|tool| tool == "utilities_get_time")
        && !report.is_error
        && said("Asia/Tokyo")
        && said("+09:00");
    if right { Ok(()) } else { Err(format!("{report:?}")) }
}

/// What still runs of an exchange, a moment after its end.
async fn left_of(mark: &str) -> Vec<String> {
    for _ in 0..50 {
        if running(mark).is_empty() {
            return Vec::new();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running(mark)
}

/// The command lines of processes that carry the mark. Only Linux tells them; elsewhere nobody looks.
fn running(mark: &str) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        if command.contains(mark) || String::from_utf8_lossy(&read("environ")).contains(mark) {
            found.push(command);
        }
    }
    found
}
