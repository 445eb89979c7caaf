//! The commands, and what each prints.

mod call;
mod nearby;
mod welcome;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cloud_native_mcp::app::{App, Contents};
use cloud_native_mcp::auth::ApiKey;
use cloud_native_mcp::caller::Effect;
use cloud_native_mcp::config::{self, Config, Loaded, LogFormat, Mistake};
use cloud_native_mcp::telemetry::log::Log;
use cloud_native_mcp::toolkit::args::Span;
use cloud_native_mcp::toolkit::{Catalogue, Described, Switches, schema};
use cloud_native_mcp::{edge, tools};
use serde_json::{Value, json};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::FormatTime;

/// One MCP endpoint for an organisation's cloud-native infrastructure.
///
/// Without a command it serves. Without a configuration it looks for Prometheus and Alertmanager on this machine.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// The configuration file (YAML); see `config print`.
    #[arg(long, global = true, env = "CLOUD_NATIVE_MCP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The most that callers may do where there is no authentication.
    #[arg(long, global = true, value_enum, value_name = "EFFECT")]
    allow: Option<Allow>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Allow {
    Read,
    Write,
    Destroy,
}

impl From<Allow> for Effect {
    fn from(allow: Allow) -> Self {
        match allow {
            Allow::Read => Self::Read,
            Allow::Write => Self::Write,
            Allow::Destroy => Self::Destroy,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve over HTTP (the default).
    Serve,
    /// Serve one local client over standard input and output.
    Stdio,
    /// Show what can be called.
    Tools {
        #[command(subcommand)]
        command: Option<ToolsCommand>,
    },
    /// Call a tool and print its answer.
    Call(call::Arguments),
    /// Check or print the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make API keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ToolsCommand {
    /// List all tools (the default).
    List {
        /// As JSON, with schemas.
        #[arg(long)]
        json: bool,
    },
    /// Show one tool: what it does, and its arguments.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every mistake; exit 1 when there is one.
    Check,
    /// Print what is in force, without secrets.
    Print,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key: printed once, with what goes into the configuration.
    Create {
        /// Whose key it is.
        #[arg(long)]
        name: String,
        /// How long it is good for, for example 90d; for ever when absent.
        #[arg(long, value_name = "DURATION")]
        expires: Option<Span>,
    },
}

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> ExitCode {
    let options = cli.options;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&options).await,
        Command::Stdio => stdio(&options).await,
        Command::Tools { command } => match command.unwrap_or(ToolsCommand::List { json: false }) {
            ToolsCommand::List { json } => list_tools(json),
            ToolsCommand::Show { name } => show_tool(&name),
        },
        Command::Call(arguments) => call::run(&options, arguments).await,
        Command::Config { command: ConfigCommand::Check } => match build(&options).await {
            Ok(_) => say("The configuration has no mistakes."),
            Err(code) => code,
        },
        Command::Config { command: ConfigCommand::Print } => match load(&options) {
            Ok(loaded) => say(loaded.config.print().trim_end()),
            Err(code) => code,
        },
        Command::Keys { command: KeysCommand::Create { name, expires } } => create_key(&options, name, expires),
    }
}

async fn serve(options: &Options) -> ExitCode {
    let (app, loaded, found) = match build(options).await {
        Ok(built) => built,
        Err(code) => return code,
    };
    let _log = match start_log(&loaded.config) {
        Ok(log) => log,
        Err(error) => return fail(&format!("no log can be written: {error}")),
    };
    let server = match app.bind().await {
        Ok(server) => server,
        Err(message) => return fail(&message),
    };
    app.follow_backends();
    say(&welcome::text(&app, &loaded, server.address(), found.as_deref()));
    let draining = app.clone();
    tokio::spawn(async move {
        asked_to_end().await;
        tracing::info!("asked to end; running calls get their grace");
        draining.drain();
    });
    server.serve().await;
    ExitCode::SUCCESS
}

async fn stdio(options: &Options) -> ExitCode {
    let (app, loaded, _) = match build(options).await {
        Ok(built) => built,
        Err(code) => return code,
    };
    let _log = match start_log(&loaded.config) {
        Ok(log) => log,
        Err(error) => return fail(&format!("no log can be written: {error}")),
    };
    let draining = app.clone();
    tokio::spawn(async move {
        asked_to_end().await;
        draining.drain();
    });
    app.follow_backends();
    // Whoever started the process is its one caller: keys are for those who come over the network.
    let served = edge::serve_stdio(app.edge().clone(), app.local().clone(), tokio::io::stdin(), tokio::io::stdout());
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("standard input or output failed: {error}")),
    }
}

