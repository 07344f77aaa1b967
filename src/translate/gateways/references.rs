//! Secrets of the home cluster that Gateways name for a router (`kubernetes-gateway://`), as far as they may.
//!
//! Source: Istio `pilot/pkg/model/gateway.go` (VerifiedCertificateReferences); `shared/spec/security.md` 4.3.

use std::collections::BTreeSet;

use api::istio::{ServerTlsMode, ServerTlsSettings};
use model::Mesh;
use model::credential::{Holder, Name};
use model::mesh::CA_SUFFIX;

use super::select;
use crate::class::OwnView;
use crate::context::Context;
use crate::workload;

/// Annotations of Gateways that were made of another object: the service account for which they were made, and the
/// namespace of that object.
const SERVICE_ACCOUNT: &str = "internal.istio.io/service-account-name";
const PARENT_NAMESPACE: &str = "internal.istio.io/parent-namespace";

/// The names of the secrets that a router which runs as this account of its namespace may have: those that Gateways of
/// its own namespace name there, or in another namespace where a ReferenceGrant lets them.
pub(crate) fn verified(context: &Context<'_>, view: &OwnView, account: &str) -> BTreeSet<String> {
    let namespace = &*view.shared.namespace;
    let targets = workload::targets(context.mesh, view);
    let selected = select::select(context, view, &targets);
    let own = selected.iter().map(|selected| selected.gateway).filter(|gateway| {
        let said = |annotation: &str| gateway.annotations.get(annotation).filter(|said| !said.is_empty());
        **gateway.namespace() == *namespace
            && said(PARENT_NAMESPACE).is_none_or(|parent| parent == namespace)
            && said(SERVICE_ACCOUNT).is_none_or(|name| name == account)
    });
    let named = own.flat_map(|gateway| gateway.spec.servers.iter().filter_map(|server| server.tls.as_ref()));
    let may = |(_, granted_as): &(String, String)| may_have(context.mesh, namespace, granted_as);
    named.flat_map(names).filter(may).map(|(name, _)| name).collect()
}

/// The names of secrets that the settings of a server lead to, each with the one that has to be granted: roots beside a
/// certificate come with it.
fn names(tls: &ServerTlsSettings) -> Vec<(String, String)> {
    let listed = if tls.credential_names.is_empty() {
        std::slice::from_ref(&tls.credential_name)
    } else {
        &tls.credential_names[..]
    };
    let itself = |name: &String| (name.clone(), name.clone());
    let mut names: Vec<_> = listed.iter().map(itself).collect();
    if matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual) {
        names.extend(listed.iter().map(|name| (format!("{name}{CA_SUFFIX}"), name.clone())));
    }
    names.push(itself(&tls.ca_cert_credential_name));
    names
}

fn may_have(mesh: &Mesh, namespace: &str, text: &str) -> bool {
    let Some(name) = Name::parse(text).filter(|name| name.holder == Holder::GatewaySecret) else {
        return false;
    };
    name.namespace.is_some_and(|of| of == namespace || mesh.reference_grants.allow(namespace, of, name.name))
}
