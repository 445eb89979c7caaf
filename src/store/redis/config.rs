//! Where the shared store is, and how it is reached.

use std::path::PathBuf;
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates, TlsMode,
};
use redis::{RedisConnectionInfo, io::tcp::TcpSettings};
use serde::{Deserialize, Serialize};
use url::Url;

use super::servers::{Cluster, Servers};
use crate::secrets::Secret;

/// Port of a server where its address names none.
const PORT: u16 = 6379;

/// Port of a Sentinel where its address names none.
const SENTINEL_PORT: u16 = 26379;

/// Times that a command is sent to another server of a cluster, because its key has moved.
const REDIRECTIONS: u32 = 4;

/// The Redis, or what speaks its protocol, that replicas share.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the server, as in `redis://redis:6379`, or `rediss://` for TLS. Without any address the state stays in this
    /// process, and there can be one replica only.
    pub url: String,
    /// Addresses of Sentinels that know the server, instead of `url`.
    pub sentinels: Vec<String>,
    /// Name by which the Sentinels know it.
    pub primary: String,
    /// Addresses of some servers of a cluster, instead of `url`; Redis 7 or newer.
    pub cluster: Vec<String>,
    /// Number of the database.
    #[schemars(range(max = 1_000_000))]
    pub database: u32,
    /// User name; empty for the default user.
    pub username: String,
    /// Password.
    pub password: Secret,
    /// User name for the Sentinels.
    pub sentinel_username: String,
    /// Password for the Sentinels.
    pub sentinel_password: Secret,
    /// File with the PEM certificates of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What all keys and channels begin with.
    pub prefix: String,
    /// Milliseconds for one command, and to connect.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_milliseconds: u64,
    /// Whether a replica is ready while it cannot reach the store: it turns sessions away then, and serves what needs none.
    pub ready_without: bool,
}

/// Mistakes: the key within the section, and a sentence.
type Mistakes = Vec<(String, String)>;

