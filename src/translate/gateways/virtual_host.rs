//! A virtual host of a gateway: hosts that have the same routes.
//!
//! Source: Istio `pilot/pkg/networking/core/gateway.go` (`buildGatewayHTTPRouteConfig`); `shared/spec/xds.md` 5.4.

use std::sync::Arc;

use api::ObjectRef;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::virtual_host::TlsRequirementType;
use envoy::config::route::v3::{DirectResponseAction, Route, VirtualHost};

use model::Ref;

use crate::output::Built;
use crate::routes::default_route::everything;
use crate::routes::http::{self, RuleSet};

/// The status of the answer to requests that belong on another connection.
const MISDIRECTED: u32 = 421;

/// What answers requests of a virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Its routes.
    Routes,
    /// That they belong on another connection.
    Misdirected,
}

/// All that a virtual host of a gateway is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayHost {
    /// The host that names it, or `blackhole`.
    pub host: Arc<str>,
    /// The port that the Gateway names.
    pub port: u16,
    /// The hosts, lower case.
    pub domains: Vec<String>,
    /// What VirtualServices say of its requests, in order.
    pub rules: Vec<Ref<RuleSet>>,
    /// What answers them.
    pub answer: Answer,
    /// Whether plain HTTP is sent to HTTPS.
    pub https_only: bool,
    /// Whether requests tell how often they were tried.
    pub attempt_count: bool,
    /// The Gateways that let it in.
    pub gateways: Vec<ObjectRef>,
}

impl GatewayHost {
    /// Its name.
    pub(crate) fn name(&self) -> Arc<str> {
        format!("{}:{}", self.host, self.port).into()
    }

    /// The objects that its name and domains come from.
    pub(crate) fn sources(&self) -> Vec<ObjectRef> {
        self.gateways.clone()
    }

    /// Builds it.
    pub(crate) fn build(&self) -> Built<VirtualHost> {
        let require_tls = if self.https_only { TlsRequirementType::All } else { TlsRequirementType::None };
        let mut built = http::all(&self.rules).map(|routes| VirtualHost {
            name: self.name().to_string(),
            domains: self.domains.clone(),
            routes,
            require_tls: require_tls.into(),
            include_request_attempt_count: self.attempt_count,
            ..VirtualHost::default()
        });
        if self.answer == Answer::Misdirected {
            built.message.routes = vec![misdirected()];
        }
        built.sources.extend(self.sources());
        built
    }
}

fn misdirected() -> Route {
    let answer = DirectResponseAction { status: MISDIRECTED, ..DirectResponseAction::default() };
    Route { r#match: Some(everything()), action: Some(Action::DirectResponse(answer)), ..Route::default() }
}
