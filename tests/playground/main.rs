//! A Kubernetes cluster with a small broken shop in it, to try the server on. It ends with this program.
//!
//! `tests/stack/install programs && tests/stack/install cluster`, then `cargo run --example playground`.

#[expect(dead_code, unreachable_pub, reason = "tests use it too, and more of it")]
#[path = "../cluster/mod.rs"]
mod cluster;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use cluster::{Cluster, Identity, document, installed};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let cluster = Cluster::start(&installed()?, &folder).await?;
    let api = cluster.first.api(Identity::Administrator)?;
    api.apply("default", &document("shop.yaml")?).await?;
    let kubeconfig = cluster.first.kubeconfig(Identity::Administrator);
    let text = format!(
        "A cluster runs, with a broken shop in the namespace default. Serve it from another terminal:\n\n  \
         KUBECONFIG={} cargo run --release\n\nCtrl-C ends it.\n",
        kubeconfig.display()
    );
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())
}
