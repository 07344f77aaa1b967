//! DestinationRules for hosts that nobody has.

use api::istio::DestinationRule;

use super::Subject;
use super::destination::unknown_host;
use crate::hostname::{is_wildcard, resolve_short};
use crate::mesh::Mesh;
use crate::validate::Check;

pub(super) fn destination_rule(check: &mut Check, rule: &DestinationRule, subject: Subject<'_>, mesh: &Mesh) {
    let host = resolve_short(&rule.host, subject.namespace(), &mesh.settings.domain);
    // Wildcards are for services that may come.
    if host.is_empty() || is_wildcard(&host) || mesh.services.visible(&host, subject.namespace()).is_some() {
        return;
    }
    let (message, hint) = unknown_host(&host, subject, mesh);
    check.warning("host", format!("{message}; the rule has no effect"), hint);
}