/// Until SIGTERM or Ctrl-C.
async fn asked_to_end() {
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

/// The configuration, from wherever it comes.
fn load(options: &Options) -> Result<Loaded, ExitCode> {
    let mut flags = Vec::new();
    if let Some(listen) = &options.listen {
        flags.push(("server.listen".to_owned(), json!(listen)));
    }
    if let Some(allow) = options.allow {
        flags.push(("allow".to_owned(), json!(Effect::from(allow))));
    }
    config::load(options.config.as_deref(), std::env::vars(), flags).map_err(|faulty| {
        let contents = Contents::product();
        report(&faulty.all(|config, sure| App::check(config, &contents, sure)))
    })
}

/// The whole server. Without any backend in the configuration, those of this machine are found.
async fn build(options: &Options) -> Result<(App, Loaded, Option<Vec<nearby::Looked>>), ExitCode> {
    let mut loaded = load(options)?;
    let backends = &loaded.config.backends;
    let none = backends.prometheus.instances.is_empty() && backends.alertmanager.instances.is_empty();
    let found = if loaded.file.is_none() && none { Some(nearby::look(&mut loaded.config).await) } else { None };
    match App::new(&loaded.config, Contents::product()) {
        Ok(app) => Ok((app, loaded, found)),
        Err(mistakes) => Err(report(&loaded.located(mistakes))),
    }
}

fn report(mistakes: &[Mistake]) -> ExitCode {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    fail(&lines.join("\n"))
}

/// Writes the log to standard error, until what is returned is dropped.
fn start_log(config: &Config) -> std::io::Result<Log> {
    let log = Log::start(std::io::stderr())?;
    let lines = log.lines();
    let filter = EnvFilter::try_new(&config.log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_timer(Now).with_writer(move || lines.clone());
    match config.log.format {
        LogFormat::Json => subscriber.json().init(),
        LogFormat::Text if std::io::stderr().is_terminal() => subscriber.init(),
        LogFormat::Text => subscriber.with_ansi(false).fmt_fields(fields()).init(),
    }
    Ok(log)
}

/// The time of a line, to the microsecond.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.6}", jiff::Timestamp::now())
    }
}

/// The fields of a line without a thought of colours, which take as long to leave out as the rest of the line to write.
fn fields() -> impl for<'a> FormatFields<'a> + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug| match field.name() {
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    };
    format::debug_fn(field).delimited(" ")
}

/// All tools, whatever is configured: to show them.
fn all_tools() -> Catalogue {
    let topics = tools::topics();
    Catalogue::new(&topics, &Switches::everything(&topics), &|_| true)
}

fn list_tools(as_json: bool) -> ExitCode {
    let catalogue = all_tools();
    if as_json {
        let tools: Vec<Value> = catalogue.all().iter().map(Described::json).collect();
        return say(&serde_json::to_string_pretty(&tools).unwrap_or_default());
    }
    let widest = catalogue.all().iter().map(|tool| tool.entry.name.len()).max().unwrap_or(0);
    let lines: Vec<String> = catalogue
        .all()
        .iter()
        .map(|tool| format!("{:widest$}  {:7}  {}", tool.entry.name, tool.entry.policy.effect.label(), tool.purpose()))
        .collect();
    say(&lines.join("\n"))
}

fn show_tool(name: &str) -> ExitCode {
    let catalogue = all_tools();
    let Some(tool) = catalogue.all().iter().find(|tool| tool.entry.name == name) else {
        return usage(&format!("there is no tool `{name}`; `cloud-native-mcp tools` lists them"));
    };
    let required: Vec<&str> = schema::required(&tool.schema).collect();
    let mut text = format!(
        "{}\n\n{}\n\neffect: {}\ntoolset: {}\n\narguments:",
        tool.entry.name,
        tool.description,
        tool.entry.policy.effect.label(),
        tool.topic
    );
    for (name, schema) in tool.arguments() {
        let mut facts = Vec::new();
        if required.contains(&name.as_str()) {
            facts.push("required".to_owned());
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            facts.push(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"));
        }
        if let Some(default) = schema.get("default") {
            facts.push(format!("default {default}"));
        }
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("\n  {name}{facts}: {description}"));
    }
    say(&text)
}

fn create_key(options: &Options, name: String, expires: Option<Span>) -> ExitCode {
    let allow = options.allow.map(Effect::from).unwrap_or_default();
    let Ok(expires) = expires.map(|span| jiff::Timestamp::now().checked_add(span.0)).transpose() else {
        return usage("--expires: that is too far away");
    };
    let new = ApiKey::create(name, allow, expires);
    let mut entry = format!(
        "    - name: {}\n      hash: {}\n      allow: {}\n",
        json!(new.kept.name),
        new.kept.hash,
        new.kept.allow.label()
    );
    if let Some(expires) = expires {
        entry.push_str(&format!("      expires: {expires}\n"));
    }
    say(&format!(
        "{}\n\nThis is the only time the key is shown. Put its hash into the configuration:\n\nauth:\n  api_keys:\n{entry}",
        new.key
    ))
}

/// Prints to standard output.
pub(crate) fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints what went wrong.
pub(crate) fn fail(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// Prints what was wrong with the command itself.
fn usage(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
