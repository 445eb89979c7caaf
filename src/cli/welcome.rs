//! What `serve` prints once it serves: the endpoint, the backends, and how to connect.

use std::net::SocketAddr;

use cloud_native_mcp::app::App;
use cloud_native_mcp::config::Loaded;

use super::nearby::Looked;

/// A few lines for whoever started the server.
pub(crate) fn text(app: &App, loaded: &Loaded, address: SocketAddr, looked: Option<&[Looked]>) -> String {
    let endpoint = format!("http://{address}/mcp");
    let rows: Vec<[String; 3]> = match looked {
        Some(looked) => looked
            .iter()
            .map(|place| {
                let state = match &place.version {
                    Some(version) => format!("found, version {version}"),
                    None => "nothing there".to_owned(),
                };
                [place.service.to_owned(), place.address.clone(), state]
            })
            .collect(),
        None => app
            .edge()
            .engine
            .dispatch()
            .surroundings()
            .backends
            .configured()
            .flat_map(|(service, instances)| {
                instances.addresses().map(move |(name, address)| {
                    [service.to_owned(), address.to_owned(), format!("configured as {name}")]
                })
            })
            .collect(),
    };
    let mut text = format!("Cloud Native MCP {} serves {endpoint}\n\n", env!("CARGO_PKG_VERSION"));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [service, address, state] in &rows {
        text.push_str(&format!("  {service:first$}  {address:second$}  {state}\n"));
    }
    if app.edge().engine.dispatch().surroundings().backends.configured().next().is_none() {
        text.push_str(
            "\nWithout a backend only the utilities can be called: start one of these, or name yours in a file and give it \
             with --config.\ndocs/CONFIGURATION.md has every setting.\n",
        );
    }
    if app.edge().authenticator.is_on() {
        text.push_str("\nCallers send an API key: Authorization: Bearer KEY\n\nConnect a client:\n");
        text.push_str(&format!(
            "  {{\"mcpServers\": {{\"cloud-native\": {{\"type\": \"http\", \"url\": \"{endpoint}\", \"headers\": \
             {{\"Authorization\": \"Bearer KEY\"}}}}}}}}"
        ));
    } else {
        text.push_str(&format!(
            "\nNo authentication: only this machine can connect, and it may {}.\n\nConnect a client:\n",
            loaded.config.allow.label()
        ));
        text.push_str(&format!(
            "  {{\"mcpServers\": {{\"cloud-native\": {{\"type\": \"http\", \"url\": \"{endpoint}\"}}}}}}"
        ));
    }
    let program = std::env::args().next().unwrap_or_else(|| "cloud-native-mcp".into());
    text.push_str(&format!("\n\nOr try a tool here:\n  {program} call utilities_get_time zone=Europe/Zurich\n"));
    text
}
