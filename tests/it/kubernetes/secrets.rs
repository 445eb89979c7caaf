//! Secrets that are planted all over a namespace appear in no answer of any tool.

use serde_json::{Map, Value, json};

use super::pods::mighty;
use super::{Shop, is_ready};
use crate::harness::{Service, read};

/// Part of each planted secret, of their encoded forms, and of those in the logs of all containers.
const MARKS: [&str; 4] = ["swordfish", "c3dvcmRmaXNo", "SWORDFISH", "hunter2"];

const PLANTED: &str = r#"
apiVersion: v1
kind: Secret
metadata:
  name: planted
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"planted"},"stringData":{"applied":"swordfish-applied"}}'}
stringData: {password: swordfish-data, harmless: swordfish-named-harmless}
data: {encoded: c3dvcmRmaXNoLWVuY29kZWQ=}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: planted
  annotations:
    example.org/api-token: swordfish-annotation
    example.org/note: 'connects to amqp://shop:swordfish-note@queue:5672'
  labels: {session-token: swordfish-label}
data:
  password: swordfish-configmap
  DB_PASS: swordfish-short
  DBPASS: swordfish-shorter
  init.sql: |
    ALTER ROLE shop WITH PASSWORD 'swordfish-role';
    CREATE USER shop IDENTIFIED BY 'swordfish-user';
  redis.conf: "port 1\nrequirepass swordfish-redis\nmasterauth swordfish-redis\n"
  netrc: machine example.org login shop password swordfish-netrc
  haproxy.cfg: "user shop insecure-password swordfish-haproxy\nstats auth shop:swordfish-haproxy\n"
  backup.sh: "mysqldump -ushop -pswordfish-mysql shop\nredis-cli -a swordfish-cli ping\nsshpass -p swordfish-ssh ssh db\n"
  settings.xml: <server><password>swordfish-xml</password><add key="Password" value="swordfish-attribute"/></server>
  settings.toml: "password = \"\"\"\nswordfish-toml\n\"\"\"\n"
  next.yaml: "db:\n  password:\n    swordfish-next\n  pass: &x swordfish anchor swordfish\n"
  block.yaml: "password: |\n  one\n  swordfish-block\nport: 1\n"
  manifest.yaml: "env:\n- name: DB_PASSWORD\n  value: swordfish-inner\n"
  wg0.conf: "[Interface]\nPrivateKey = swordfish-wireguard=\n"
  hook: https://hooks.slack.com/services/T0/B0/swordfish
  application.properties: |
    db.user=shop
    db.password=swordfish-properties
    spring.datasource.url=jdbc:postgresql://shop:swordfish-jdbc@db/shop
  settings.json: '{"apiKey": "swordfish json with blanks", "nested": {"client_secret": "swordfish-nested"}}'
  settings.yaml: |
    credentials:
      password: "swordfish: yaml"
  key.pem: |
    -----BEGIN PRIVATE KEY-----
    c3dvcmRmaXNoLWtleQ==
    -----END PRIVATE KEY-----
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: planted
  annotations: {example.org/password: swordfish-account}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: planted
  labels: {app: planted}
  annotations:
    kubernetes.io/change-cause: 'kubectl set env deployment/planted PASSWORD=swordfish-cause'
spec:
  selector:
    matchLabels: {app: planted}
  template:
    metadata:
      labels: {app: planted}
      annotations: {example.org/token: swordfish-template}
    spec:
      initContainers:
        - {name: before, image: registry.example.org/shop/planted:1, command: [mysql, -ushop, -pswordfish-command], env: [{name: TOKEN, value: swordfish-init}]}
      containers:
        - name: planted
          image: registry.example.org/shop/planted:1
          command: [/planted, --password=swordfish-flag, --token, swordfish-next, -p, "--api-key=swordfish blanks"]
          args: ["--dsn", "postgres://shop:swordfish-dsn@db/shop", "--header=Authorization: Bearer swordfish-bearer"]
          env:
            - {name: DATABASE_PASSWORD, value: swordfish-variable}
            - {name: DATABASE_URL, value: "mysql://shop:swordfish-url@db/shop"}
            - {name: MYSQL_PWD, value: swordfish-pwd}
            - {name: PGPASS, value: swordfish-pgpass}
            - {name: SMTP_PW, value: swordfish-pw}
            - {name: APP_KEY, value: swordfish-app}
            - {name: BASIC_AUTH, value: "shop:swordfish-auth"}
            - {name: DSN, value: "shop:swordfish-dsn@tcp(db:3306)/shop"}
            - {name: ENCRYPTION_KEY, value: swordfish-key}
            - {name: HARMLESS, value: '{"token":"swordfish-in-json"}'}
          livenessProbe:
            httpGet: {path: "/live?token=swordfish-probe", port: 80, httpHeaders: [{name: Authorization, value: "Basic swordfish-header"}]}
          lifecycle: {preStop: {exec: {command: [curl, -H, "X-Token: swordfish-hook", "http://u:swordfish-curl@localhost/"]}}}
