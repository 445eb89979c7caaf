//! Our server as a process of its own, and what a process takes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use cloud_native_mcp::auth::ApiKey;
use cloud_native_mcp::caller::Effect;
use cloud_native_mcp::secrets::random_token;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::calls::Endpoint;

/// How long the server may take to end.
const GRACE: Duration = Duration::from_secs(30);

/// Our server, with authentication. It ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
    /// Where it serves, and the key to it.
    pub(crate) endpoint: Endpoint,
}

impl Server {
    /// Starts the release build next to this program, with these backends.
    pub(crate) async fn start(backends: &str) -> Result<Self, String> {
        let binary = binary()?;
        let folder = std::env::temp_dir().join(random_token("cloud-native-mcp-load-"));
        let new = ApiKey::create("load".into(), Effect::Read, None);
        // Limits are counted, and as high as they can be.
        let limits = "limits:\n  caller: {per_second: 100000, burst: 1000000}\n  heavy_of_a_caller: 64\n";
        let config = format!("{limits}auth:\n  api_keys:\n    - name: load\n      hash: {}\n{backends}", new.kept.hash);
        let file = folder.join("config.yaml");
        std::fs::create_dir(&folder)
            .and_then(|()| std::fs::write(&file, config))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file);
        // The log goes into a pipe that is always read, as where a container runtime takes it.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let mut server = Self { process, folder, endpoint: Endpoint::new("http://", Some(&new.key))? };
        if let Some(mut log) = stderr {
            std::thread::spawn(move || {
                let mut part = vec![0; 64 << 10];
                while log.read(&mut part).is_ok_and(|read| read > 0) {}
            });
        }
        let mut lines = BufReader::new(stdout.ok_or("the server has no output")?).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let (_, url) = first.split_once("serves ").ok_or("the server did not start")?;
        std::thread::spawn(move || lines.count());
        server.endpoint = Endpoint::new(url, Some(&new.key))?;
        Ok(server)
    }

    /// What its process takes.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of_process(self.process.id())
    }

    /// Asks it to end, and waits until it did.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            match self.process.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}")),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Err(format!("the server did not end within {} s", GRACE.as_secs()))
    }

    fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(id), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server next to this program: same profile, same target folder, and no older than its source.
fn binary() -> Result<PathBuf, String> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about speed: add --release".into());
    }
    let build = "build it with `cargo build --release`";
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().and_then(Path::parent).ok_or("this program is in no target folder")?;
    let binary = folder.join("cloud-native-mcp");
    let built = binary.metadata().and_then(|metadata| metadata.modified());
    let built = built.map_err(|_| format!("there is no {}: {build}", binary.display()))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    match newest(&source) {
        Some(changed) if changed > built => Err(format!("{} is older than its source: {build}", binary.display())),
        _ => Ok(binary),
    }
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(
            |entry| if entry.path().is_dir() { newest(&entry.path()) } else { entry.metadata().ok()?.modified().ok() },
        )
        .max()
}

/// Where the kernel shows what a process takes (proc(5)).
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    folder: PathBuf,
}

impl Figures {
    pub(crate) fn of_process(id: u32) -> Self {
        Self { folder: format!("/proc/{id}").into() }
    }

    /// Of this program itself.
    pub(crate) fn own() -> Self {
        Self { folder: "/proc/self".into() }
    }

    /// Processor time so far, of user and system.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(self.folder.join("stat")).ok()?;
        // The name of the program comes before, in brackets, and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        // USER_HZ is 100 on every architecture that this runs on.
        Some(Duration::from_millis(ticks * 10))
    }

    /// Memory in use, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.folder.join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
    }
}

/// Until SIGTERM or Ctrl-C.
pub(crate) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};

    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
