//! A Kubernetes cluster of real servers and simulated nodes.
//!
//! etcd, the API server, its controllers and the scheduler are the real ones.
//! kwok plays the nodes: `tests/stack/kubernetes/kwok.yaml` says what happens to the pods on them.

mod api;
mod certificates;
mod supervisor;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cloud_native_mcp::backends::rest;
use cloud_native_mcp::secrets::random_token;
use cloud_native_mcp::yaml;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use api::{Api, eventually};
use supervisor::Supervisor;

/// The programs it runs, by their names in the folder of launchers.
pub const PROGRAMS: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "metrics-server"];

/// The names of its nodes.
pub const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// A running cluster. Its programs end with this value, and with this process however that ends.
#[derive(Debug)]
pub struct Cluster {
    supervisor: Mutex<Supervisor>,
    programs: PathBuf,
    folder: PathBuf,
    etcd: String,
    /// Its API server.
    pub first: Server,
    second: OnceCell<Server>,
    usage: OnceCell<()>,
}

/// An API server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Scheme, host and port.
    pub url: String,
    name: &'static str,
    folder: PathBuf,
    authority: String,
    tokens: Vec<(Identity, String)>,
}

/// Who speaks to an API server. Both servers know the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// May do everything.
    Administrator,
    /// May do nothing, until a namespace lets it look (`tests/stack/kubernetes/viewer.yaml`).
    Viewer,
    /// May speak for others, and do nothing else (`tests/stack/kubernetes/gateway.yaml`).
    Gateway,
    /// The controllers.
    Controllers,
    /// The scheduler.
    Scheduler,
}

impl Identity {
    const ALL: [Self; 5] = [Self::Administrator, Self::Viewer, Self::Gateway, Self::Controllers, Self::Scheduler];

    /// The name of the user, as roles know it.
    pub fn user(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Viewer => "viewer",
            Self::Gateway => "gateway",
            Self::Controllers => "system:kube-controller-manager",
            Self::Scheduler => "system:kube-scheduler",
        }
    }

    fn groups(self) -> &'static str {
        if self == Self::Administrator { "system:masters" } else { "" }
    }
}

impl Server {
    /// Its API, as this identity.
    pub fn api(&self, identity: Identity) -> Result<Api, String> {
        Api::new(&self.url, &self.authority, self.token(identity))
    }

    /// The certificate of the authority that signed its own, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The token of an identity.
    pub fn token(&self, identity: Identity) -> &str {
        self.tokens.iter().find(|(known, _)| *known == identity).map_or("", |(_, token)| token)
    }

    /// A kubeconfig file for this server and an identity.
    pub fn kubeconfig(&self, identity: Identity) -> PathBuf {
        self.folder.join(format!("{}.{}.kubeconfig", self.name, identity.user()))
    }

    fn write_kubeconfigs(&self) -> Result<(), String> {
        for (identity, token) in &self.tokens {
            let cluster = json!({"server": self.url, "certificate-authority": self.folder.join("authority.crt")});
            let content = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": self.name, "cluster": cluster}],
                "users": [{"name": identity.user(), "user": {"token": token}}],
                "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": identity.user()}}],
                "current-context": self.name,
            });
            write(&self.kubeconfig(*identity), &yaml::emit(&content))?;
        }
        Ok(())
    }
}

