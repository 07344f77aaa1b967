//! Rules of Sidecar.

use std::collections::BTreeSet;

use api::istio::{
    CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, OutboundTrafficPolicyMode,
    ServerTlsMode, ServerTlsSettings, Sidecar,
};

use super::check::Check;
use super::text::{host, is_ip, is_label, is_wildcard_fqdn, port};
use super::traffic_policy::connection_pool;
use super::{selector, tls};

const UNIX: &str = "unix://";

pub(super) fn sidecar(check: &mut Check, sidecar: &Sidecar) {
    selector::workloads(check, sidecar.workload_selector.as_ref());
    let says = !sidecar.ingress.is_empty()
        || !sidecar.egress.is_empty()
        || sidecar.outbound_traffic_policy.is_some()
        || sidecar.inbound_connection_pool.is_some();
    if !says {
        let hint = "list egress hosts, ingress listeners, or a traffic policy";
        check.error("", "the Sidecar says nothing", hint);
    }
    check.each("ingress", &sidecar.ingress, ingress);
    check.each("egress", &sidecar.egress, egress);
    let ingress = sidecar.ingress.iter().map(|l| (l.bind.as_str(), l.port.as_ref().map(|port| port.number)));
    twice(check, "ingress", ingress);
    let egress = sidecar.egress.iter().map(|l| (l.bind.as_str(), l.port.as_ref().map(|port| port.number)));
    twice(check, "egress", egress);
    last_without_port(check, &sidecar.egress);
    check.some("inboundConnectionPool", sidecar.inbound_connection_pool.as_ref(), connection_pool);
    check.some("outboundTrafficPolicy", sidecar.outbound_traffic_policy.as_ref(), outbound_policy);
}

/// Listeners of the same address and port.
fn twice<'a>(check: &mut Check, field: &str, listeners: impl Iterator<Item = (&'a str, Option<u32>)>) {
    let mut seen = BTreeSet::new();
    for (index, (bind, number)) in listeners.enumerate() {
        let unix = bind.starts_with(UNIX);
        let key = (bind, if unix { None } else { number });
        if (unix || number.is_some()) && !seen.insert(key) {
            let message = "a listener before this one has the same address and port";
            check.error(&format!("{field}[{index}]"), message, "list each address and port once");
        }
    }
}

fn ingress(check: &mut Check, listener: &IstioIngressListener) {
    match &listener.port {
        None => check.error("port", "the listener has no port", "name number, protocol and name of the port"),
        Some(declared) => port(check, "port.number", declared.number),
    }
    bind(check, &listener.bind, listener.capture_mode);
    if matches!(listener.bind.as_str(), "0.0.0.0" | "::") {
        let hint = "leave bind out, so that the workload's own address is taken";
        check.warning("bind", "the listener takes the port on every address, the workload's too", hint);
    }
    endpoint(check, &listener.default_endpoint);
    check.some("tls", listener.tls.as_ref(), ingress_tls);
    check.some("connectionPool", listener.connection_pool.as_ref(), connection_pool);
}

/// Where the workload listens.
fn endpoint(check: &mut Check, endpoint: &str) {
    if endpoint.is_empty() {
        return;
    }
    let local = ["127.0.0.1:", "0.0.0.0:", "[::1]:", "[::]:"];
    let number = local.iter().find_map(|prefix| endpoint.strip_prefix(prefix));
    let fits = match (number, endpoint.strip_prefix(UNIX)) {
        (Some(number), _) => number.parse::<u16>().is_ok_and(|number| number != 0),
        (None, Some(path)) => !path.is_empty(),
        (None, None) => false,
    };
    if !fits {
        let message = format!("{endpoint:?} is no address of the workload itself");
        let hint = "write 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix://PATH";
        check.error("defaultEndpoint", message, hint);
    }
}

