//! Command line: serve, stdio, tools, call, config, keys.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

/// A call makes some hundred small allocations, which this makes in half the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&format!("no threads to run on: {error}")),
    };
    let code = runtime.block_on(cli::run(command));
    // Reading standard input cannot be interrupted, so nobody waits for it.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    code
}