impl Cluster {
    /// Starts a cluster with the programs in one folder, in a new folder within another.
    pub async fn start(programs: &Path, parent: &Path) -> Result<Self, String> {
        let folder = parent.join(random_token("kubernetes-"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let supervisor = Supervisor::start(&folder)?;
        let authority = certificates::write(&folder)?;
        let tokens: Vec<_> = Identity::ALL.map(|identity| (identity, random_token("token-"))).into();
        let rows = tokens.iter().map(|(who, token)| format!("{token},{0},{0},\"{1}\"\n", who.user(), who.groups()));
        write(&folder.join("tokens.csv"), &rows.collect::<String>())?;
        let first = Server { url: String::new(), name: "first", folder: folder.clone(), authority, tokens };
        let mut cluster = Self {
            supervisor: Mutex::new(supervisor),
            programs: programs.to_owned(),
            folder,
            etcd: String::new(),
            first,
            second: OnceCell::new(),
            usage: OnceCell::new(),
        };
        cluster.start_etcd().await?;
        cluster.first = cluster.start_server("first").await?;
        cluster.start_controllers()?;
        cluster.start_nodes().await?;
        Ok(cluster)
    }

    /// Another API server, on the same etcd but with nothing in it, and without controllers or nodes.
    pub async fn second(&self) -> Result<&Server, String> {
        self.second.get_or_try_init(|| self.start_server("second")).await
    }

    /// Waits until the cluster can tell what pods and nodes use, which takes half a minute where nobody asked before.
    pub async fn usage(&self) -> Result<(), String> {
        self.usage.get_or_try_init(|| self.start_metrics()).await.copied()
    }

    /// Forgets all earlier states, as API servers do every few minutes.
    pub async fn compact(&self) -> Result<(), String> {
        let client = rest::client_builder(std::time::Duration::from_secs(5)).build();
        let client = client.map_err(|error| error.to_string())?;
        let ask = async |path: &str, body: Value| -> Result<Value, String> {
            let sent = client.post(format!("{}{path}", self.etcd)).body(body.to_string()).send().await;
            let answer = sent.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
            let text = answer.text().await.map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
        };
        // The name of any key, in Base64.
        let found = ask("/v3/kv/range", json!({"key": "AA=="})).await?;
        let revision = &found["header"]["revision"];
        ask("/v3/kv/compaction", json!({"revision": revision, "physical": true})).await.map(|_| ())
    }

    async fn start_etcd(&mut self) -> Result<(), String> {
        self.etcd = format!("http://127.0.0.1:{}", free_port()?);
        let peers = format!("http://127.0.0.1:{}", free_port()?);
        self.run(
            "etcd",
            "etcd",
            vec![
                "--data-dir=etcd".into(),
                format!("--listen-client-urls={}", self.etcd),
                format!("--advertise-client-urls={}", self.etcd),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
                "--unsafe-no-fsync".into(),
                "--log-level=error".into(),
            ],
        )?;
        let client = rest::client_builder(std::time::Duration::from_secs(5)).build();
        let client = client.map_err(|error| error.to_string())?;
        let health = format!("{}/health", self.etcd);
        let healthy = eventually("etcd", async || {
            let response = client.get(&health).send().await.map_err(|error| error.to_string())?;
            if response.status().is_success() { Ok(()) } else { Err(response.status().to_string()) }
        });
        healthy.await.map_err(|failure| self.explained("etcd", &failure))
    }

    async fn start_server(&self, name: &'static str) -> Result<Server, String> {
        let port = free_port()?;
        let server = Server { url: format!("https://127.0.0.1:{port}"), name, ..self.first.clone() };
        server.write_kubeconfigs()?;
        let arguments = [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-key-file=accounts.pub",
            "--kubelet-preferred-address-types=InternalIP",
            "--requestheader-client-ca-file=front-authority.crt",
            "--requestheader-allowed-names=front",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--proxy-client-cert-file=front.crt",
            "--proxy-client-key-file=front.key",
        ];
        let mut own = vec![
            format!("--secure-port={port}"),
            format!("--etcd-servers={}", self.etcd),
            format!("--etcd-prefix=/{name}"),
            format!("--cert-dir={name}"),
        ];
        if name == "second" {
            // It goes on with a list from etcd alone, and so tells what happens once that has forgotten.
            own.push("--feature-gates=ListFromCacheSnapshot=false".into());
        }
        self.run(name, "kube-apiserver", arguments.map(str::to_owned).into_iter().chain(own).collect())?;
        let api = server.api(Identity::Administrator)?;
        let ready = api.until("/readyz", |found| found == "ok").await;
        ready.map_err(|failure| self.explained(name, &failure))?;
        api.apply("default", &document("gateway.yaml")?).await?;
        Ok(server)
    }

    /// They wait for one another, so nobody waits for them.
    fn start_controllers(&self) -> Result<(), String> {
        for (program, identity) in
            [("kube-controller-manager", Identity::Controllers), ("kube-scheduler", Identity::Scheduler)]
        {
            let mut arguments = vec![
                format!("--kubeconfig={}", self.first.kubeconfig(identity).display()),
                format!("--secure-port={}", free_port()?),
                format!("--cert-dir={program}"),
                "--bind-address=127.0.0.1".into(),
                "--leader-elect=false".into(),
                // As it is, thousands of pods would take minutes.
                "--kube-api-qps=2000".into(),
                "--kube-api-burst=4000".into(),
            ];
            if identity == Identity::Controllers {
                arguments.push("--service-account-private-key-file=accounts.key".into());
                arguments.push("--use-service-account-credentials=true".into());
                arguments.push("--root-ca-file=authority.crt".into());
            }
            self.run(program, program, arguments)?;
        }
        Ok(())
    }

    async fn start_nodes(&self) -> Result<(), String> {
        let port = free_port()?;
        let config = self.folder.join("kwok.yaml");
        write(&config, &format!("{}---\n{}", document("kwok.yaml")?, self.write_logs()?))?;
        self.run(
            "kwok",
            "kwok",
            vec![
                format!("--kubeconfig={}", self.first.kubeconfig(Identity::Administrator).display()),
                format!("--config={}", config.display()),
                "--manage-all-nodes=true".into(),
                // Without leases, all pods turn unready after a minute.
                "--node-lease-duration-seconds=40".into(),
                // The usual range has addresses for 254 pods.
                "--cidr=10.64.0.0/12".into(),
                "--node-ip=127.0.0.1".into(),
                format!("--node-port={port}"),
                format!("--server-address=127.0.0.1:{port}"),
                "--tls-cert-file=node.crt".into(),
                "--tls-private-key-file=node.key".into(),
            ],
        )?;
        let api = self.first.api(Identity::Administrator)?;
        for name in NODES {
            api.apply("default", &document("node.yaml")?.replace("NAME", name)).await?;
        }
        let ready = api.until("/api/v1/nodes", |found| {
            let nodes = found["items"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            let ready = |node: &&Value| {
                let conditions = node["status"]["conditions"].as_array();
                conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
                    && node["spec"]["taints"].is_null()
            };
            nodes.iter().filter(ready).count() == NODES.len()
        });
        ready.await.map(|_| ()).map_err(|failure| self.explained("kwok", &failure))
    }

    /// The logs of containers, by their names: a line a second, the last one now.
    fn write_logs(&self) -> Result<String, String> {
        let now = jiff::Timestamp::now();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/kubernetes/logs");
        let folder = self.folder.join("logs");
        let failed = |error: std::io::Error| format!("{}: {error}", source.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(&source).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let lines: Vec<_> = text.lines().collect();
            let mut log = String::new();
            for (place, line) in lines.iter().enumerate() {
                let age = i64::try_from(lines.len() - 1 - place).unwrap_or_default();
                let time = now - jiff::SignedDuration::from_secs(age);
                log.push_str(&format!("{time:.9} stdout F {line}\n"));
            }
            write(&folder.join(&name), &log)?;
            let Some(container) = name.strip_suffix(".log").filter(|name| !name.ends_with(".previous")) else {
                continue;
            };
            let mut known = json!({"logsFile": folder.join(&name), "follow": true});
            if container != "others" {
                known["containers"] = json!([container]);
            }
            let previous = format!("{container}.previous.log");
            if source.join(&previous).exists() {
                known["previousLogsFile"] = json!(folder.join(previous));
            }
            logs.push(known);
        }
        Ok(yaml::emit(&json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "containers"},
            "spec": {"logs": logs},
        })))
    }

