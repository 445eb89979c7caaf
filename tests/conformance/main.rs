//! The server that the official conformance suite is run against: the suite's fixtures, served by the product.
//!
//! Nothing in here is part of the product; everything around it is.

mod content;
mod input;
mod prompts;
mod resources;
mod tasks;
mod tools;

use std::io::Write as _;

use clap::Parser;
use cloud_native_mcp::app::{App, Contents};
use cloud_native_mcp::config;
use cloud_native_mcp::mcp::Offer;
use cloud_native_mcp::toolkit::Topic;
use serde_json::{Value, json};

/// Serves the fixtures of the conformance suite, and prints in one line where.
#[derive(Parser)]
struct Arguments {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Hash of an API key that every request must carry; as `keys create` prints it.
    #[arg(long)]
    api_key_hash: Option<String>,
    /// Seconds that tasks may take.
    #[arg(long, default_value_t = 3600)]
    task_seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { listen, api_key_hash, task_seconds } = Arguments::parse();
    let keys: Vec<Value> = api_key_hash.iter().map(|hash| json!({"name": "conformance", "hash": hash})).collect();
    let flags = vec![
        ("server.listen".to_owned(), json!(listen)),
        ("auth.api_keys".to_owned(), json!(keys)),
        ("calls.task_seconds".to_owned(), json!(task_seconds)),
    ];
    let loaded = config::load(None, [], flags).map_err(|faulty| anyhow::anyhow!("{faulty:?}"))?;
    let app = App::new(&loaded.config, fixtures()).map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    let server = app.bind().await.map_err(anyhow::Error::msg)?;
    writeln!(std::io::stdout(), "{}", server.address())?;
    server.serve().await;
    Ok(())
}

fn fixtures() -> Contents {
    let topics = vec![
        Topic { name: "answers", tools: tools::TOOLS },
        Topic { name: "input", tools: input::TOOLS },
        Topic { name: "tasks", tools: tasks::TOOLS },
    ];
    let offer =
        Offer { prompts: prompts::PROMPTS.to_vec(), resources: resources::resources(), changing: true, logging: true };
    Contents { topics, offer }
}
