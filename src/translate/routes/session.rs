//! Sessions that stay with one endpoint of a service, told by a cookie or a header.
//!
//! Source: Istio `pilot/pkg/networking/util/util.go` (`MaybeBuildStatefulSessionFilterConfig`), labels
//! `istio.io/persistent-session` (`COOKIE` or `COOKIE:PATH`) and `istio.io/persistent-session-header`.

use std::sync::Arc;

use envoy::config::core::v3::TypedExtensionConfig;
use envoy::extensions::filters::http::stateful_session::v3::stateful_session_per_route::Override;
use envoy::extensions::filters::http::stateful_session::v3::{StatefulSession, StatefulSessionPerRoute};
use envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
use envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;
use envoy::google::protobuf::Any;
use envoy::r#type::http::v3::Cookie;
use envoy::{Message, Name, pack_any};
use model::mesh::Features;
use model::service::Service;

const COOKIE: &str = "istio.io/persistent-session";
const HEADER: &str = "istio.io/persistent-session-header";

/// The filter that virtual hosts and routes configure.
const FILTER: &str = "envoy.filters.http.stateful_session";

/// By what requests of a session are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Session {
    /// A cookie of this name, for this path.
    Cookie(Arc<str>, Arc<str>),
    /// A header of this name.
    Header(Arc<str>),
}

impl Session {
    /// That of a service; none if it has none, or proxies have no filter for it.
    pub(super) fn of(service: &Service, features: &Features) -> Option<Self> {
        let label = |name: &str| service.labels.get(name).filter(|value| !value.is_empty());
        if !features.persistent_session_filter {
            return None;
        }
        if let Some(cookie) = label(COOKIE) {
            let (name, path) = cookie.split_once(':').unwrap_or((cookie, "/"));
            return Some(Self::Cookie(name.into(), path.into()));
        }
        label(HEADER).map(|name| Self::Header(name.as_str().into()))
    }

    /// The filter's name and what it does for the session. Cookies last as long as the browser's session.
    pub(super) fn filter(&self) -> (String, Any) {
        let state = match self {
            Self::Cookie(name, path) => {
                let cookie = Cookie { name: name.to_string(), path: path.to_string(), ..Cookie::default() };
                let state = CookieBasedSessionState { cookie: Some(cookie) };
                extension("envoy.http.stateful_session.cookie", &state)
            }
            Self::Header(name) => {
                let state = HeaderBasedSessionState { name: name.to_string() };
                extension("envoy.http.stateful_session.header", &state)
            }
        };
        let session = StatefulSession { session_state: Some(state), ..StatefulSession::default() };
        let set = StatefulSessionPerRoute { r#override: Some(Override::StatefulSession(session)) };
        (FILTER.to_owned(), pack_any(&set))
    }
}

fn extension<M: Message + Name>(name: &str, config: &M) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack_any(config)) }
}
