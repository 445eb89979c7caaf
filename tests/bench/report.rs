//! What was measured, as a table for people or as JSON for programs.

use std::io::Write as _;
use std::process::Command;

use serde_json::json;

use super::measure::{Load, Row};

/// Rows, printed as they come, or all at once as JSON.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    json: bool,
    machine: String,
    commit: String,
    date: String,
    seconds: f64,
}

impl Report {
    /// Begins a report: on which machine, of which commit, and when.
    pub(crate) fn new(seconds: f64, json: bool) -> Self {
        let report = Self {
            rows: Vec::new(),
            json,
            machine: machine(),
            commit: commit(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            seconds,
        };
        if !json {
            let Self { machine, commit, date, .. } = &report;
            say(&format!("{date}, commit {commit}, {machine}; {seconds} s for each row\n"));
            say(
                "| server | call | era | callers | rps | p50 ms | p99 ms | errors | server CPU µs | load CPU µs | RSS MB |",
            );
            say("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        }
        report
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        if !self.json {
            say(&line(&row));
        }
        self.rows.push(row);
    }

    /// Prints what is left to print.
    pub(crate) fn finish(self) {
        let Self { rows, json, machine, commit, date, seconds } = self;
        if json {
            let report = json!({"date": date, "commit": commit, "machine": machine, "seconds": seconds, "rows": rows});
            say(&report.to_string());
            return;
        }
        for row in &rows {
            if let Ok(Load { first_error: Some(error), .. }) = &row.load {
                say(&format!("\n{} {} {}: {error}", row.server, row.call, row.era.name()));
            }
        }
    }
}

fn line(row: &Row) -> String {
    let head = format!("| {} | {} | {} | {} |", row.server, row.call, row.era.name(), row.callers);
    let load = match &row.load {
        Ok(load) => load,
        Err(reason) => return format!("{head} {} |||||||", reason.replace('|', " ")),
    };
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
    let memory = match (load.memory_before, load.memory_after) {
        (Some(before), Some(after)) => format!("{} → {}", megabytes(before), megabytes(after)),
        _ => "-".to_owned(),
    };
    format!(
        "{head} {:.0} | {:.3} | {:.3} | {} | {} | {} | {memory} |",
        load.requests_per_second,
        load.p50_ms,
        load.p99_ms,
        load.errors,
        number(load.server_cpu_us),
        number(load.own_cpu_us),
    )
}

/// Bytes in millions, with one digit after the point.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, model)| model);
    format!("{cores} cores of {}", model.unwrap_or("an unknown processor").trim())
}

/// The commit, with a mark where the source differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    match git(&["status", "--porcelain", "--", "src", "Cargo.lock"]) {
        Some(changes) if !changes.is_empty() => format!("{commit} with changes"),
        _ => commit,
    }
}

/// Prints to standard output.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
