//! Rules of Gateway.

use api::istio::{Gateway, Server, ServerTlsMode, ServerTlsSettings};

use super::check::Check;
use super::text::{is_fqdn, is_ip, is_label, is_wildcard_fqdn, port};
use super::tls;
use crate::protocol::Protocol;

pub(super) fn gateway(check: &mut Check, gateway: &Gateway) {
    if gateway.servers.is_empty() {
        check.error("servers", "the Gateway has no server", "list at least one port in servers");
    }
    check.each("servers", &gateway.servers, server);
    let name = |server: &Server| server.port.as_ref().map(|port| port.name.clone()).unwrap_or_default();
    for (index, server) in gateway.servers.iter().enumerate() {
        let own = name(server);
        if !own.is_empty() && gateway.servers.iter().take(index).any(|before| name(before) == own) {
            let message = format!("port name {own:?} is used by a server before this one");
            check.error(
                &format!("servers[{index}].port.name"),
                message,
                "give each server's port a name of its own",
            );
        }
    }
}

fn server(check: &mut Check, server: &Server) {
    if server.hosts.is_empty() {
        check.error("hosts", "the server has no host", "list hosts, or \"*\" for all");
    }
    check.each("hosts", &server.hosts, |check, host| gateway_host(check, host));
    bind(check, server);
    let Some(declared) = &server.port else {
        check.error("port", "the server has no port", "name number, name and protocol of the port");
        return;
    };
    let protocol = Protocol::parse(&declared.protocol);
    check.at("port", |check| {
        if protocol.is_none() {
            let hint = "write HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS";
            check.error("protocol", format!("{:?} is no protocol", declared.protocol), hint);
        }
        if protocol == Some(Protocol::Udp) {
            let hint = "write TCP; HTTP/3 is opened beside HTTPS by PILOT_ENABLE_QUIC_LISTENERS";
            check.warning("protocol", "gateways carry no UDP: the port is opened for TCP", hint);
        }
        if declared.name.is_empty() {
            check.error("name", "the port has no name", "name the port, such as http-web");
        }
        if declared.target_port != 0 {
            check.error("targetPort", "a server's port has no targetPort", "leave it out");
        }
        if !server.bind.starts_with("unix://") {
            port(check, "number", declared.number);
        }
    });
    if let Some(protocol) = protocol {
        encryption(check, server, protocol);
    }
    check.some("tls", server.tls.as_ref(), tls::server);
}

/// Whether a server has TLS where its protocol wants it, and only there.
fn encryption(check: &mut Check, server: &Server, protocol: Protocol) {
    match (&server.tls, protocol.is_tls()) {
        (None, true) => {
            let hint = "add tls, such as mode: SIMPLE with a credentialName";
            check.error("tls", "a server of HTTPS or TLS needs tls", hint);
        }
        (Some(tls), false) if protocol.is_http() && !ends_nothing(tls) => {
            let hint = "write protocol HTTPS, or leave only httpsRedirect in tls";
            check.error("tls", "a server of plain HTTP has no TLS but a redirect to HTTPS", hint);
        }
        (Some(_), false) if !protocol.is_http() => {
            let hint = "write protocol TLS, or HTTPS for HTTP, or leave tls out";
            check.error("tls", "the protocol says that there is no TLS", hint);
        }
        (Some(tls), true) if tls.https_redirect && !protocol.is_http() => {
            let hint = "put httpsRedirect into a server of protocol HTTP";
            check.warning("tls.httpsRedirect", "only plain HTTP can be redirected to HTTPS", hint);
        }
        _ => {}
    }
}

/// Whether settings ask for no TLS: they may redirect, or say nothing.
fn ends_nothing(tls: &ServerTlsSettings) -> bool {
    let files = [&tls.server_certificate, &tls.private_key, &tls.ca_certificates];
    tls.mode == ServerTlsMode::Passthrough && files.iter().all(|file| file.is_empty())
}

fn bind(check: &mut Check, server: &Server) {
    let number = server.port.as_ref().map_or(0, |port| port.number);
    match server.bind.strip_prefix("unix://") {
        Some(path) => {
            if path.is_empty() {
                check.error("bind", "the path of the socket is empty", "write unix:///PATH");
            }
            if number != 0 {
                check.error("port.number", "a Unix socket has no port", "write 0 beside a bind of unix://");
            }
        }
        None if !server.bind.is_empty() && !is_ip(&server.bind) => {
            let message = format!("{:?} is neither an IP address nor unix://PATH", server.bind);
            check.error("bind", message, "write an address of the gateway, or leave the field out for all");
        }
        None => {}
    }
}

/// A host, perhaps with the namespaces whose VirtualServices may bind to it.
fn gateway_host(check: &mut Check, host: &str) {
    let name = match host.split_once('/') {
        Some((namespace, name)) => {
            if !matches!(namespace, "*" | "." | "~") && !is_label(namespace) {
                let message = format!("{namespace:?} is no namespace");
                check.error("", message, "write NAMESPACE/HOST with a name, \".\" or \"*\" as the namespace");
            }
            name
        }
        None => host,
    };
    if !is_wildcard_fqdn(name) && !is_ip(name) || name.is_empty() {
        check.error(
            "",
            format!("{name:?} is no host name"),
            "write a DNS name; * may stand for its first label only",
        );
    } else if !name.contains('.') && name != "*" && !is_ip(name) && is_fqdn(name) {
        let hint = "write the full name that clients ask for";
        check.warning("", format!("{name:?} is a short name, which a gateway does not complete"), hint);
    }
}
