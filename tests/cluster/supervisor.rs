//! Programs that end with this process, however it ends.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `tests/stack/supervise`, which ends what it started when this value goes or this process dies.
///
/// A value in a `static` is never dropped, a panic or a signal skips the rest, and a signal on the death of a parent
/// comes when the *thread* of a test ends. The end of a pipe is closed in each of these cases, and only then.
#[derive(Debug)]
pub struct Supervisor {
    process: Child,
    folder: PathBuf,
}

impl Supervisor {
    /// For programs that run in this folder, which is removed after them.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/supervise");
        let process = Command::new(&script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches the whole group: these must end in order.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", script.display()))?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// Starts a program.
    pub fn run(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<(), String> {
        let line = format!("{name}\t{}\t{}\n", program.display(), arguments.join("\t"));
        let input = self.process.stdin.as_mut().ok_or("nothing starts any more")?;
        input.write_all(line.as_bytes()).map_err(|error| format!("{name}: {error}"))
    }

    /// The end of what a program printed.
    pub fn last_words(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.process.stdin = None;
        let _ = self.process.wait();
    }
}
