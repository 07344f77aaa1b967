//! External authorizers that are not there, cannot do what is asked of them, or are one too many.

use api::istio::{AuthorizationAction, AuthorizationPolicy};

use super::About;
use crate::validate::Check;

impl About<'_> {
    /// Which provider a policy names, and whether it can do what is asked of it.
    pub(super) fn provider(&self, check: &mut Check) {
        let Some(provider) = self.policy.provider.as_ref().filter(|provider| !provider.name.is_empty())
        else {
            return;
        };
        let settings = &self.mesh.settings;
        let named = settings.mesh.extension_providers.iter().filter(|known| known.name == provider.name);
        let of_http = named.clone().any(|known| known.envoy_ext_authz_http.is_some());
        if !of_http && !named.clone().any(|known| known.envoy_ext_authz_grpc.is_some()) {
            let message = format!(
                "the mesh has no external authorizer {:?} among its extensionProviders; whatever the rules match is denied",
                provider.name
            );
            check.error("provider.name", message, "add it to the mesh configuration, or name another");
        } else if of_http && let Some((service, number)) = self.of_bytes().next() {
            let message = format!(
                "{:?} is an authorizer of HTTP, which nobody asks about connections to port {number} of {}: they pass",
                provider.name, service.source.key
            );
            check.warning(
                "provider.name",
                message,
                "name one of gRPC, or deny these ports by another policy",
            );
        }
        let others = self.mesh.authorization_policies.iter().filter(|other| {
            let provider = other.spec.provider.as_ref();
            other.spec.action == AuthorizationAction::Custom
                && provider
                    .is_some_and(|other| !other.name.is_empty() && other.name != provider_name(self.policy))
                && self.meets(other)
        });
        if !settings.features.several_authorizers
            && let Some(other) = others.into_iter().next()
        {
            let message = format!(
                "{} names another authorizer for the same workloads, where only one may be asked: both deny what their rules match",
                other.source.key
            );
            let hint = "set PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS to true, or name one authorizer";
            check.warning("provider.name", message, hint);
        }
    }
}

fn provider_name(policy: &AuthorizationPolicy) -> &str {
    policy.provider.as_ref().map_or("", |provider| &provider.name)
}
