//! Rules of WorkloadEntry and WorkloadGroup.

use api::istio::{ReadinessProbe, WorkloadEntry, WorkloadGroup};

use super::check::Check;
use super::service_entry::is_address;
use super::text::{is_label, port};

pub(super) fn entry(check: &mut Check, entry: &WorkloadEntry) {
    if entry.address.is_empty() {
        if entry.network.is_empty() {
            check.error(
                "address",
                "the workload has no address",
                "write an IP address or host name, or name its network",
            );
        } else {
            let hint = "give the workload an address if it can be reached without a gateway";
            check.warning(
                "address",
                "without an address the workload is reached through its network's gateway only",
                hint,
            );
        }
    } else if !is_address(entry) {
        let message = format!("{:?} is neither an IP address, a host name nor unix://PATH", entry.address);
        check.error("address", message, "write the workload's address");
    }
    ports_and_labels(check, entry);
}

/// What an endpoint of a ServiceEntry has in common with a WorkloadEntry.
pub(super) fn ports_and_labels(check: &mut Check, entry: &WorkloadEntry) {
    for (name, number) in &entry.ports {
        if name.is_empty() {
            check.error("ports", "a port has no name", "use the port names of the service");
        }
        port(check, &format!("ports[{name}]"), *number);
    }
    if entry.address.starts_with("unix://") && !entry.ports.is_empty() {
        check.error("ports", "a Unix socket has no ports", "leave them out");
    }
    for (name, value) in &entry.labels {
        label(check, name, value);
    }
}

/// A label as Kubernetes has them: an optional domain and a name; values of up to 63 characters.
fn label(check: &mut Check, name: &str, value: &str) {
    let plain = |text: &str| is_label(&text.replace(['_', '.'], "-"));
    let (domain, short) = name.rsplit_once('/').unwrap_or(("", name));
    let named = plain(short) && domain.split('.').all(|part| domain.is_empty() || is_label(part));
    if !named || !(value.is_empty() || plain(value)) {
        let hint = "write letters, digits, -, _ and ., at most 63 of them";
        check.error("labels", format!("{name}={value} is no label"), hint);
    }
}

pub(super) fn group(check: &mut Check, group: &WorkloadGroup) {
    check.some("metadata", group.metadata.as_ref(), |check, metadata| {
        for (name, value) in &metadata.labels {
            label(check, name, value);
        }
    });
    match &group.template {
        None => check.error(
            "template",
            "the WorkloadGroup has no template",
            "say what its WorkloadEntries are to be",
        ),
        Some(template) => check.at("template", |check| ports_and_labels(check, template)),
    }
    check.some("probe", group.probe.as_ref(), probe);
}

fn probe(check: &mut Check, probe: &ReadinessProbe) {
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, number) in numbers {
        super::text::not_negative(check, field, number);
    }
    let methods =
        [probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.exec.is_some(), probe.grpc.is_some()];
    match methods.into_iter().filter(|given| *given).count() {
        0 => check.error("", "the probe has no method", "write one of httpGet, tcpSocket, exec and grpc"),
        1 => {}
        _ => check.error(
            "",
            "the probe has more than one method",
            "keep one of httpGet, tcpSocket, exec and grpc",
        ),
    }
    check.some("httpGet", probe.http_get.as_ref(), |check, get| {
        if !matches!(get.scheme.as_str(), "" | "HTTP" | "HTTPS") {
            check.error("scheme", format!("{:?} is no scheme of a probe", get.scheme), "write HTTP or HTTPS");
        }
        port(check, "port", get.port);
        check.each("httpHeaders", &get.http_headers, |check, header| {
            super::text::header_name(check, "name", &header.name);
        });
    });
    check.some("tcpSocket", probe.tcp_socket.as_ref(), |check, socket| port(check, "port", socket.port));
    check.some("grpc", probe.grpc.as_ref(), |check, grpc| port(check, "port", grpc.port));
    check.some("exec", probe.exec.as_ref(), |check, exec| {
        if exec.command.is_empty() {
            check.error("command", "the command is empty", "write the command and its arguments");
        }
    });
}
