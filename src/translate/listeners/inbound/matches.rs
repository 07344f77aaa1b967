//! Which connections the filter chains of a port take, by protocol and mode of peer authentication.
//!
//! Source: Istio `pilot/pkg/networking/core/filterchain_options.go`; `shared/spec/security.md` 6.2.

use envoy::config::listener::v3::FilterChainMatch;
use model::protocol::Class;

use crate::authn::Mode;

/// What mesh clients announce for HTTP whose version is known.
const MESH_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What mesh clients announce for anything else.
const MESH_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];
/// All that mesh clients announce.
const MESH: [&str; 5] = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// What the inspectors must have found for a chain to take a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// TLS with one of these protocols announced; any if there are none.
    Tls(&'static [&'static str]),
    /// No TLS.
    Raw,
    /// No TLS, and HTTP inside.
    RawHttp,
}

/// One chain of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Take {
    found: Found,
    /// TLS ends here: that of the mesh, or what a Sidecar says.
    pub(super) ends: bool,
    /// What comes out is HTTP.
    pub(super) http: bool,
}

impl Take {
    const fn new(found: Found, ends: bool, http: bool) -> Self {
        Self { found, ends, http }
    }

    /// The match of the chain on a port; without one it takes ports that no other chain is for.
    pub(super) fn filter_chain_match(self, port: Option<u16>, http10: bool) -> FilterChainMatch {
        let application_protocols = match self.found {
            Found::Tls(protocols) => protocols.iter().copied().map(str::to_owned).collect(),
            Found::Raw => Vec::new(),
            Found::RawHttp => crate::listeners::http_protocols(http10),
        };
        let transport = if matches!(self.found, Found::Tls(_)) { "tls" } else { "raw_buffer" };
        FilterChainMatch {
            destination_port: port.map(|p| u32::from(p).into()),
            application_protocols,
            transport_protocol: transport.to_owned(),
            ..FilterChainMatch::default()
        }
    }

    /// Whether it must be known whether TLS is spoken.
    pub(super) fn needs_tls_inspector(self) -> bool {
        matches!(self.found, Found::Tls(_))
    }

    /// Whether it must be known whether HTTP is spoken.
    pub(super) fn needs_http_inspector(self) -> bool {
        self.found == Found::RawHttp
    }
}

/// The chains of a port where TLS of the workload's own clients ends, in order.
pub(super) fn ending_tls(class: Class) -> &'static [Take] {
    const HTTP_TLS: Found = Found::Tls(&["h2", "http/1.1"]);
    match class {
        Class::Http => const { &[Take::new(Found::Tls(&[]), true, true)] },
        // What is inside is seen by what clients announce.
        Class::Auto => const { &[Take::new(HTTP_TLS, true, true), Take::new(Found::Tls(&[]), true, false)] },
        Class::Tcp | Class::None => const { &[Take::new(Found::Tls(&[]), true, false)] },
    }
}

/// The chains of a port, in order.
pub(super) fn of(class: Class, mode: Mode) -> &'static [Take] {
    const ANY_TLS: Found = Found::Tls(&[]);
    const MESH_ANY: Found = Found::Tls(&MESH);
    const MESH_HTTP_TLS: Take = Take::new(Found::Tls(&MESH_HTTP), true, true);
    const RAW_HTTP: Take = Take::new(Found::RawHttp, false, true);
    const RAW_TCP: Take = Take::new(Found::Raw, false, false);
    // TLS that is not the mesh's goes to the workload as it comes.
    const FOREIGN_TLS: Take = Take::new(ANY_TLS, false, false);
    match (class, mode) {
        (Class::Http, Mode::Strict) => const { &[Take::new(ANY_TLS, true, true)] },
        (Class::Http, Mode::Permissive) => {
            const { &[Take::new(MESH_ANY, true, true), Take::new(Found::Raw, false, true)] }
        }
        (Class::Http, Mode::Disable) => const { &[Take::new(Found::Raw, false, true)] },
        (Class::Auto, Mode::Strict) => const { &[MESH_HTTP_TLS, Take::new(ANY_TLS, true, false)] },
        (Class::Auto, Mode::Permissive) => {
            const MESH_OTHER: Take = Take::new(Found::Tls(&MESH_TCP), true, false);
            const { &[MESH_HTTP_TLS, RAW_HTTP, MESH_OTHER, RAW_TCP, FOREIGN_TLS] }
        }
        (Class::Auto, Mode::Disable) => const { &[RAW_HTTP, RAW_TCP] },
        (Class::Tcp | Class::None, Mode::Strict) => const { &[Take::new(ANY_TLS, true, false)] },
        (Class::Tcp | Class::None, Mode::Permissive) => {
            const { &[Take::new(MESH_ANY, true, false), FOREIGN_TLS, RAW_TCP] }
        }
        (Class::Tcp | Class::None, Mode::Disable) => const { &[RAW_TCP] },
    }
}