fn ingress_tls(check: &mut Check, settings: &ServerTlsSettings) {
    if !matches!(settings.mode, ServerTlsMode::Simple | ServerTlsMode::Mutual) {
        check.error("mode", "an ingress listener ends TLS", "write SIMPLE or MUTUAL");
    }
    if settings.https_redirect {
        check.error("httpsRedirect", "an ingress listener does not redirect", "leave it out");
    }
    if !settings.credential_name.is_empty() || !settings.credential_names.is_empty() {
        check.error(
            "credentialName",
            "an ingress listener has its certificate in files",
            "name the files instead",
        );
    }
    if !settings.subject_alt_names.is_empty() {
        check.error("subjectAltNames", "clients' names are not looked at here", "use an AuthorizationPolicy");
    }
    tls::server(check, settings);
}

fn bind(check: &mut Check, bind: &str, capture: CaptureMode) {
    if let Some(path) = bind.strip_prefix(UNIX) {
        if path.is_empty() || !path.starts_with(['/', '@']) {
            check.error("bind", "the path of the socket is not absolute", "write unix:///PATH");
        }
        if !matches!(capture, CaptureMode::Default | CaptureMode::None) {
            check.error(
                "captureMode",
                "nothing is redirected to a Unix socket",
                "write NONE, or leave it out",
            );
        }
    } else if !bind.is_empty() && !is_ip(bind) {
        check.error(
            "bind",
            format!("{bind:?} is neither an IP address nor unix://PATH"),
            "write an address, or leave it out",
        );
    }
}

fn egress(check: &mut Check, listener: &IstioEgressListener) {
    bind(check, &listener.bind, listener.capture_mode);
    if let Some(declared) = listener.port.as_ref().filter(|_| !listener.bind.starts_with(UNIX)) {
        port(check, "port.number", declared.number);
    }
    if listener.hosts.is_empty() {
        check.error("hosts", "the listener sees no host", "list NAMESPACE/HOST, or \"*/*\" for all");
    }
    let mut seen = BTreeSet::new();
    for (index, name) in listener.hosts.iter().enumerate() {
        check.at(format_args!("hosts[{index}]"), |check| {
            egress_host(check, name);
            if !seen.insert(name) {
                check.warning("", format!("{name:?} is listed twice"), "list it once");
            }
        });
    }
    if listener.hosts.len() > 1 && listener.hosts.iter().any(|name| name == "*/*") {
        check.warning(
            "hosts",
            "\"*/*\" is everything, so the other hosts say nothing",
            "leave one of the two out",
        );
    }
}

fn egress_host(check: &mut Check, name: &str) {
    let Some((namespace, dns)) = name.split_once('/') else {
        check.error(
            "",
            format!("{name:?} does not say of which namespace"),
            "write NAMESPACE/HOST, such as ./* or */a.example",
        );
        return;
    };
    if !matches!(namespace, "*" | "." | "~") && !is_label(namespace) {
        check.error(
            "",
            format!("{namespace:?} is no namespace"),
            "write a name, \".\", \"*\" or \"~\" before the /",
        );
    }
    if !is_wildcard_fqdn(dns) {
        check.error(
            "",
            format!("{dns:?} is no host name"),
            "write a DNS name; * may stand for its first label only",
        );
    }
}

/// A listener for all other ports comes last, and once.
fn last_without_port(check: &mut Check, listeners: &[IstioEgressListener]) {
    let open = |l: &IstioEgressListener| l.port.is_none() && l.bind.is_empty();
    let count = listeners.len();
    for (index, _) in listeners.iter().enumerate().filter(|(index, l)| open(l) && index + 1 < count) {
        let hint = "name a port, or make this the last listener";
        check.error(
            &format!("egress[{index}]"),
            "only the last listener may stand for all other ports",
            hint,
        );
    }
}

fn outbound_policy(check: &mut Check, policy: &OutboundTrafficPolicy) {
    let Some(proxy) = &policy.egress_proxy else { return };
    check.at("egressProxy", |check| {
        if policy.mode != OutboundTrafficPolicyMode::AllowAny {
            check.error(
                "",
                "traffic to unknown hosts is let through nowhere",
                "write mode ALLOW_ANY beside egressProxy",
            );
        }
        host(check, "host", &proxy.host);
        if proxy.port.is_none() {
            check.error("port", "the port of the gateway is missing", "name the port number");
        }
    });
}
