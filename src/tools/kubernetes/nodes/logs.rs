//! What services of a node wrote to their logs
//! (kubernetes.io/docs/concepts/cluster-administration/system-logs, "Log query").

use std::time::Instant;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::{node_path, unknown};
use crate::answers::tokens;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request, Status};
use crate::error::{Error, Result};
use crate::toolkit::args::{Limit, MaxTokens, Moment};
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::tools::ages;
use crate::tools::patterns::{at_length, pattern};

/// Bytes at the end of a log that are looked at.
const MOST_BYTES: usize = 8 << 20;

/// Bytes of a log that are read to get to its end.
const MOST_READ: usize = 256 << 20;

/// Reads system service logs of a node through the kubelet.
///
/// For logs of pods use `kubernetes_get_pod_logs`. Needs the kubelet settings enableSystemLogHandler and enableSystemLogQuery,
/// and the right to get nodes/proxy; says which is missing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetNodeLogs {
    /// The node, as `kubernetes_get_node_status` lists it.
    name: String,
    /// The cluster by name; needed when several are configured.
    cluster: Option<String>,
    /// Service, for example `containerd`, or with a leading slash a file under the log directory, for example `/syslog`.
    #[serde(default = "kubelet")]
    query: String,
    /// From here on: RFC 3339, or relative as `now-1h`. Of services only.
    start: Option<Moment>,
    /// Up to here. Of services only.
    end: Option<Moment>,
    /// Regular expression that lines must match.
    pattern: Option<String>,
    /// Lines from the end, at most 5000.
    #[serde(default)]
    tail: Limit<200, 5000>,
    /// Budget of the answer in tokens; older lines are cut first.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn kubelet() -> String {
    "kubelet".into()
}

/// The end of a log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Lines {
    node: String,
    query: String,
    /// Lines, the oldest first.
    lines: Vec<String>,
}

impl Tool for GetNodeLogs {
    const NAME: &str = "kubernetes_get_node_logs";
    const POLICY: Policy = Policy::read(Permission::NodesRead);
    type Backend = Kubernetes;
    type Output = Facts<Lines>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Lines>> {
        let pattern = self.check()?;
        let text = match self.read(cluster).await {
            Ok(text) => text,
            Err(Refused::Status(status)) => return Err(self.refused(*status, cluster).await),
            Err(other) => return Err(other.into()),
        };
        if is_folder(&text) {
            return Err(Error::Unavailable(format!(
                "the kubelet of {} lists its log directory instead of answering the query: enableSystemLogQuery is missing. \
                 Its configuration needs `enableSystemLogQuery: true`, before Kubernetes 1.36 with the feature gate NodeLogQuery",
                self.name
            )));
        }
        let text = cluster.redact_lines(format!("{}/{}", self.name, self.query), text.into()).await?;
        let mut lines: Vec<&str> = text.iter().map(String::as_str).collect();
        if let Some(pattern) = &pattern {
            let deadline = cluster.context.deadline;
            at_length(|| lines.retain(|line| Instant::now() < deadline && pattern.is_match(line)));
            if Instant::now() >= deadline {
                return Err(Error::TimedOut("comparing took too long; use a simpler `pattern`".into()));
            }
        }
        let found = lines.len();
        let tail = self.tail.get();
        lines.drain(..found.saturating_sub(tail));
        let asked = lines.len();
        let lines: Vec<String> = fitting(&lines, self.max_tokens.get()).iter().map(|&line| line.to_owned()).collect();
        let mut notes = Vec::new();
        if lines.is_empty() {
            notes.push("No line fits; try another `query`, an earlier `start`, or no `pattern`.".to_owned());
        } else if lines.len() < asked {
            notes.push(format!(
                "{} older lines did not fit; raise max_tokens, or narrow with `pattern`, `start` and `end`.",
                asked - lines.len()
            ));
        } else if found >= tail {
            notes
                .push(format!("These are the last {tail} lines; there may be older ones: raise `tail`, or set `end`."));
        }
        let shown = lines.join("\n");
        let facts = Facts::new(Lines { node: self.name, query: self.query, lines }).text(shown);
        Ok(notes.into_iter().fold(facts, Facts::note))
    }
}

impl GetNodeLogs {
    /// The kubelet reads files as a whole: lines are chosen here.
    fn is_file(&self) -> bool {
        self.query.contains(['/', '\\'])
    }