---
apiVersion: v1
kind: Service
metadata:
  name: planted
  annotations: {example.org/secret: swordfish-service}
spec:
  selector: {app: planted}
  ports: [{port: 80}]
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: planted
spec:
  schedule: "0 3 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - {name: planted, image: registry.example.org/shop/planted:1, args: ["--password", swordfish-cron], env: [{name: PASSWORD, value: swordfish-job}]}
---
apiVersion: v1
kind: Event
metadata:
  name: planted
involvedObject: {apiVersion: apps/v1, kind: Deployment, name: planted, namespace: NAMESPACE}
reason: Planted
message: 'cannot log in with password=swordfish-event at https://u:swordfish-event@example.org'
type: Warning
count: 3
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
source: {component: planted}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: vaults.secrets.example.org
spec:
  group: secrets.example.org
  scope: Namespaced
  names: {kind: Vault, plural: vaults, singular: vault}
  versions:
    - name: v1
      served: true
      storage: true
      additionalPrinterColumns:
        - {name: Connection, type: string, jsonPath: .spec.connection}
        - {name: Password, type: string, jsonPath: .spec.adminPassword}
        - {name: Opener, type: string, jsonPath: .spec.adminPassword}
      schema:
        openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: secrets.example.org/v1
kind: Vault
metadata:
  name: planted
spec:
  adminPassword: swordfish-custom
  connection: amqp://shop:swordfish-custom@queue
  apiKeys: [swordfish-first, swordfish-second]
  passwords: {ann: swordfish-ann}
  values: [{name: client_secret, value: swordfish-value}]
  script: "export TOKEN='swordfish script'; curl -u shop:swordfish-user https://example.org"
"#;

