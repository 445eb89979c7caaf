//! Routes that lead to a service.

use serde_json::Value;

use super::super::model::Service;
use super::super::pointer::{list, text};
use super::check_service::State;
use super::references::leads_to_port;

/// The paths of an Ingress that lead to a service.
pub(super) fn of_ingress(ingress: &Value, service: &Service) -> Vec<(State, String)> {
    let name = text(ingress, "/metadata/name");
    let mut found = Vec::new();
    let mut judge = |from: String, backend: Option<&Value>| {
        let Some(backend) = backend.filter(|backend| backend["name"] == service.metadata.name.as_str()) else { return };
        if leads_to_port(backend, service) {
            found.push((State::Ok, format!("Ingress {name}: {from}")));
        } else {
            let reason =
                format!("Ingress {name}: {from} leads to the port {}, which the service has not", backend["port"]);
            found.push((State::Broken, reason));
        }
    };
    judge("everything else".into(), ingress.pointer("/spec/defaultBackend/service"));
    for rule in list(ingress, "/spec/rules") {
        for path in list(rule, "/http/paths") {
            judge(format!("{}{}", text(rule, "/host"), text(path, "/path")), path.pointer("/backend/service"));
        }
    }
    found
}

/// The rules of an `HTTPRoute` that lead to a service.
pub(super) fn of_http_route(route: &Value, service: &Service) -> Vec<(State, String)> {
    let name = text(route, "/metadata/name");
    let backends = list(route, "/spec/rules").iter().flat_map(|rule| list(rule, "/backendRefs"));
    let is_own = |backend: &&Value| {
        backend["name"] == service.metadata.name.as_str()
            && backend.get("kind").is_none_or(|kind| kind == "Service")
            && backend.get("namespace").is_none_or(|namespace| namespace == service.metadata.namespace.as_str())
    };
    let refusal =
        list(route, "/status/parents").iter().flat_map(|parent| list(parent, "/conditions")).find(|condition| {
            condition["status"] == "False" && (condition["type"] == "Accepted" || condition["type"] == "ResolvedRefs")
        });
    let judge = |backend: &Value| {
        let has_port = service.spec.ports.iter().any(|port| backend["port"] == port.port);
        match refusal {
            _ if !has_port => {
                let reason =
                    format!("HTTPRoute {name} leads to the port {}, which the service has not", backend["port"]);
                (State::Broken, reason)
            }
            Some(refusal) => {
                let said = text(refusal, "/message");
                (State::Broken, format!("HTTPRoute {name} is not {}: {said}", text(refusal, "/type")))
            }
            None => (State::Ok, format!("HTTPRoute {name}")),
        }
    };
    backends.filter(is_own).map(judge).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_break_where_they_name_no_port_or_are_refused() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"name": "http", "port": 80}]}
        });
        let service: Service = serde_json::from_value(service).unwrap();
        let backend = |port: Value| json!({"path": "/", "backend": {"service": {"name": "web", "port": port}}});
        let paths = [backend(json!({"name": "http"})), backend(json!({"number": 81}))];
        let ingress = json!({"metadata": {"name": "i"}, "spec": {"rules": [{"host": "h", "http": {"paths": paths}}]}});
        let states = |found: Vec<(State, String)>| found.into_iter().map(|(state, _)| state).collect::<Vec<_>>();
        assert_eq!(states(of_ingress(&ingress, &service)), [State::Ok, State::Broken]);
        let mut route = json!({"metadata": {"name": "r"}, "spec": {"rules": [
            {"backendRefs": [{"name": "web", "port": 80}, {"name": "other", "port": 80}]}
        ]}});
        assert_eq!(states(of_http_route(&route, &service)), [State::Ok]);
        route["status"] = json!({"parents": [{"conditions": [{"type": "Accepted", "status": "False"}]}]});
        assert_eq!(states(of_http_route(&route, &service)), [State::Broken]);
    }
}