    fn check(&self) -> Result<Option<Regex>> {
        let wrong = |message: &str| Err(Error::BadArguments(message.to_owned()));
        if self.query.trim().is_empty() || self.query.split(['/', '\\']).any(|part| part == "..") {
            return wrong("query: give a service such as kubelet or containerd, or a file such as /syslog");
        }
        if self.is_file() && (self.start.is_some() || self.end.is_some()) {
            return wrong("start, end: they choose lines of services; leave them out for a file, and use `pattern`");
        }
        self.pattern.as_deref().map(|text| pattern("pattern", text, true)).transpose()
    }

    fn request(&self, now: jiff::Timestamp) -> Result<Request> {
        let request =
            Request::get(format!("{}/proxy/logs/", node_path(&self.name)?)).accept("*/*").query("query", &self.query);
        if self.is_file() {
            return Ok(request);
        }
        let (start, end) = (self.start.map(|start| start.when(now)), self.end.map(|end| end.when(now)));
        if start.zip(end).is_some_and(|(start, end)| start > end) {
            return Err(Error::BadArguments("end: it is before `start`".into()));
        }
        // A pattern is matched here: on the node, it would find out what is not shown.
        let tail = self.pattern.is_none().then(|| self.tail.get().to_string());
        Ok(request
            .query_some("sinceTime", start.map(ages::at))
            .query_some("untilTime", end.map(ages::at))
            .query_some("tailLines", tail))
    }

    /// The end of the log.
    async fn read(&self, cluster: &Kubernetes) -> Result<String, Refused> {
        let request = self.request(cluster.context.now)?;
        let mut stream = cluster.cluster().stream(&request, &cluster.context).await?;
        let mut kept = Vec::new();
        let mut read = 0;
        while let Some(part) = stream.next().await? {
            read += part.len();
            kept.extend_from_slice(&part);
            if kept.len() > 2 * MOST_BYTES {
                kept.drain(..kept.len() - MOST_BYTES);
            }
            if read > MOST_READ {
                return Err(Error::BadArguments(format!(
                    "query: this log has more than {} MiB; ask for a service with `start` instead of a file",
                    MOST_READ >> 20
                ))
                .into());
            }
        }
        Ok(String::from_utf8_lossy(&kept).into_owned())
    }

    /// Says what is missing.
    async fn refused(&self, status: Status, cluster: &Kubernetes) -> Error {
        let node = &self.name;
        let settings = "`enableSystemLogHandler: true` and `enableSystemLogQuery: true`";
        match status.code {
            405 => Error::Unavailable(format!(
                "the kubelet of {node} has its logs turned off ({}): enableSystemLogHandler is missing. Its configuration \
                 needs {settings}",
                status.message.trim()
            )),
            404 => match cluster.get::<serde::de::IgnoredAny>(Request::get(format!("/api/v1/nodes/{node}"))).await {
                Err(Refused::Status(status)) if status.code == 404 => unknown(node, cluster).await,
                _ => Error::Unavailable(format!(
                    "the kubelet of {node} has no logs to ask for ({}); one of Kubernetes 1.27 or newer with {settings} has",
                    status.message.trim()
                )),
            },
            400 => Error::BadArguments(format!("the kubelet of {node} refuses it: {}", status.message.trim())),
            403 => Error::Forbidden(format!(
                "kubernetes/{}: {}. Logs of nodes need the right to get nodes/proxy; `kubernetes_check_permissions` with \
                 kind nodes and subresource proxy tells",
                cluster.name(),
                status.message.trim_end_matches('.')
            )),
            _ => Refused::Status(Box::new(status)).into(),
        }
    }
}

/// Whether this is the page that lists a folder: what a kubelet answers that does not know queries.
fn is_folder(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect::<String>().to_lowercase();
    start.starts_with("<pre>") || start.starts_with("<!doctype html>")
}

/// The last lines that fit, with room for what stands around them.
fn fitting<'a, 'b>(lines: &'a [&'b str], max_tokens: usize) -> &'a [&'b str] {
    let room = max_tokens * 4 / 5;
    let mut used = 0;
    let mut first = lines.len();
    while first > 0 {
        used += tokens(lines[first - 1]) + 2;
        if used > room {
            break;
        }
        first -= 1;
    }
    &lines[first..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_lines_are_cut_first() {
        let lines = ["old ".repeat(50), "new ".repeat(50)];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(fitting(&lines, 100_000).len(), 2);
        let enough = (tokens(lines[1]) + 2) * 5 / 4 + 5;
        assert_eq!(fitting(&lines, enough), &lines[1..]);
    }

    #[test]
    fn a_listed_folder_is_no_log() {
        assert!(is_folder("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n"));
        assert!(is_folder("<pre>\n<a href=\"containers/\">containers/</a>\n"));
        assert!(!is_folder("Nov 22 19:00:00 node-a kubelet[1]: <pre>"));
    }
}