/// Calls of a tool that touch what was planted; none for a tool that is not known here.
fn calls(tool: &str, namespace: &str, pod: &str) -> Option<Vec<Value>> {
    let kinds = [
        "secret",
        "configmap",
        "serviceaccount",
        "deployment",
        "replicaset",
        "pod",
        "service",
        "cronjob",
        "event",
        "vaults.secrets.example.org",
    ];
    let planted = ["secret", "configmap", "serviceaccount", "deployment", "service", "cronjob", "vault"];
    let each = |kinds: &[&str], make: &dyn Fn(&str) -> Value| kinds.iter().map(|kind| make(kind)).collect::<Vec<_>>();
    let one = |kind: &str| json!({"kind": kind, "name": "planted", "namespace": namespace});
    let deployment = || one("deployment");
    let with = |more: Value| {
        let mut all = deployment();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let manifests = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: planted, namespace: {namespace}}}, stringData: {{password: \
         swordfish-changed}}}}\n---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: planted, namespace: \
         {namespace}}}, data: {{password: swordfish-changed}}}}\n"
    );
    Some(match tool {
        "kubernetes_list_resources" => {
            let mut all = each(&kinds, &|kind| json!({"kind": kind, "namespace": namespace}));
            all.extend(each(&kinds, &|kind| {
                let columns = [".data", ".spec", ".metadata.annotations", ".metadata.labels", ".message"];
                json!({"kind": kind, "namespace": namespace, "columns": columns, "sort_by": ".metadata.annotations"})
            }));
            all.push(json!({"kind": "vault", "namespace": namespace, "columns": [".spec.adminPassword", ".spec.apiKeys[0]"]}));
            all.push(
                json!({"kind": "secret", "namespace": namespace, "columns": [".data.password", ".data.harmless"]}),
            );
            all.push(json!({"kind": "configmap", "namespace": namespace, "columns": [".data.password"]}));
            all
        }
        "kubernetes_get_resource" => {
            let mut all = each(&planted, &|kind| json!({"kind": kind, "names": ["planted"], "namespace": namespace}));
            all.push(json!({"kind": "pod", "names": [pod], "namespace": namespace}));
            for select in [".data", ".data.password", ".spec", ".spec.adminPassword", ".metadata"] {
                all.extend(each(
                    &planted,
                    &|kind| json!({"kind": kind, "names": ["planted"], "namespace": namespace, "select": [select]}),
                ));
            }
            all
        }
        "kubernetes_search_resources" => ["planted", "sword", "password"]
            .iter()
            .map(|query| {
                let scope = ["name", "labels", "annotations", "images", "env", "keys"];
                json!({"query": query, "namespace": namespace, "scope": scope})
            })
            .collect(),
        "kubernetes_get_events" => vec![
            json!({"namespace": namespace, "type": "all"}),
            json!({"kind": "deployment", "name": "planted", "namespace": namespace, "type": "all"}),
        ],
        "kubernetes_get_resource_tree" => each(&["deployment", "cronjob", "service"], &one),
        "kubernetes_get_api_resources" => vec![json!({})],
        "kubernetes_explain_resource" => vec![json!({"kind": "vaults.secrets.example.org"}), json!({"kind": "secret"})],
        "kubernetes_check_permissions" => vec![
            json!({"namespace": namespace}),
            json!({"namespace": namespace, "verb": "get", "kind": "secret", "name": "planted"}),
        ],
        "kubernetes_get_cluster_overview" | "kubernetes_get_unhealthy_resources" => {
            vec![json!({"namespace": namespace})]
        }
        "kubernetes_get_pod_logs" => vec![
            json!({"namespace": namespace, "pod": pod}),
            json!({"namespace": namespace, "workload": "deployment/planted", "container": ["*"], "grep": "hunter|postgres"}),
        ],
        "kubernetes_pod_exec" => {
            let command = ["echo", "password=swordfish-echo", "https://u:swordfish-echo@example.org"];
            vec![json!({"namespace": namespace, "pod": pod, "command": command})]
        }
        "kubernetes_request_port" => {
            vec![json!({"namespace": namespace, "target": "service/planted", "port": "80", "timeout_seconds": 1})]
        }
        "kubernetes_get_resource_usage" => vec![json!({"namespace": namespace})],
        "kubernetes_get_node_status" => vec![json!({})],
        "kubernetes_get_node_logs" => vec![json!({"name": "node-a"})],
        "kubernetes_cordon_node" | "kubernetes_drain_node" => vec![json!({"name": "node-c", "dry_run": true})],
        "kubernetes_get_rollout" => vec![deployment(), with(json!({"view": "history", "revision": 1}))],
        "kubernetes_restart_workload" => vec![with(json!({"dry_run": true}))],
        "kubernetes_control_rollout" => {
            ["undo", "pause", "resume"].iter().map(|action| with(json!({"action": action, "dry_run": true}))).collect()
        }
        "kubernetes_scale_resource" => vec![with(json!({"replicas": 2, "dry_run": true}))],
        "kubernetes_wait_for_resource" => each(
            &planted,
            &|kind| json!({"kind": kind, "name": "planted", "namespace": namespace, "timeout_seconds": 1}),
        ),
        "kubernetes_trigger_cronjob" => vec![json!({"name": "planted", "namespace": namespace, "dry_run": true})],
        "kubernetes_apply" => {
            vec![json!({"manifests": manifests, "namespace": namespace, "force_conflicts": true, "dry_run": true})]
        }
        "kubernetes_diff_manifests" => vec![json!({"manifests": manifests, "namespace": namespace})],
        "kubernetes_patch_resource" => each(&planted, &|kind| {
            let mut call = one(kind);
            call["patch"] = json!({"metadata": {"labels": {"patched": "yes"}}});
            call["dry_run"] = true.into();
            call
        }),
        "kubernetes_delete_resource" => {
            each(&planted, &|kind| json!({"kind": kind, "names": ["planted"], "namespace": namespace, "dry_run": true}))
        }
        "kubernetes_diagnose_resource" => {
            let mut all = each(&["deployment", "service", "cronjob", "vault"], &one);
            all.push(json!({"kind": "pod", "name": pod, "namespace": namespace, "logs": true}));
            all
        }
        "kubernetes_check_service" => vec![json!({"name": "planted", "namespace": namespace})],
        _ => return None,
    })
}