    async fn start_metrics(&self) -> Result<(), String> {
        let port = free_port()?;
        let kubeconfig = self.first.kubeconfig(Identity::Administrator).display().to_string();
        self.run(
            "metrics-server",
            "metrics-server",
            vec![
                format!("--kubeconfig={kubeconfig}"),
                format!("--authentication-kubeconfig={kubeconfig}"),
                format!("--authorization-kubeconfig={kubeconfig}"),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={port}"),
                "--cert-dir=metrics-server".into(),
                "--kubelet-insecure-tls".into(),
                "--kubelet-preferred-address-types=InternalIP".into(),
                "--kubelet-use-node-status-port".into(),
                "--kubelet-request-timeout=5s".into(),
                // No shorter time is allowed, and the first figures take two rounds.
                "--metric-resolution=10s".into(),
            ],
        )?;
        let api = self.first.api(Identity::Administrator)?;
        api.apply("kube-system", &document("metrics.yaml")?.replace("PORT", &port.to_string())).await?;
        let known = |found: &Value| found["items"].as_array().is_some_and(|nodes| nodes.len() == NODES.len());
        let answers = api.until("/apis/metrics.k8s.io/v1beta1/nodes", known).await;
        answers.map(|_| ()).map_err(|failure| self.explained("metrics-server", &failure))
    }

    fn run(&self, name: &str, program: &str, arguments: Vec<String>) -> Result<(), String> {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        supervisor.run(name, &self.programs.join(program), &arguments)
    }

    fn explained(&self, name: &str, failure: &str) -> String {
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{failure}\n{name} said:\n{}", supervisor.last_words(name))
    }
}

/// A document of `tests/stack/kubernetes`.
pub fn document(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/kubernetes").join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| error.to_string())
}

/// The folder into which `tests/stack/install` put the programs.
pub fn installed() -> Result<PathBuf, String> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("CLOUD_NATIVE_MCP_STACK")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("cloud-native-mcp-stack")))
        .or_else(|| Some(variable("HOME")?.join(".cache/cloud-native-mcp-stack")));
    let folder = cache.map(|cache| cache.join("bin")).filter(|folder| folder.join("kube-apiserver").exists());
    folder.ok_or_else(|| {
        "Kubernetes is not installed: run `tests/stack/install programs` and `tests/stack/install cluster`".into()
    })
}
