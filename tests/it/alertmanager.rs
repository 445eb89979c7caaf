//! Alertmanager's tools against a real one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cloud_native_mcp::caller::Effect;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{self, Folder, Process, Service, eventually};
use crate::stack;

/// Receivers of all kinds, a tree with a branch that nothing reaches, and one inhibition.
const CONFIGURATION: &str = r#"
route:
  receiver: default
  group_by: [alertname, cluster]
  group_wait: 1s
  group_interval: 1s
  routes:
  - {receiver: audit, continue: true, matchers: ['audit="true"']}
  - receiver: pager
    matchers: ['severity=~"page|critical"']
    routes:
    - {receiver: dba, match: {team: db}, group_by: [...], mute_time_intervals: [nights]}
    - {match_re: {team: "web|shop"}, continue: true}
    - {receiver: web, matchers: ['team=web', 'service!~"test-.*"']}
  - {receiver: quiet, matchers: ['severity!="warning"', 'severity!="info"', 'team=""']}
  - {receiver: shadowed, matchers: ['severity=page', 'team=~"d."']}
time_intervals:
- {name: nights, time_intervals: [{times: [{start_time: "00:00", end_time: "00:01"}]}]}
receivers:
- {name: default, webhook_configs: [{url: "http://127.0.0.1:1/x?token=hunter2"}]}
- {name: pager, webhook_configs: [{url: "HOOK"}]}
- {name: dba, email_configs: [{to: a@b.example, from: c@d.example, smarthost: "127.0.0.1:1", auth_password: hunter2}]}
- {name: web, webhook_configs: [{url: "HOOK"}]}
- {name: audit}
- {name: quiet}
- {name: shadowed}
inhibit_rules:
- {source_matchers: [severity=critical], target_matchers: ['severity=~"warning|info"'], equal: [cluster]}
"#;

/// An address where nobody is.
const NOWHERE: &str = "http://127.0.0.1:1/";

/// A running Alertmanager.
struct Alertmanager {
    _process: Process,
    folder: Folder,
    url: String,
}

impl Alertmanager {
    /// Starts one that sends its webhooks to `hook`.
    async fn start(hook: &str) -> Option<Self> {
        let program = stack::program("alertmanager")?;
        let folder = Folder::new();
        let file = folder.write("alertmanager.yml", &CONFIGURATION.replace("HOOK", hook));
        let port = harness::free_port();
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let process = Process::start(&program, &arguments.each_ref().map(String::as_str));
        let url = format!("http://127.0.0.1:{port}");
        harness::ready(&format!("{url}/-/ready")).await;
        Some(Self { _process: process, folder, url })
    }

    /// Raises alerts, each given by its labels, that began so many minutes ago.
    async fn raise(&self, alerts: &[(Value, i64)]) {
        let now = jiff::Timestamp::now();
        let alerts: Vec<_> = alerts
            .iter()
            .map(|(labels, minutes)| {
                json!({
                    "labels": labels,
                    "annotations": {"summary": format!("{} is not well", labels["alertname"].as_str().unwrap())},
                    "startsAt": (now - jiff::SignedDuration::from_mins(*minutes)).to_string(),
                    "endsAt": (now + jiff::SignedDuration::from_hours(1)).to_string(),
                    "generatorURL": "http://prometheus.example/graph",
                })
            })
            .collect();
        let response =
            harness::client().post(format!("{}/api/v2/alerts", self.url)).json(&alerts).send().await.unwrap();
        assert!(response.status().is_success());
    }

