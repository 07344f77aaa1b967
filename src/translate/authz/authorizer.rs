//! External authorizers: which of the mesh's extension providers a policy names, and where it is reached.

use std::sync::Arc;

use api::mesh_config::{ExtAuthzGrpcProvider, ExtAuthzHttpProvider, ExtensionProvider};
use model::Mesh;
use model::mesh::Services;

/// Longest name of a provider.
const LONGEST_NAME: usize = 63;

/// An external authorizer that policies name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorizer {
    /// The name that policies call it by.
    pub name: String,
    /// Where and how it is asked; why it cannot be, if so.
    pub asked: Result<Asked, String>,
}

/// How an authorizer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The host of its service, with the case of the service.
    pub host: Arc<str>,
    /// What the mesh configuration says of it.
    pub protocol: Protocol,
}

/// The protocol in which an authorizer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP.
    Http(Box<ExtAuthzHttpProvider>),
    /// gRPC.
    Grpc(Box<ExtAuthzGrpcProvider>),
}

impl Authorizer {
    /// The authorizer of a name.
    pub(super) fn of(mesh: &Mesh, name: &str) -> Self {
        Self { name: name.to_owned(), asked: find(mesh, name) }
    }

    /// One that is not asked, because several may not be.
    pub(super) fn refused(name: &str) -> Self {
        let why = "several external authorizers for one workload need PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS=true";
        Self { name: name.to_owned(), asked: Err(why.to_owned()) }
    }
}

fn find(mesh: &Mesh, name: &str) -> Result<Asked, String> {
    let providers = mesh.settings.mesh.extension_providers.iter();
    let mut named = providers.filter(|p| p.name == name && is_one(p));
    let Some(protocol) = named.next().and_then(protocol) else {
        return Err(format!("the mesh has no external authorizer {name:?} among its extensionProviders"));
    };
    if named.next().is_some() {
        return Err(format!("the mesh has several extensionProviders {name:?}"));
    }
    if !is_label(name) {
        return Err(format!("{name:?} is no name for an authorizer: it must be a DNS label in lower case"));
    }
    let service = match &protocol {
        Protocol::Http(provider) => &provider.service,
        Protocol::Grpc(provider) => &provider.service,
    };
    Ok(Asked { host: host(&mesh.services, service)?, protocol })
}

/// Whether a name is a DNS label in lower case: it becomes part of names of metadata and statistics.
fn is_label(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.bytes().all(known)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn protocol(provider: &ExtensionProvider) -> Option<Protocol> {
    let http = provider.envoy_ext_authz_http.as_ref().map(|p| Protocol::Http(Box::new(p.clone())));
    http.or_else(|| provider.envoy_ext_authz_grpc.as_ref().map(|p| Protocol::Grpc(Box::new(p.clone()))))
}

/// The host of a service, `HOST` or `NAMESPACE/HOST`; without a namespace only one may have it.
fn host(services: &Services, service: &str) -> Result<Arc<str>, String> {
    let (namespace, host) =
        service.split_once('/').map_or((None, service), |(namespace, host)| (Some(namespace), host));
    let mut found = services.of_host(host).iter().filter(|s| namespace.is_none_or(|n| n == &*s.namespace));
    let Some(first) = found.next() else { return Err(format!("the mesh has no service {service:?}")) };
    if found.any(|other| other.namespace != first.namespace) {
        return Err(format!("several namespaces have a service {service:?}; write NAMESPACE/{host}"));
    }
    Ok(Arc::clone(&first.host))
}

/// Whether an extension provider is an external authorizer.
pub(super) fn is_one(provider: &ExtensionProvider) -> bool {
    provider.envoy_ext_authz_http.is_some() || provider.envoy_ext_authz_grpc.is_some()
}