/// An address that was read.
struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Config {
    /// Whether any address is given.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.url.is_empty() || !self.sentinels.is_empty() || !self.cluster.is_empty()
    }

    /// How long one command may take.
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.timeout_milliseconds)
    }

    /// The servers, which nobody connects to yet.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn servers(&self) -> Result<Servers, Mistakes> {
        let mut mistakes = Mistakes::new();
        let given = [
            ("url", !self.url.is_empty()),
            ("sentinels", !self.sentinels.is_empty()),
            ("cluster", !self.cluster.is_empty()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given).skip(1) {
            mistakes.push((key.into(), "give one of `url`, `sentinels` and `cluster`".into()));
        }
        if !self.cluster.is_empty() && self.database != 0 {
            mistakes.push(("database".into(), "must be 0: a cluster has no other".into()));
        }
        if self.password.is_empty() && !self.username.is_empty() {
            mistakes.push(("password".into(), "is missing, and `username` is there".into()));
        }
        if self.prefix.contains(['{', '}']) {
            mistakes.push(("prefix".into(), format!("`{}` has a brace, by which Redis shares out keys", self.prefix)));
        }
        let authorities = self.authorities(&mut mistakes);
        let mut read = |key: String, address: &str, port: u16| match address_of(address, port) {
            Ok(address) => Some(address),
            Err(message) => {
                mistakes.push((key, message));
                None
            }
        };
        let url = if self.url.is_empty() { None } else { read("url".into(), &self.url, PORT) };
        let mut read_all = |key: &str, addresses: &[String], port: u16| -> Vec<Address> {
            let places = addresses.iter().enumerate();
            places.filter_map(|(place, address)| read(format!("{key}.{place}"), address, port)).collect()
        };
        let sentinels = read_all("sentinels", &self.sentinels, SENTINEL_PORT);
        let nodes = read_all("cluster", &self.cluster, PORT);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let failed = |key: &str| {
            let key = key.to_owned();
            move |error: redis::RedisError| vec![(key, format!("no client can be made: {error}"))]
        };
        match url {
            Some(address) => self.one(&address, authorities).map_err(failed("url")),
            None if nodes.is_empty() => self.watched(&sentinels, authorities).map_err(failed("sentinels")),
            None => self.shared_out(&nodes, authorities).map_err(failed("cluster")),
        }
    }

    /// The certificates to trust.
    fn authorities(&self, mistakes: &mut Mistakes) -> Option<Vec<u8>> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;

        let file = self.ca_file.as_ref()?;
        let message = match std::fs::read(file) {
            Ok(pem) if CertificateDer::pem_slice_iter(&pem).next().is_some_and(|first| first.is_ok()) => {
                return Some(pem);
            }
            Ok(_) => format!("{} holds no PEM certificates", file.display()),
            Err(error) => format!("cannot read {}: {error}", file.display()),
        };
        mistakes.push(("ca_file".into(), message));
        None
    }

    fn one(&self, address: &Address, authorities: Option<Vec<u8>>) -> redis::RedisResult<Servers> {
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(self.database));
        if !self.username.is_empty() {
            settings = settings.set_username(&self.username);
        }
        if !self.password.is_empty() {
            settings = settings.set_password(self.password.reveal());
        }
        let info: ConnectionInfo = address.wire().into_connection_info()?;
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp());
        let client = if address.tls {
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: authorities })?
        } else {
            Client::open(info)?
        };
        Ok(Servers::one(client, self.deadline()))
    }

    fn watched(&self, sentinels: &[Address], authorities: Option<Vec<u8>>) -> redis::RedisResult<Servers> {
        let addresses = sentinels.iter().map(Address::wire);
        let mut builder = SentinelClientBuilder::new(addresses, &self.primary, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(self.database))
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        if sentinels.iter().any(|address| address.tls) {
            let certificates = TlsCertificates { client_tls: None, root_cert: authorities };
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        if !self.username.is_empty() {
            builder = builder.set_client_to_redis_username(&self.username);
        }
        if !self.password.is_empty() {
            builder = builder.set_client_to_redis_password(self.password.reveal());
        }
        if !self.sentinel_username.is_empty() {
            builder = builder.set_client_to_sentinel_username(&self.sentinel_username);
        }
        if !self.sentinel_password.is_empty() {
            builder = builder.set_client_to_sentinel_password(self.sentinel_password.reveal());
        }
        Ok(Servers::watched(builder.build()?, self.deadline()))
    }

    fn shared_out(&self, nodes: &[Address], authorities: Option<Vec<u8>>) -> redis::RedisResult<Servers> {
        let certificates = TlsCertificates { client_tls: None, root_cert: authorities };
        let client = |protocol: ProtocolVersion| {
            let mut builder = ClusterClientBuilder::new(nodes.iter().map(Address::wire))
                .use_protocol(protocol)
                .tcp_settings(tcp())
                .retries(REDIRECTIONS)
                .connection_timeout(self.deadline())
                .response_timeout(self.deadline());
            if nodes.iter().any(|address| address.tls) {
                builder = builder.tls(TlsMode::Secure).certs(certificates.clone());
            }
            if !self.username.is_empty() {
                builder = builder.username(&self.username);
            }
            if !self.password.is_empty() {
                builder = builder.password(self.password.reveal());
            }
            builder.build()
        };
        let cluster = Cluster { commands: client(ProtocolVersion::RESP2)?, messages: client(ProtocolVersion::RESP3)? };
        Ok(Servers::cluster(cluster, self.deadline()))
    }
}

impl Address {
    fn wire(&self) -> ConnectionAddr {
        if self.tls {
            ConnectionAddr::TcpTls { host: self.host.clone(), port: self.port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(self.host.clone(), self.port)
        }
    }
}

/// No Nagle delay, or a small command waits for the acknowledgement of the one before.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn address_of(text: &str, port: u16) -> Result<Address, String> {
    let example = format!("write it as redis://redis.example.org:{port}, or rediss:// for TLS");
    let url = Url::parse(text).map_err(|error| match text.rsplit_once('@') {
        // What stands before it may be a password.
        Some((_, host)) => format!("`…@{host}` is not an address ({error}); {example}"),
        None => format!("`{text}` is not an address ({error}); {example}"),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in it; set `username` and `password` instead".into());
    }
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(format!("`{text}` does not begin with redis:// or rediss://; {example}")),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has more than host and port; the database is set in `database`, and {example}"));
    }
    let Some(host) = url.host() else { return Err(format!("`{text}` names no host; {example}")) };
    // Addresses of IPv6 stand in brackets in an address only.
    let host = match host {
        url::Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    Ok(Address { host, port: url.port().unwrap_or(port), tls })
}