    async fn silences(&self) -> Vec<Value> {
        harness::client().get(format!("{}/api/v2/silences", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// A service in front of it whose callers may do everything.
    async fn served(&self) -> Service {
        Service::start(&format!("allow: destroy\n{}", backends(&[("main", &self.url)]))).await
    }
}

fn backends(instances: &[(&str, &str)]) -> String {
    let mut config = "backends:\n  alertmanager:\n    instances:\n".to_owned();
    for (name, url) in instances {
        config.push_str(&format!("      {name}: {{url: \"{url}\", retries: 0}}\n"));
    }
    config
}

/// An Alertmanager with a few alerts, and the service in front of it.
async fn stand() -> Option<(Alertmanager, Service)> {
    let alertmanager = Alertmanager::start(NOWHERE).await?;
    alertmanager
        .raise(&[
            (json!({"alertname": "DiskFull", "severity": "critical", "cluster": "eu", "team": "db", "disk": "a"}), 190),
            (json!({"alertname": "DiskFull", "severity": "warning", "cluster": "us", "team": "db", "disk": "b"}), 45),
            (json!({"alertname": "Latency", "severity": "page", "cluster": "us", "team": "web"}), 12),
            (json!({"alertname": "Restarts", "severity": "warning", "cluster": "eu", "team": "shop"}), 3000),
            (json!({"alertname": "Watchdog"}), 5),
        ])
        .await;
    let service = alertmanager.served().await;
    // Inhibition is worked out when an alert is routed.
    eventually("all alerts are routed", async || {
        let all = json!({"silenced": true, "inhibited": true});
        let answer = service.succeed("alertmanager_list_alerts", all).await;
        let rows = answer.structured["rows"].as_array()?;
        let inhibited = rows.iter().any(|row| row["state"] == "inhibited");
        (rows.len() == 5 && inhibited && rows.iter().all(|row| row["receivers"][0].is_string())).then_some(())
    })
    .await;
    Some((alertmanager, service))
}

/// The values of a column.
fn column(structured: &Value, name: &str) -> Vec<String> {
    let shared = &structured["common"];
    let rows = structured["rows"].as_array().unwrap().iter();
    rows.map(|row| row.get(name).unwrap_or(&shared[name]))
        .map(|cell| cell.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn alerts_are_listed_worst_first_with_what_is_left_out() {
    let Some((_alertmanager, service)) = stand().await else { return };
    let list = async |arguments: Value| service.succeed("alertmanager_list_alerts", arguments).await;

    let answer = list(json!({})).await;
    assert_eq!(column(&answer.structured, "alert"), ["Latency", "DiskFull", "DiskFull", "Watchdog"]);
    for (age, expected) in column(&answer.structured, "age").iter().zip(["12m", "3h10m", "45m", "5m"]) {
        assert!(age.starts_with(expected), "{age} and not {expected}");
    }
    assert!(answer.text.contains("Latency   page      12m"), "{}", answer.text);
    assert!(answer.text.ends_with("Not listed: 1 inhibited; `inhibited` true includes them."), "{}", answer.text);

    let names = async |arguments: Value| column(&list(arguments).await.structured, "alert");
    assert_eq!(names(json!({"sort_by": "name"})).await, ["DiskFull", "DiskFull", "Latency", "Watchdog"]);
    assert_eq!(names(json!({"sort_by": "start"})).await, ["Watchdog", "Latency", "DiskFull", "DiskFull"]);
    assert_eq!(names(json!({"filter": ["team=\"db\"", "cluster=~e."]})).await, ["DiskFull"]);
    assert_eq!(names(json!({"filter": ["{team!=\"db\", severity=page}"]})).await, ["Latency"]);
    assert_eq!(names(json!({"receiver": "dba|quiet"})).await, ["DiskFull", "Watchdog"]);
    assert_eq!(names(json!({"start": "now-30m"})).await, ["Latency", "Watchdog"]);
    assert_eq!(names(json!({"active": false, "inhibited": true})).await, ["Restarts"]);

    let full = list(json!({"view": "full", "filter": ["alertname=Latency"]})).await;
    for part in ["generator: http://prometheus.example/graph", "fingerprint: ", "starts_at: 20", "summary: Latency is"]
    {
        assert!(full.text.contains(part), "{part}: {}", full.text);
    }

    let summary = list(json!({"view": "summary", "inhibited": true})).await.structured;
    assert_eq!(summary["facts"]["by_severity"], json!({"warning": 2, "critical": 1, "none": 1, "page": 1}));
    assert_eq!(summary["facts"]["by_receiver"]["dba"], 1);
    let disk = summary["rows"].as_array().unwrap().iter().filter(|row| row["alert"] == "DiskFull").count();
    assert_eq!(disk, 2, "one row for each severity: {summary}");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let Some((_alertmanager, service)) = stand().await else { return };
    let mut arguments = json!({"limit": 2, "inhibited": true, "sort_by": "name"});
    let mut seen = Vec::new();
    loop {
        let page = service.succeed("alertmanager_list_alerts", arguments.clone()).await.structured;
        seen.extend(column(&page, "alert"));
        let Some(cursor) = page.get("cursor") else { break };
        arguments["cursor"] = cursor.clone();
    }
    assert_eq!(seen, ["DiskFull", "DiskFull", "Latency", "Restarts", "Watchdog"]);
}

#[tokio::test]
async fn groups_show_what_is_notified_together() {
    let Some((_alertmanager, service)) = stand().await else { return };
    let groups = service.succeed("alertmanager_list_alert_groups", json!({"inhibited": true})).await;
    let rows = groups.structured["rows"].as_array().unwrap();
    let pager = rows.iter().find(|row| row["receiver"] == "pager").unwrap_or_else(|| panic!("{}", groups.text));
    assert_eq!((&pager["group"], &pager["worst"]), (&json!("alertname=Latency cluster=us"), &json!("page")));
    assert_eq!(pager["members"], json!(["Latency team=web"]));
    let only = service.succeed("alertmanager_list_alert_groups", json!({"receiver": "dba"})).await;
    assert!(
        only.text.contains("group: alertname=DiskFull cluster=eu disk=a severity=critical team=db"),
        "{}",
        only.text
    );
}

#[tokio::test]
async fn a_silence_is_planned_made_changed_and_ended() {
    let Some((alertmanager, service)) = stand().await else { return };
    let create = async |arguments: Value| service.succeed("alertmanager_create_silence", arguments).await;
    let mut wanted =
        json!({"matchers": ["team=\"db\"", "cluster=~\"u.\""], "comment": "disks move, OPS-7", "duration": "30m"});

    wanted["dry_run"] = json!(true);
    let plan = create(wanted.clone()).await;
    assert_eq!(plan.structured["mutes"], 1);
    assert!(plan.text.contains("alerts: DiskFull cluster=us disk=b severity=warning team=db"), "{}", plan.text);
    assert!(alertmanager.silences().await.is_empty(), "a dry run changes nothing");

    let (_, id) = plan.text.split_once("plan \"").unwrap();
    wanted.as_object_mut().unwrap().remove("dry_run");
    wanted["plan"] = json!(id.split('"').next().unwrap());
    let made = create(wanted).await.structured;
    assert_eq!((&made["outcome"], &made["author"]), (&json!("created"), &json!("local")));
    let id = made["id"].as_str().unwrap().to_owned();
    let stored = &alertmanager.silences().await[0];
    assert_eq!(stored["matchers"][1], json!({"name": "cluster", "value": "u.", "isRegex": true, "isEqual": true}));

    eventually("the alert is muted", async || {
        let muted = service.succeed("alertmanager_list_alerts", json!({"active": false, "silenced": true})).await;
        muted.text.contains(&format!("muted_by: {id}")).then_some(())
    })
    .await;
    let list = async |arguments: Value| service.succeed("alertmanager_list_silences", arguments).await;
    let listed =
        list(json!({"alert_labels": {"team": "db", "cluster": "us"}, "author": "LOC", "comment": "ops-7"})).await;
    assert_eq!(listed.structured["rows"][0]["mutes"], 1);
    assert!(listed.text.contains("matchers: team=\"db\", cluster=~\"u.\"\nwhen: ends in 29m"), "{}", listed.text);
    for nothing in [
        json!({"alert_labels": {"team": "db", "cluster": "eu"}}),
        json!({"author": "ann"}),
        json!({"state": ["expired"]}),
        json!({"filter": ["team=web"]}),
    ] {
        assert_eq!(list(nothing.clone()).await.structured["rows"], json!([]), "{nothing}");
    }

    let longer =
        json!({"id": id, "matchers": ["team=db", "cluster=~u."], "comment": "disks move, OPS-7", "duration": "1h"});
    let changed = create(longer).await.structured;
    assert_eq!((&changed["outcome"], &changed["id"]), (&json!("changed"), &json!(id)));
    assert!(changed["changes"][0].as_str().unwrap().starts_with("ends_at: "), "{changed}");
    let wider = json!({"id": id, "matchers": ["team=db"], "comment": "disks move, OPS-7"});
    let replaced = create(wider).await.structured;
    assert!(
        replaced["outcome"].as_str().unwrap().contains("took its place") && replaced["id"] != json!(id),
        "{replaced}"
    );
    let id = replaced["id"].as_str().unwrap();

    let expire = async |arguments: Value| service.succeed("alertmanager_expire_silence", arguments).await;
    let shown = eventually("both alerts are muted", async || {
        let shown = expire(json!({"id": id, "dry_run": true})).await;
        (shown.structured["notify_again"] == 2).then_some(shown)
    })
    .await;
    assert_eq!(shown.structured["outcome"], "dry run: nothing was changed");
    assert_eq!(expire(json!({"id": id})).await.structured["outcome"], "ended");
    let again = expire(json!({"id": id})).await.structured;
    assert!(again["outcome"].as_str().unwrap().starts_with("nothing to do"), "{again}");
    let over = list(json!({"id": id})).await;
    assert!(over.text.contains("state: expired") && over.text.contains("when: ended "), "{}", over.text);
}

#[tokio::test]
async fn silences_that_mean_everything_or_nothing_are_refused() {
    let Some((alertmanager, service)) = stand().await else { return };
    let unknown = "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4";
    for (arguments, expected) in [
        (json!({"matchers": ["alertname=~\".*\""], "comment": "x"}), "would mute every alert"),
        (json!({"matchers": [], "comment": "x"}), "give at least one"),
        (json!({"matchers": ["team"], "comment": "x"}), "after `team` comes none of =, !=, =~, !~"),
        (json!({"matchers": ["team=~\"(\""], "comment": "x"}), "is not a regular expression"),
        (json!({"matchers": ["team=db"], "comment": " "}), "comment: say why"),
        (json!({"matchers": ["team=db"], "comment": "x", "duration": "31d"}), "at most 30d"),
        (json!({"matchers": ["team=db"], "comment": "x", "end": "now-1h"}), "over before it begins"),
        (json!({"matchers": ["team=db"], "comment": "x", "id": unknown}), "`alertmanager_list_silences` shows"),
        (json!({"matchers": ["team=db"]}), "comment"),
    ] {
        let message = service.fail("alertmanager_create_silence", arguments.clone()).await;
        assert!(message.contains(expected), "{arguments}: {message}");
    }
    for id in [unknown, "../../-/reload"] {
        let message = service.fail("alertmanager_expire_silence", json!({"id": id})).await;
        assert!(message.contains("`alertmanager_list_silences` shows"), "{message}");
    }
    assert!(alertmanager.silences().await.is_empty());
}

#[tokio::test]
async fn labels_are_routed_as_alertmanager_routes_them() {
    let (Some((alertmanager, service)), Some(amtool)) = (stand().await, stack::program("amtool")) else { return };
    let choices: [(&str, &[&str]); 4] = [
        ("severity", &["", "page", "critical", "pages", "warning"]),
        ("team", &["", "db", "web", "shop", "d", "dx"]),
        ("audit", &["", "true"]),
        ("service", &["", "test-1"]),
    ];
    let file = alertmanager.folder.path().join("alertmanager.yml");
    let mut sets = vec![BTreeMap::new()];
    for (name, values) in choices {
        sets = sets
            .iter()
            .flat_map(|set| values.iter().map(move |value| (set, value)))
            .map(|(set, value)| {
                let mut set = set.clone();
                if !value.is_empty() {
                    set.insert(name, *value);
                }
                set
            })
            .collect();
    }
    for labels in sets {
        let expected = expected_receivers(&amtool, &file, &labels).await;
        let answer = service.succeed("alertmanager_get_routing", json!({"labels": labels})).await;
        let matched = answer.structured["matched"].as_array().unwrap();
        let receivers: Vec<_> = matched.iter().map(|matched| matched["receiver"].as_str().unwrap()).collect();
        assert_eq!(receivers.join(","), expected, "{labels:?}");
    }
}

async fn expected_receivers(amtool: &Path, file: &Path, labels: &BTreeMap<&str, &str>) -> String {
    let mut command = Command::new(amtool);
    command.args(["config", "routes", "test", "--config.file"]).arg(file);
    command.args(labels.iter().map(|(name, value)| format!("{name}={value}")));
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_tree_of_routes_is_drawn_and_nothing_secret_is_in_it() {
    let Some((_alertmanager, service)) = stand().await else { return };
    let tree = service.succeed("alertmanager_get_routing", json!({})).await;
    assert!(
        tree.text.starts_with(
            "all alerts → default  (grouped by alertname cluster, wait 1s, interval 1s, repeat 4h)\n\
             ├ audit=\"true\" → audit  (then continues)\n\
             ├ severity=~\"page|critical\" → pager\n\
             │ ├ team=\"db\" → dba  (each alert by itself, quiet during nights)\n"
        ),
        "{}",
        tree.text
    );
    assert!(tree.text.contains("severity=\"critical\" mutes severity=~\"warning|info\" where cluster is equal"));
    let receivers = service.succeed("alertmanager_get_routing", json!({"view": "receivers"})).await;
    assert!(receivers.text.contains("dba: email\n") && receivers.text.contains("pager: webhook; 2 routes\n"));
    let full = service.succeed("alertmanager_get_routing", json!({"view": "full"})).await;
    let status = service.succeed("alertmanager_get_status", json!({"view": "full"})).await;
    for answer in [full, status] {
        assert!(answer.text.contains("smarthost: \"127.0.0.1:1\""), "{}", answer.text);
        assert!(!answer.result.to_string().contains("hunter2"), "{}", answer.text);
    }
}

/// A receiver of notifications: its address, and what came.
async fn hook() -> (String, Arc<Mutex<Vec<Value>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = received.clone();
    let router = axum::Router::new().fallback(move |body: axum::body::Bytes| {
        kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        async {}
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    (format!("http://{address}/"), received)
}

#[tokio::test]
async fn a_test_alert_reaches_its_receiver_and_ends_by_itself() {
    let (url, received) = hook().await;
    let Some(alertmanager) = Alertmanager::start(&url).await else { return };
    let service = alertmanager.served().await;
    let send = async |arguments: Value| service.succeed("alertmanager_send_test_alert", arguments).await;

    let planned = send(json!({"receiver": "web", "dry_run": true})).await;
    assert_eq!(planned.structured["outcome"], "dry run: nothing was sent");
    // Whoever is in the web team is told after the pager, whose route continues.
    assert_eq!(planned.structured["labels"]["team"], "web");

    let sent = send(json!({"receiver": "pager", "duration": "3s", "summary": "Hello pager"})).await;
    assert_eq!(sent.structured["reaches"][0]["receiver"], "pager (webhook)", "{}", sent.text);
    let message = eventually("the notification", async || received.lock().unwrap().first().cloned()).await;
    assert_eq!((&message["receiver"], &message["status"]), (&json!("pager"), &json!("firing")));
    let alert = &message["alerts"][0];
    assert_eq!((&alert["labels"]["test"], &alert["annotations"]["summary"]), (&json!("true"), &json!("Hello pager")));
    eventually("it is over", async || {
        received.lock().unwrap().iter().any(|message| message["status"] == "resolved").then_some(())
    })
    .await;

    for (arguments, expected) in [
        (json!({"receiver": "shadowed"}), "goes to pager"),
        (json!({"receiver": "nobody"}), "configured: default, pager"),
        (json!({"receiver": "pager", "labels": {"severity": "info"}}), "no labels were found that its route takes"),
        (json!({"receiver": "pager", "duration": "1s"}), "the route waits 1s"),
        (json!({"receiver": "pager", "duration": "1h"}), "from 1s to 30m"),
        (json!({}), "give `receiver` or `labels`"),
    ] {
        let message = service.fail("alertmanager_send_test_alert", arguments.clone()).await;
        assert!(message.contains(expected), "{arguments}: {message}");
    }

    let silence = json!({"matchers": ["alertname=CloudNativeMcpTest"], "comment": "x"});
    service.succeed("alertmanager_create_silence", silence).await;
    let muted = eventually("the silence counts", async || {
        let planned = send(json!({"labels": {"team": "any"}, "dry_run": true})).await;
        planned.text.contains("Nobody will be told: silence").then_some(planned)
    })
    .await;
    assert_eq!(muted.structured["reaches"][0]["receiver"], "default (webhook)");
}

#[tokio::test]
async fn status_counts_what_could_not_be_notified() {
    let Some((_alertmanager, service)) = stand().await else { return };
    let status = eventually("a notification fails", async || {
        let status = service.succeed("alertmanager_get_status", json!({})).await;
        let failed = status.structured["rows"][0]["failed_notifications"].as_str()?.to_owned();
        failed.contains("email").then_some(status)
    })
    .await;
    let row = &status.structured["rows"][0];
    assert_eq!((&row["ready"], &row["cluster"], &row["peers"]), (&json!(true), &json!("disabled"), &json!(0)));
    assert_eq!((&row["alerts"], &row["silences"]), (&json!("4 active, 1 suppressed"), &json!("none")));
    assert_eq!(row["configuration"], "loaded");
}

#[tokio::test]
async fn several_instances_are_asked_at_once_and_one_may_be_away() {
    let Some((first, _)) = stand().await else { return };
    let Some(second) = Alertmanager::start(NOWHERE).await else { return };
    second.raise(&[(json!({"alertname": "Latency", "severity": "page", "cluster": "us", "team": "web"}), 12)]).await;
    let away = format!("http://127.0.0.1:{}", harness::free_port());
    let service = Service::start(&backends(&[("a", &first.url), ("b", &second.url), ("c", &away)])).await;
    let answer = eventually("both have it", async || {
        let answer = service.succeed("alertmanager_list_alerts", json!({"instance": "*"})).await;
        (column(&answer.structured, "instance").first()? == "a, b").then_some(answer)
    })
    .await;
    assert_eq!(column(&answer.structured, "alert"), ["Latency", "DiskFull", "DiskFull", "Watchdog"]);
    assert!(answer.text.contains("c failed: alertmanager/c cannot be reached"), "{}", answer.text);
    let message = service.fail("alertmanager_get_routing", json!({})).await;
    assert!(message.contains("instance: say which one") && message.contains("a, b, c"), "{message}");
}

#[tokio::test]
async fn without_the_right_to_write_nothing_is_changed() {
    let Some(alertmanager) = Alertmanager::start(NOWHERE).await else {
        return;
    };
    let service = Service::start_with_key(&backends(&[("main", &alertmanager.url)]), Effect::Read).await;
    for (tool, arguments) in [
        ("alertmanager_create_silence", json!({"matchers": ["team=db"], "comment": "x"})),
        ("alertmanager_expire_silence", json!({"id": "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4"})),
        ("alertmanager_send_test_alert", json!({"receiver": "pager"})),
    ] {
        let (_, message) = service.send("tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert!(message["error"]["code"].is_i64(), "{tool}: {message}");
    }
    assert!(alertmanager.silences().await.is_empty());
}
