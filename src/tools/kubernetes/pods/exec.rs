//! Commands in containers.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Request, segment};
use crate::error::{Error, Result};
use crate::toolkit::args::{Limit, MaxTokens};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Bytes of each output that are kept.
const MOST_KEPT: usize = 64 << 10;

/// Names the container that is meant where a call names none.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Runs one allow-listed command in a container and returns its output.
///
/// There is no shell, no standard input and no terminal. Which commands may be run is up to the operator, and a refusal
/// names them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct PodExec {
    /// Name of the pod.
    pod: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the pod.
    namespace: String,
    /// Name of the container; the default one of the pod when absent, or else its first.
    container: Option<String>,
    /// Program and arguments, no shell.
    command: Vec<String>,
    /// Seconds that it may take, at most 300.
    #[serde(default)]
    timeout_seconds: Limit<30, 300>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// How a command ended, and what it wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct Executed {
    /// What it returned; none where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    container: String,
    seconds: f64,
    /// Standard output.
    output: String,
    /// Standard error.
    errors: String,
}

impl Tool for PodExec {
    const NAME: &str = "kubernetes_pod_exec";
    const POLICY: Policy = Policy::destroy(Permission::PodsExec).longest(310);
    const REPLACES: &[&str] = &["kubernetes_pod_exec"];
    type Backend = Kubernetes;
    type Output = Facts<Executed>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Executed>> {
        cluster.permitted().check_command(&self.command)?;
        let kind = cluster.kind("pods").await?;
        let pod: Pod = cluster.object(&kind, Some(&self.namespace), &self.pod).await?;
        let container = self.container_of(&pod)?;
        let started = Instant::now();
        let timeout = Duration::from_secs(self.timeout_seconds.get() as u64);
        let mut process =
            tokio::time::timeout(timeout, self.start(&container, cluster)).await.unwrap_or_else(|_| {
                Err(Error::TimedOut(format!("the command did not begin within {} s", timeout.as_secs())))
            })?;
        let (mut output, mut errors) = (Kept::default(), Kept::default());
        let ended = {
            let status = process.take_status();
            let (stdout, stderr) = (process.stdout(), process.stderr());
            let run = async {
                tokio::join!(output.read(stdout), errors.read(stderr), async {
                    match status {
                        Some(status) => status.await,
                        None => None,
                    }
                })
                .2
            };
            tokio::time::timeout(timeout.saturating_sub(started.elapsed()), run).await
        };
        drop(process);
        let mut facts = Facts::new(Executed {
            exit_code: None,
            container,
            seconds: (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            output: output.text(cluster),
            errors: errors.text(cluster),
        });
        for (name, kept) in [("Standard output", &output), ("Standard error", &errors)] {
            if kept.dropped > 0 {
                facts = facts.note(format!(
                    "{name} was longer: {} bytes after its first {} KiB were dropped.",
                    kept.dropped,
                    MOST_KEPT >> 10
                ));
            }
        }
        Ok(match ended.map(|status| status.map(|status| exit_code(&status))) {
            Ok(Some(Ok(code))) => facts.with(|executed| executed.exit_code = Some(code)),
            Ok(Some(Err(message))) => {
                let message = cluster.redact_text(&message).into_owned();
                if output.is_empty() && errors.is_empty() {
                    return Err(Error::BadArguments(format!("command: it was not run: {message}")));
                }
                facts.note(format!("How it ended is not known: {message}."))
            }
            Ok(None) => facts.note("How it ended is not known: the connection broke off."),
            Err(_) => facts.note(format!(
                "It was still running after {} s and may go on; its output up to then is here.",
                timeout.as_secs()
            )),
        })
    }
}

impl PodExec {
    fn container_of(&self, pod: &Pod) -> Result<String> {
        let spec = pod.spec.as_ref();
        let containers = spec.map_or(&[] as &[_], |spec| &spec.containers);
        let mut names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
        let ephemeral = spec.and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default();
        names.extend(ephemeral.iter().map(|container| container.name.as_str()));
        let default = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_CONTAINER)).map(String::as_str);
        let wanted = match &self.container {
            Some(container) if names.contains(&container.as_str()) => Some(container.as_str()),
            Some(container) => {
                return Err(Error::NotFound(format!(
                    "container: there is no `{container}` in {}; there are {}",
                    self.pod,
                    names.join(", ")
                )));
            }
            None => default.filter(|default| names.contains(default)).or(names.first().copied()),
        };
        wanted.map(str::to_owned).ok_or_else(|| Error::NotFound(format!("{} has no container", self.pod)))
    }

    async fn start(&self, container: &str, cluster: &Kubernetes) -> Result<AttachedProcess> {
        let client = cluster.cluster().client().await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let params = AttachParams {
            container: Some(container.to_owned()),
            stdin: false,
            stdout: true,
            stderr: true,
            tty: false,
            ..AttachParams::default()
        };
        match pods.exec(&self.pod, &self.command, &params).await {
            Ok(process) => Ok(process),
            Err(error) => Err(self.refusal(container, cluster, &error).await),
        }
    }

    /// Why the connection was refused. The library drops the words of the API server; a plain request brings them back,
    /// and cannot run anything.
    async fn refusal(&self, container: &str, cluster: &Kubernetes, error: &kube::Error) -> Error {
        let path = match (segment("namespace", &self.namespace), segment("pod", &self.pod)) {
            (Ok(namespace), Ok(pod)) => format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec"),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        let mut request = Request::get(path).query("container", container).query("stdout", "true");
        for word in &self.command {
            request = request.query("command", word.as_str());
        }
        match cluster.cluster().send(&request, &cluster.context).await {
            Err(refused) if refused.code() != Some(400) => refused.into(),
            _ => Error::Unavailable(format!(
                "kubernetes/{} does not run the command ({error}); `kubernetes_get_resource` shows whether the container \
                 runs",
                cluster.name()
            )),
        }
    }
}

/// The code that a command returned; a sentence where it returned none.
fn exit_code(status: &Status) -> Result<i32, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_ref()?.parse().ok());
    code.ok_or_else(|| status.message.clone().unwrap_or_else(|| "no reason was given".into()))
}

/// The beginning of an output.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Kept {
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut part = vec![0; 8 << 10];
        while let Ok(length @ 1..) = from.read(&mut part).await {
            let room = MOST_KEPT - self.bytes.len();
            self.bytes.extend_from_slice(&part[..length.min(room)]);
            self.dropped += length.saturating_sub(room) as u64;
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn text(&self, cluster: &Kubernetes) -> String {
        let mut redactor = cluster.line_redactor("a command");
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<_> = text.lines().map(|line| redactor.redact(line)).collect();
        lines.join("\n")
    }
}
