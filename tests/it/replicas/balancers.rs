//! Replicas behind the load balancers whose configurations stand in `docs/balancers`, taken from there as they are.

use std::net::SocketAddr;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Replicas, address, backends, sleep, unreachable};
use crate::harness::{Events, Folder, Process, Service, free_port};
use crate::stack;

/// A load balancer in front of three replicas.
struct Balancer {
    _process: Process,
    _folder: Folder,
    front: Service,
}

/// An example with the addresses of this test in it.
fn example(name: &str, port: u16, replicas: &[SocketAddr]) -> String {
    let path = format!("{}/docs/balancers/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (number, replica) in replicas.iter().enumerate() {
        let placeholder = format!("replica-{}:8080", number + 1);
        assert!(text.contains(&placeholder), "{name} names no {placeholder}");
        text = text.replace(&placeholder, &replica.to_string());
    }
    for (placeholder, listen) in
        [("listen 8080;", format!("listen 127.0.0.1:{port};")), ("bind :8080", format!("bind 127.0.0.1:{port}"))]
    {
        text = text.replace(placeholder, &listen);
    }
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{name} listens elsewhere");
    text
}

impl Balancer {
    async fn nginx(replicas: &Replicas) -> Option<Self> {
        let program = stack::program("nginx")?;
        let folder = Folder::new();
        let port = free_port();
        let addresses: Vec<_> = replicas.all.iter().map(address).collect();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", folder.path().display()))
            .concat();
        let file = folder.write(
            "nginx.conf",
            &format!(
                "daemon off;\nerror_log stderr;\npid {}/pid;\nevents {{}}\nhttp {{\n    access_log off;\n{paths}{}\n}}\n",
                folder.path().display(),
                example("nginx.conf", port, &addresses)
            ),
        );
        let prefix = folder.path().display().to_string();
        let process = Process::start(&program, &["-p", &prefix, "-c", &file.display().to_string()]);
        Some(Self::ready(process, folder, port, replicas).await)
    }

    async fn haproxy(replicas: &Replicas) -> Option<Self> {
        let program = stack::program("haproxy")?;
        let folder = Folder::new();
        let port = free_port();
        let addresses: Vec<_> = replicas.all.iter().map(address).collect();
        let file = folder.write("haproxy.cfg", &example("haproxy.cfg", port, &addresses));
        let process = Process::start(&program, &["-db", "-q", "-f", &file.display().to_string()]);
        Some(Self::ready(process, folder, port, replicas).await)
    }

    async fn ready(process: Process, folder: Folder, port: u16, replicas: &Replicas) -> Self {
        let front = Service::at(&format!("http://127.0.0.1:{port}"), Some(replicas.all[0].key().to_owned()));
        crate::harness::eventually("the balancer reaches a replica", async || {
            let (status, _) =
                crate::harness::read(front.modern("/mcp", "tools/list", json!({})).send().await.ok()?).await;
            (status == StatusCode::OK).then_some(())
        })
        .await;
        Self { _process: process, _folder: folder, front }
    }

    /// What every one of them has to do.
    async fn check(&self, replicas: &mut Replicas) {
        for path in ["/metrics", "/livez", "/readyz"] {
            let hidden = self.front.request(Method::GET, path).send().await.unwrap();
            assert_eq!(hidden.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let answer = self.front.succeed("utilities_get_time", json!({"zone": "Asia/Tokyo"})).await;
        assert!(answer.text.contains("+09:00"), "{}", answer.text);

        // Requests of one session stay on one replica.
        let session = self.front.session("2025-11-25").await;
        for _ in 0..20 {
            assert!(session.send("prompts/list", json!({})).await["result"]["prompts"].is_array());
        }
        let mut served = Vec::new();
        for replica in &replicas.all {
            let metrics = replica.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
            let counts = metrics.lines().filter(|line| line.contains("method=\"prompts/list\""));
            served.push(counts.filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect::<Vec<_>>());
        }
        served.retain(|counts| !counts.is_empty());
        assert_eq!(served, [["20"]], "one replica has all of them");

        // What is said before the answer comes at once: this call would outlast the patience of the test.
        let mut events = Events::new(session.post(&sleep("60s")).await);
        assert_eq!(events.message().await["method"], "notifications/progress");
        session.post(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})).await;

        // A change on any replica reaches the stream behind the balancer.
        let mut stream = session.listen(None).await;
        stream.next().await.unwrap();
        assert_eq!(session.send("resources/subscribe", backends()).await["result"], json!({}));
        replicas.all[2].fail("prometheus_query", json!({"query": "up"})).await;
        assert_eq!(stream.message().await["params"], backends());

        // The session outlives its replica, whichever that is.
        for _ in 0..3 {
            replicas.all.rotate_left(1);
            let mut gone = replicas.all.pop().unwrap();
            gone.terminate().await;
            if replicas.all.is_empty() {
                break;
            }
            for _ in 0..10 {
                let answer = session.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert!(status.is_success() && text.contains("\"result\":{}"), "{status} {text}");
            }
        }
    }
}

#[tokio::test]
async fn the_example_of_nginx_serves_sessions_and_streams_and_survives_its_replicas() {
    let Some(mut replicas) = Replicas::start(&unreachable()).await else { return };
    let Some(balancer) = Balancer::nginx(&replicas).await else { return };
    balancer.check(&mut replicas).await;
}

#[tokio::test]
async fn the_example_of_haproxy_serves_sessions_and_streams_and_survives_its_replicas() {
    let Some(mut replicas) = Replicas::start(&unreachable()).await else { return };
    let Some(balancer) = Balancer::haproxy(&replicas).await else { return };
    balancer.check(&mut replicas).await;
}
