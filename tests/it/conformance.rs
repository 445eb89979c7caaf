//! The official conformance suite, run against its fixtures (`tests/conformance`), which the product serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cloud_native_mcp::auth::{ApiKey, NewKey};
use cloud_native_mcp::caller::Effect;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::harness::{Folder, PATIENCE, Process, client};
use crate::stack;

/// Scenarios in which the suite itself skips a check, whatever the server does.
const SKIPPED_BY_THE_SUITE: &[&str] = &["tasks-status-notifications"];

#[tokio::test]
async fn every_requirement_of_2026_07_28_is_met() {
    let server = Fixtures::start(&[]).await;
    check(server.address, &["--requirements", "2026-07-28"]).await;
}

#[tokio::test]
async fn every_requirement_of_2025_11_25_is_met() {
    let server = Fixtures::start(&[]).await;
    check(server.address, &["--requirements", "2025-11-25"]).await;
}

#[tokio::test]
async fn every_scenario_of_2025_06_18_passes() {
    let server = Fixtures::start(&[]).await;
    check(server.address, &["--suite", "all", "--spec-version", "2025-06-18"]).await;
}

#[tokio::test]
async fn every_scenario_of_2025_03_26_passes() {
    let server = Fixtures::start(&[]).await;
    check(server.address, &["--suite", "all", "--spec-version", "2025-03-26"]).await;
}

#[tokio::test]
async fn every_requirement_of_2026_07_28_is_met_with_authentication() {
    check_with_authentication(&["--requirements", "2026-07-28"]).await;
}

#[tokio::test]
async fn every_requirement_of_2025_11_25_is_met_with_authentication() {
    check_with_authentication(&["--requirements", "2025-11-25"]).await;
}

/// The suite cannot say who it is, so something on the way says it.
async fn check_with_authentication(run: &[&str]) {
    let NewKey { key, kept } = ApiKey::create("conformance".into(), Effect::Read, None);
    let server = Fixtures::start(&["--api-key-hash", &kept.hash]).await;
    let refused = client().post(format!("http://{}/mcp", server.address)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    check(with_header(server.address, format!("Authorization: Bearer {key}")).await, run).await;
}

/// The server with the suite's fixtures.
#[derive(Debug)]
pub struct Fixtures {
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Fixtures {
    /// Starts it with more arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let program = example("conformance");
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.kill_on_drop(true).spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build --example conformance` makes it", program.display())
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("the fixtures are served");
        let address = line.unwrap().expect("an address").parse().unwrap();
        Self { _process: Process(child), address }
    }
}

/// An example of this package: cargo puts it beside the tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).expect("tests are in target/*/deps").join("examples").join(name)
}

/// Runs scenarios of the suite: none may fail, warn, or leave out what it does not leave out for everybody.
async fn check(server: SocketAddr, run: &[&str]) {
    let Some(suite) = stack::program("conformance") else { return };
    let folder = Folder::new();
    let mut command = Command::new(suite);
    command.args(["server", "--url", &format!("http://{server}/mcp")]).args(run).arg("-o").arg(folder.path());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let checks = checks(folder.path());
    let amiss: Vec<&String> = checks.iter().filter(|(passed, _)| !passed).map(|(_, line)| line).collect();
    assert!(amiss.is_empty(), "{run:?}\n{amiss:#?}");
    assert!(output.status.success(), "{run:?}\n{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!checks.is_empty(), "{run:?} checked nothing\n{printed}");
}

/// Every check that was made: whether it passed, and a line about it.
fn checks(folder: &Path) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for scenario in std::fs::read_dir(folder).unwrap() {
        let scenario = scenario.unwrap();
        let name = scenario.file_name().into_string().unwrap();
        let Ok(text) = std::fs::read_to_string(scenario.path().join("checks.json")) else {
            found.push((false, format!("{name}: broke off before its checks were written")));
            continue;
        };
        for check in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let passed = match check["status"].as_str() {
                Some("SUCCESS" | "INFO") => true,
                Some("SKIPPED") => SKIPPED_BY_THE_SUITE.iter().any(|skipped| check["id"] == *skipped),
                _ => false,
            };
            let (status, reason) = (&check["status"], &check["errorMessage"]);
            found.push((passed, format!("{name}: {status} {} ({}): {reason}", check["id"], check["description"])));
        }
    }
    found
}

/// Leads to a server and puts a header into every request on the way; all else passes as it is and at once.
///
/// A connection carries one request, so that nothing behind its head needs to be understood.
async fn with_header(server: SocketAddr, header: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, server, header.clone()));
        }
    });
    address
}

async fn pass(mut client: TcpStream, server: SocketAddr, header: String) -> std::io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 2;
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    // The last of several `Connection` headers counts.
    request.splice(end..end, format!("{header}\r\nConnection: close\r\n").into_bytes());
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    server.write_all(&request).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
