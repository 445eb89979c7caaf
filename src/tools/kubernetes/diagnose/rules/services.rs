//! Services.

use super::super::trouble::{Severity, Trouble};
use crate::tools::kubernetes::model::{EndpointSlice, Pod, Service};
use crate::tools::kubernetes::selector;

/// What is wrong with a service that selects pods. `pods` are those it selects, where they may be read.
pub(in super::super) fn service(
    service: &Service,
    slices: &[&EndpointSlice],
    pods: Option<&[&Pod]>,
) -> Option<Trouble> {
    if service.spec.selector.is_empty() || service.spec.kind == "ExternalName" {
        return None;
    }
    let changed = slices.iter().filter_map(|slice| slice.metadata.annotations.endpoints_changed.as_ref()?.parse().ok());
    let since = changed.max().or(service.metadata.creation_timestamp);
    if slices.iter().all(|slice| slice.ready() == 0) {
        let (what, next) = match pods {
            Some([]) => (
                format!("its selector {} selects no pod", selector::equal_to(&service.spec.selector)),
                "make the selector equal to labels of the pods",
            ),
            Some(pods) => (format!("none of the {} pods it selects is ready", pods.len()), "diagnose these pods"),
            None => ("has no ready endpoint".into(), "see whether its selector selects pods, and they are ready"),
        };
        return Some(Trouble {
            severity: Severity::Critical,
            problem: "NoEndpoints".into(),
            since,
            what,
            evidence: "its EndpointSlices have no ready endpoint".into(),
            next: next.into(),
        });
    }
    let pods = pods?;
    let declare = pods.iter().any(|pod| pod.spec.containers.iter().any(|container| !container.ports.is_empty()));
    let lost = service.spec.ports.iter().find(|port| !pods.iter().any(|pod| port.is_declared_by(pod)))?;
    declare.then(|| Trouble {
        severity: Severity::Warning,
        problem: "PortMismatch".into(),
        since: service.metadata.creation_timestamp,
        what: format!("port {} sends to {}, which no container declares", lost.shown(), lost.target()),
        evidence: format!("spec.ports[{}].targetPort: {}", lost.port, lost.target()),
        next: "send to a port of the containers".into(),
    })
}
