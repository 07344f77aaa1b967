//! What stands in for routes that cannot be built: an answer of 500 that says which.

use envoy::config::core::v3::DataSource;
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::{DirectResponseAction, Route, VirtualHost};

use super::VirtualHostKey;
use super::default_route::everything;

/// The status of the answer.
const STATUS: u32 = 500;

/// The answer, saying `what` cannot be built.
pub(super) fn answer(what: &str) -> Action {
    let text = format!("{what} cannot be built");
    let body = DataSource { specifier: Some(Specifier::InlineString(text)), ..DataSource::default() };
    Action::DirectResponse(DirectResponseAction {
        status: STATUS,
        body: Some(body),
        ..DirectResponseAction::default()
    })
}

/// A virtual host with the name and the domains of one that cannot be built.
pub fn virtual_host(key: &VirtualHostKey) -> VirtualHost {
    let name = key.name().to_string();
    let action = answer(&format!("virtual host {name}"));
    let route = Route { r#match: Some(everything()), action: Some(action), ..Route::default() };
    VirtualHost { name, domains: key.domains(), routes: vec![route], ..VirtualHost::default() }
}
