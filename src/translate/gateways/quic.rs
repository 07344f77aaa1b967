//! Which servers are opened for HTTP/3 as well: on the same port over UDP, where a Service lets UDP in.
//!
//! Source: Istio `pilot/pkg/model/gateway.go` (`udpSupportedPort`), `pkg/config/gateway/gateway.go`;
//! `shared/spec/xds.md` 4.8.

use api::istio::ServerTlsMode;
use api::{Problem, Severity};
use model::protocol::Protocol;

use super::server::{Carries, Server};
use crate::workload::Target;

/// Whether a server is opened for HTTP/3. The error is that its Service asks for it, and why it cannot be had.
///
/// Unlike in the reference, no server that wants a certificate of each client is opened: over QUIC it would not be
/// asked for, and the port would let in whom the one beside it keeps out. Envoy takes such listeners only from 1.40
/// on, and not with roots that come over SDS (envoyproxy/envoy#47546).
pub(super) fn mirrored(server: &Server<'_>, targets: &[Target]) -> Result<bool, Problem> {
    let udp = |t: &&Target| t.port.protocol == Protocol::Udp && t.port.number == server.number;
    let mut asked = targets.iter().filter(udp);
    let Some(first) = asked.clone().next() else { return Ok(false) };
    if server.carries() != Carries::Https || server.spec.bind.starts_with("unix://") {
        return Ok(false);
    }
    let wants_certificate = |mode| matches!(mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual);
    if server.tls().is_some_and(|tls| wants_certificate(tls.mode)) {
        return Err(closed(
            server,
            ".tls.mode",
            "clients of HTTP/3 cannot be asked for a certificate; the server is not opened for HTTP/3"
                .to_owned(),
            "use another mode, or take the UDP port out of the Service",
        ));
    }
    if !asked.any(|t| t.number == server.listening) {
        let message = format!(
            "Service {} sends UDP port {} to {} and not to {}, where the server listens; it is not opened for HTTP/3",
            first.service.host, server.number, first.number, server.listening
        );
        return Err(closed(server, ".port", message, "give the UDP port the targetPort of the TCP port"));
    }
    Ok(true)
}

fn closed(server: &Server<'_>, field: &str, message: String, hint: &str) -> Problem {
    Problem { severity: Severity::Warning, ..server.problem(field, message, hint) }
}