#[tokio::test]
async fn no_tool_shows_a_planted_secret_in_any_view() {
    let Some(shop) = Shop::empty().await else { return };
    shop.cluster.usage().await.unwrap();
    shop.apply(&PLANTED.replace("NAMESPACE", &shop.namespace)).await;
    let pods = shop.until_pods("planted", is_ready).await;
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let service = mighty(&shop, "    commands: [[echo, \"**\"]]\n    ports: [\"*/service/*:*/*\"]\n").await;
    let mut wrong = Vec::new();
    for tool in tools(&service).await {
        let name = tool["name"].as_str().unwrap();
        let Some(calls) = calls(name, &shop.namespace, pod) else {
            wrong.push(format!("{name}: `calls` has no arguments for it"));
            continue;
        };
        let (mut succeeded, mut last) = (false, String::new());
        for call in calls.iter().flat_map(|call| in_every_view(call, &tool)) {
            let answer = service.call(name, call.clone()).await;
            succeeded |= !answer.failed;
            last.clone_from(&answer.text);
            let mut shown = answer.result.to_string();
            if let Some(whole) = whole(&service, &answer.structured).await {
                shown.push_str(&whole.to_string());
            }
            for mark in MARKS.iter().filter(|mark| shown.contains(**mark)) {
                let place = shown.find(mark).unwrap();
                let around: String = shown[..place + mark.len()].chars().rev().take(120).collect();
                wrong.push(format!("{name} {call}: …{}…", around.chars().rev().collect::<String>()));
            }
        }
        // Nothing listens on the port of the planted pod, and the API server reaches no simulated kubelet.
        if !succeeded && !["kubernetes_request_port", "kubernetes_get_node_logs"].contains(&name) {
            wrong.push(format!("{name}: no call succeeded, so nothing was tested; the last: {last}"));
        }
    }
    let log = service.log();
    wrong.extend(MARKS.iter().filter(|mark| log.contains(**mark)).map(|mark| format!("the log has {mark}: {log}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All tools of Kubernetes.
async fn tools(service: &Service) -> Vec<Map<String, Value>> {
    let mut tools = Vec::new();
    let mut params = json!({});
    loop {
        let (_, message) = read(service.modern("/mcp?toolsets=all", "tools/list", params).send().await.unwrap()).await;
        let listed = message["result"]["tools"].as_array().unwrap_or_else(|| panic!("{message}"));
        tools.extend(listed.iter().filter_map(Value::as_object).cloned());
        match message["result"].get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => break,
        }
    }
    tools.retain(|tool| tool["name"].as_str().is_some_and(|name| name.starts_with("kubernetes_")));
    assert!(!tools.is_empty());
    tools
}

/// A call as it is, and once with each value of `view`.
fn in_every_view(call: &Value, tool: &Map<String, Value>) -> Vec<Value> {
    let view = &tool["inputSchema"]["properties"]["view"];
    let views = view["enum"].as_array().cloned().unwrap_or_default();
    let mut calls = vec![call.clone()];
    calls.extend(views.into_iter().map(|view| {
        let mut call = call.clone();
        call["view"] = view;
        call["max_tokens"] = 20_000.into();
        call
    }));
    calls
}

/// What an answer was cut from.
async fn whole(service: &Service, structured: &Value) -> Option<Value> {
    let uri = structured.get("whole")?.clone();
    let request = service.modern("/mcp", "resources/read", json!({"uri": uri}));
    let (_, message) = read(request.send().await.unwrap()).await;
    Some(message["result"].clone())
}
