//! Lists of pods: the API server alone, our server in front of it, and another one if there is one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::calls::{Call, Endpoint, Era, check};
use super::cluster::{Api, Cluster, Identity, installed};
use super::connection::Connection;
use super::process::Figures;

/// How long pods may take to run.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the other server may take to listen.
const START: Duration = Duration::from_secs(20);

/// How many lists were answered from a watch.
const KEPT: &str = "mcp_backend_kept_answers_total";

/// The rows that a page of ours has.
const PAGE: usize = 50;

/// A cluster with a small and a large namespace.
#[derive(Debug)]
pub(crate) struct Pods {
    cluster: Cluster,
    /// Each with its number of pods.
    namespaces: Vec<(String, usize)>,
}

impl Pods {
    /// Starts a cluster, and waits until its pods run.
    pub(crate) async fn start(pods: usize) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
        let cluster = Cluster::start(&installed()?, &folder).await?;
        let api = cluster.first.api(Identity::Administrator)?;
        let mut namespaces = Vec::new();
        for count in [20, pods] {
            let namespace = api.namespace("load").await?;
            let labels = json!({"app": "load"});
            let container = json!({"name": "web", "image": "registry.example.org/web:1.0"});
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "load"},
                "spec": {
                    "replicas": count, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
                }
            });
            api.apply(&namespace, &deployment.to_string()).await?;
            until_ready(&api, &namespace, count).await?;
            namespaces.push((namespace, count));
        }
        Ok(Self { cluster, namespaces })
    }

    /// Our configuration for it, with or without keeping lists up to date by watches.
    pub(crate) fn configuration(&self, keeps: bool) -> String {
        format!(
            "backends:\n  kubernetes:\n    clusters:\n      load:\n        kubeconfig: {}\n        watch_cache: {{enabled: \
             {keeps}}}\n",
            self.kubeconfig().display()
        )
    }

    fn kubeconfig(&self) -> PathBuf {
        self.cluster.first.kubeconfig(Identity::Administrator)
    }

    /// The API server itself.
    pub(crate) fn direct(&self) -> Result<Endpoint, String> {
        let token = self.cluster.first.token(Identity::Administrator);
        Endpoint::new(&self.cluster.first.url, Some(token))?.trusting(self.cluster.first.authority())
    }

    /// What is asked of the API server, and what of us, for the same pods.
    pub(crate) fn calls(&self) -> Result<Vec<(Call, Call)>, String> {
        let direct = self.direct()?;
        let calls = self.namespaces.iter().map(|(namespace, count)| {
            let path = format!("/api/v1/namespaces/{namespace}/pods?includeObject=None&limit={PAGE}");
            let accept = ("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
            let request = direct.at(&path).request("GET", &[accept], "");
            let plain = Call::plain(&format!("{count} pods"), &String::from_utf8_lossy(&request));
            let arguments = json!({"kind": "pods", "namespace": namespace, "limit": PAGE});
            let ours = Call::tool("kubernetes_list_resources", arguments);
            (plain, ours.named(&format!("kubernetes_list_resources, {count} pods")))
        });
        Ok(calls.collect())
    }

    /// What is asked of the other server for the same pods.
    pub(crate) fn peer_calls(&self) -> Vec<Call> {
        let calls = self.namespaces.iter().map(|(namespace, count)| {
            let call = Call::tool("pods_list_in_namespace", json!({"namespace": namespace}));
            call.named(&format!("pods_list_in_namespace, {count} pods"))
        });
        calls.collect()
    }
}

/// kubernetes-mcp-server, in front of the same cluster. It ends with this value.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Child,
    pub(crate) endpoint: Endpoint,
}

impl Peer {
    /// Starts its program, without the bound on requests that it sets itself.
    pub(crate) async fn start(program: &Path, pods: &Pods) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| error.to_string())?.port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--kubeconfig"]).arg(pods.kubeconfig());
        command.env("KUBE_CLIENT_QPS", "100000").env("KUBE_CLIENT_BURST", "200000");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let endpoint = Endpoint::new(&format!("http://127.0.0.1:{port}/mcp"), None)?;
        let peer = Self { process, endpoint };
        let begun = Instant::now();
        while Connection::open(&peer.endpoint).await.is_err() {
            if begun.elapsed() > START {
                return Err(format!("{} does not listen", program.display()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(peer)
    }

    /// What its process takes.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of_process(self.process.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a call is answered from a watch.
pub(crate) async fn until_kept(endpoint: &Endpoint, call: &Call) -> Result<(), String> {
    let mut connection = Connection::open(endpoint).await.map_err(|error| error.to_string())?;
    let mut request = call.request(endpoint, Era::Modern, None);
    let metrics = endpoint.at("/metrics").request("GET", &[], "");
    let mut before = None;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let reply = connection.send(request.next()).await.map_err(|error| error.to_string())?;
        check(&reply)?;
        let reply = connection.send(&metrics).await.map_err(|error| error.to_string())?;
        let counted =
            String::from_utf8_lossy(reply.body).lines().find(|line| line.starts_with(KEPT)).map(str::to_owned);
        if before.is_some_and(|before| before != counted) {
            return Ok(());
        }
        before = Some(counted);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("no list is answered from a watch".into())
}

async fn until_ready(api: &Api, namespace: &str, count: usize) -> Result<(), String> {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/load");
    let begun = Instant::now();
    loop {
        let found = api.get(&path).await?;
        let ready = found["status"]["readyReplicas"].as_u64().unwrap_or_default();
        if usize::try_from(ready).is_ok_and(|ready| ready == count) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{ready} of {count} pods run after {} s", PATIENCE.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
