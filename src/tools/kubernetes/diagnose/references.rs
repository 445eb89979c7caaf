//! What pods and Ingresses name, and whether it exists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::model::{Claim, Named, Service};
use super::super::pointer::list;
use super::examination::Examination;
use super::trouble::{Severity, Trouble};
use crate::backends::kubernetes::{AS_METADATA, Refused, Request};
use crate::error::Result;

/// Looks at the claims, ConfigMaps and Secrets that a pod needs.
pub(super) async fn pod(examination: &mut Examination<'_>, pod: &Value) -> Result<()> {
    let mut needed = BTreeSet::new();
    let mut need = |plural: &'static str, reference: Option<&Value>, key: &str, field: String| {
        let Some(reference) = reference.filter(|reference| reference["optional"] != true) else { return };
        if let Some(name) = reference.get(key).and_then(Value::as_str) {
            needed.insert((plural, name.to_owned(), field));
        }
    };
    for volume in list(pod, "/spec/volumes") {
        let field = format!("spec.volumes[{}]", volume["name"].as_str().unwrap_or_default());
        need("persistentvolumeclaims", volume.get("persistentVolumeClaim"), "claimName", field.clone());
        need("configmaps", volume.get("configMap"), "name", field.clone());
        need("secrets", volume.get("secret"), "secretName", field);
    }
    for container in list(pod, "/spec/initContainers").iter().chain(list(pod, "/spec/containers")) {
        let name = container["name"].as_str().unwrap_or_default();
        for variable in list(container, "/env") {
            let field = format!("spec.containers[{name}].env[{}]", variable["name"].as_str().unwrap_or_default());
            need("configmaps", variable.pointer("/valueFrom/configMapKeyRef"), "name", field.clone());
            need("secrets", variable.pointer("/valueFrom/secretKeyRef"), "name", field);
        }
        for source in list(container, "/envFrom") {
            let field = format!("spec.containers[{name}].envFrom");
            need("configmaps", source.get("configMapRef"), "name", field.clone());
            need("secrets", source.get("secretRef"), "name", field);
        }
    }
    let kinds = examination.cluster.kinds().await?;
    for (plural, name, field) in needed {
        let Some(kind) = kinds.built_in("", plural) else { continue };
        if plural == "persistentvolumeclaims" {
            let claim = examination.cluster.object::<Claim>(kind, examination.namespace, &name).await;
            match claim {
                Err(Refused::Status(status)) if status.code == 404 => {
                    examination.add(&kind.kind, &name, [missing(&kind.kind, &name, &field)]);
                }
                found => {
                    if let Some(claim) = examination.readable(&format!("its claim {name}"), found)? {
                        examination.claim(&claim).await?;
                    }
                }
            }
            continue;
        }
        // Whether a Secret exists is all that counts.
        let request = Request::get(kind.object_path(examination.namespace, &name)?).accept(AS_METADATA);
        match examination.cluster.get::<Named>(request).await {
            Err(Refused::Status(status)) if status.code == 404 => {
                examination.add(&kind.kind, &name, [missing(&kind.kind, &name, &field)]);
            }
            found => {
                examination.readable(&format!("{} {name}", kind.kind), found)?;
            }
        }
    }
    Ok(())
}

/// Looks at the services that an Ingress leads to.
pub(super) async fn ingress(examination: &mut Examination<'_>, ingress: &Value) -> Result<()> {
    let mut backends = Vec::new();
    if let Some(backend) = ingress.pointer("/spec/defaultBackend/service") {
        backends.push(("spec.defaultBackend".to_owned(), backend));
    }
    for (place, rule) in list(ingress, "/spec/rules").iter().enumerate() {
        for path in list(rule, "/http/paths") {
            if let Some(backend) = path.pointer("/backend/service") {
                let path = path["path"].as_str().unwrap_or("/");
                backends.push((format!("spec.rules[{place}].http.paths[{path}].backend.service"), backend));
            }
        }
    }
    let kinds = examination.cluster.kinds().await?;
    let Some(kind) = kinds.built_in("", "services") else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for (field, backend) in backends {
        let name = backend["name"].as_str().unwrap_or_default();
        let service = match examination.cluster.object::<Service>(kind, examination.namespace, name).await {
            Err(Refused::Status(status)) if status.code == 404 => {
                examination.add("Service", name, [missing("Service", name, &field)]);
                continue;
            }
            found => examination.readable(&format!("Service {name}"), found)?,
        };
        let Some(service) = service else { continue };
        if !leads_to_port(backend, &service) {
            let wanted = &backend["port"];
            let wanted = wanted["name"].as_str().map_or_else(|| wanted["number"].to_string(), str::to_owned);
            examination.add(
                "Service",
                name,
                [Trouble {
                    severity: Severity::Critical,
                    problem: "PortMissing".into(),
                    since: None,
                    what: format!("the service has no port {wanted}, to which the Ingress sends"),
                    evidence: format!("{field}.port: {wanted}"),
                    next: "name a port of the service".into(),
                }],
            );
        }
        if seen.insert(name.to_owned()) {
            examination.service(&service).await?;
        }
    }
    Ok(())
}

/// Whether the port that a backend names is one of the service.
pub(super) fn leads_to_port(backend: &Value, service: &Service) -> bool {
    let wanted = &backend["port"];
    service.spec.ports.iter().any(|port| match wanted["name"].as_str() {
        Some(name) => port.name == name,
        None => wanted["number"] == port.port,
    })
}

fn missing(kind: &str, name: &str, field: &str) -> Trouble {
    Trouble {
        severity: Severity::Critical,
        problem: format!("{kind}Missing"),
        since: None,
        what: format!("{kind} `{name}` does not exist"),
        evidence: format!("{field}: {name}"),
        next: format!(
            "create it, or correct the name; `kubernetes_list_resources` with kind {kind} shows what there is"
        ),
    }
}
