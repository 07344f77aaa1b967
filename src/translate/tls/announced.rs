//! What mesh mTLS announces (ALPN): whether HTTP is inside, by which a port of no declared protocol chooses between its
//! HTTP policies and those of bytes.
//!
//! The reference leaves it to an HTTP filter of its own Envoy build, which sets it for each request. A stock Envoy has
//! no such filter, and with the reference's static list HTTP arrives as bytes there: no HTTP policy is asked. So clusters
//! announce HTTP from the start, and what takes bytes to them says otherwise for its connections. Servers know none of
//! the names for HTTP, so nothing is agreed on, and they tell HTTP/1.1 and HTTP/2 apart by the first bytes.
//!
//! Source: `shared/spec/stock-envoy.md` 1.3 (variant M); Istio `pilot/pkg/networking/core/listener_builder.go`.

use api::istio::ClientTlsMode;
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::core::v3::substitution_format_string::Format;
use envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use envoy::config::listener::v3::Filter;
use envoy::extensions::filters::common::set_filter_state::v3::FilterStateValue;
use envoy::extensions::filters::common::set_filter_state::v3::filter_state_value::{Key, Value};
use envoy::extensions::filters::network::set_filter_state::v3::Config;
use model::Ref;
use model::protocol::Class;
use model::service::Service;

use crate::clusters::is_foreign;
use crate::clusters::policy::Policy;
use crate::context::Context;
use crate::listeners::shape::network_filter;

/// Announced by all mesh mTLS; alone, that bytes are inside.
const MESH: &str = "istio";
/// The state of a connection that takes the place of what its cluster announces.
const STATE: &str = "envoy.network.application_protocols";

/// What a cluster announces for a port; `tells` whether it says that HTTP is inside, `http2` whether HTTP/2 is spoken
/// without negotiation.
pub(crate) fn by_cluster(class: Class, http2: bool, tells: bool) -> Vec<String> {
    let http = tells && is_http(class);
    let list: &[&str] = match (http, http2) {
        (true, true) => &["istio-h2", MESH, "h2"],
        (true, false) => &["istio-http/1.1", MESH],
        (false, true) => &[MESH, "h2"],
        (false, false) => &[MESH],
    };
    list.iter().map(|&protocol| protocol.to_owned()).collect()
}

const fn is_http(class: Class) -> bool {
    matches!(class, Class::Http | Class::Auto)
}

/// Whether what takes bytes to these ports (service, number, subset) has to say so: some of their clusters announce HTTP,
/// and none speaks TLS that is not the mesh's, whose servers may insist on other names.
pub(crate) fn must_correct<'a>(
    context: &Context<'_>,
    to: impl Iterator<Item = (Option<&'a Ref<Service>>, u16, &'a str)>,
) -> bool {
    if !context.view.announces_http {
        return false;
    }
    let mut some = false;
    for (service, port, subset) in to {
        let Some(service) = service else { continue };
        let rule = context.rule(service).map(|merged| &merged.rule.spec);
        let policy = Policy::of(rule, port, subset, &context.settings().mesh);
        if is_foreign(&policy) {
            return false;
        }
        let http = service.port(port).is_some_and(|port| is_http(port.protocol.class()));
        // Whether endpoints take it does not matter: nothing is announced in plain text.
        let automatic = context.settings().mesh.enable_auto_mtls != Some(false) && !service.mesh_external;
        some |= http && policy.tls.map_or(automatic, |tls| tls.mode == ClientTlsMode::IstioMutual);
    }
    some
}

/// The filter that says of a connection that bytes are inside.
pub(crate) fn correction() -> Filter {
    let text =
        DataSource { specifier: Some(Specifier::InlineString(MESH.to_owned())), ..DataSource::default() };
    let value = SubstitutionFormatString {
        format: Some(Format::TextFormatSource(text)),
        ..SubstitutionFormatString::default()
    };
    let config = Config {
        on_new_connection: vec![FilterStateValue {
            key: Some(Key::ObjectKey(STATE.to_owned())),
            value: Some(Value::FormatString(value)),
            ..FilterStateValue::default()
        }],
        ..Config::default()
    };
    network_filter("envoy.filters.network.set_filter_state", &config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(class: Class, http2: bool, tells: bool) -> String {
        by_cluster(class, http2, tells).join(",")
    }

    #[test]
    fn http_is_announced_where_it_may_be_inside() {
        for (class, http2, wanted) in [
            (Class::Http, false, "istio-http/1.1,istio"),
            (Class::Auto, false, "istio-http/1.1,istio"),
            (Class::Http, true, "istio-h2,istio,h2"),
            (Class::Auto, true, "istio-h2,istio,h2"),
            (Class::Tcp, false, "istio"),
        ] {
            assert_eq!(list(class, http2, true), wanted);
        }
    }

    #[test]
    fn nothing_is_told_that_the_reference_does_not_tell_of_itself() {
        for class in [Class::Http, Class::Auto, Class::Tcp] {
            assert_eq!(
                (list(class, false, false), list(class, true, false)),
                ("istio".into(), "istio,h2".into())
            );
        }
    }
}
