//! The real components that `tests/stack/install` puts into a cache.

use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::cluster::{Cluster, PROGRAMS};

/// The program of this name. Without it a test fails in CI; elsewhere it says what it skipped and how to get it.
#[expect(clippy::print_stdout, reason = "it says what it skipped")]
pub fn program(name: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::vars_os().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
    let cache = variable("CLOUD_NATIVE_MCP_STACK")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("cloud-native-mcp-stack")))
        .or_else(|| Some(variable("HOME")?.join(".cache/cloud-native-mcp-stack")));
    let found = cache.map(|cache| cache.join("bin").join(name)).filter(|path| path.exists());
    if found.is_none() {
        let message = format!("{name} is not installed; tests/run installs it and runs all tests");
        assert!(variable("CI").is_none(), "{message}");
        println!("skipped: {message}");
    }
    found
}

/// The Kubernetes cluster that all tests share; each makes namespaces of its own.
///
/// It lives until the last test of this process has ended, and no longer, whatever ends the process.
pub async fn cluster() -> Option<&'static Cluster> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let programs = PROGRAMS.map(program);
    let programs = programs.into_iter().collect::<Option<Vec<_>>>()?;
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let start = async || Cluster::start(programs[0].parent().unwrap(), parent).await;
    Some(SHARED.get_or_try_init(start).await.unwrap())
}
