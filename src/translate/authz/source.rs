//! Who asks: identities of the connection and of the token, addresses, headers.

use std::borrow::Cow;

use api::istio::Source;
use envoy::config::rbac::v3::Principal;
use envoy::config::rbac::v3::principal::{Authenticated, Identifier};
use envoy::r#type::matcher::v3::StringMatcher;

use super::attribute::{Attribute, Wrong, in_brackets};
use super::matcher::{self, quoted};
use super::node::principal;
use super::operation::range;
use super::{aliases, claims};

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Principal,
    RequestPrincipal,
    /// An account; without a namespace it is of this one.
    ServiceAccount {
        namespace: String,
    },
    TrustDomain,
    Namespace,
    /// The client as what stands before tells it.
    RemoteAddress,
    /// The peer of the connection.
    Address,
    Header(String),
    /// A claim of the token, by its path.
    Claim(Vec<String>),
}

/// The fields of a source of a policy in `namespace`, in the order in which they are looked at: name, values, values that
/// must not match.
pub(super) fn fields<'a>(
    source: &'a Source,
    namespace: &str,
) -> [(Who, &'static str, &'a [String], &'a [String]); 7] {
    let account = Who::ServiceAccount { namespace: namespace.to_owned() };
    [
        (Who::Principal, "principals", &source.principals, &source.not_principals),
        (
            Who::RequestPrincipal,
            "requestPrincipals",
            &source.request_principals,
            &source.not_request_principals,
        ),
        (account, "serviceAccounts", &source.service_accounts, &source.not_service_accounts),
        (Who::TrustDomain, "trustDomains", &source.trust_domains, &source.not_trust_domains),
        (Who::Namespace, "namespaces", &source.namespaces, &source.not_namespaces),
        (Who::RemoteAddress, "remoteIpBlocks", &source.remote_ip_blocks, &source.not_remote_ip_blocks),
        (Who::Address, "ipBlocks", &source.ip_blocks, &source.not_ip_blocks),
    ]
}

impl Who {
    /// What the key of a condition of a policy in `namespace` names; none if it names nobody.
    pub(super) fn of_key(key: &str, namespace: &str) -> Option<Result<Self, Wrong>> {
        Some(Ok(match key {
            "source.ip" => Self::Address,
            "remote.ip" => Self::RemoteAddress,
            "source.namespace" => Self::Namespace,
            "source.trustDomain" => Self::TrustDomain,
            "source.serviceAccount" => Self::ServiceAccount { namespace: namespace.to_owned() },
            "source.principal" => Self::Principal,
            "request.auth.principal" => Self::RequestPrincipal,
            "request.auth.audiences" => Self::Claim(vec!["aud".to_owned()]),
            "request.auth.presenter" => Self::Claim(vec!["azp".to_owned()]),
            _ => return Self::of_named(key),
        }))
    }

    fn of_named(key: &str) -> Option<Result<Self, Wrong>> {
        if let Some(name) = key.strip_prefix("request.headers") {
            return Some(header(name).map(Self::Header));
        }
        let path = key.strip_prefix("request.auth.claims")?;
        Some(claims::path(path).map(Self::Claim))
    }

    /// The values with what stands for the mesh's own trust domain spelt out.
    pub(super) fn spelt_out<'a>(&self, values: &'a [String], trust_domains: &[String]) -> Cow<'a, [String]> {
        match self {
            Self::Principal => aliases::of_principals(values, trust_domains).into(),
            Self::TrustDomain => aliases::of_trust_domains(values, trust_domains).into(),
            _ => values.into(),
        }
    }
}

/// The name of a header in brackets, such as Envoy takes it.
fn header(text: &str) -> Result<String, Wrong> {
    let fits = |name: &&str| !name.is_empty() && !name.contains(['\0', '\r', '\n']);
    in_brackets(text).filter(fits).map(str::to_owned).ok_or_else(|| {
        Wrong::new(format!("request.headers{text} names no header"), "write request.headers[NAME]")
    })
}

impl Attribute for Who {
    type Node = Principal;

    fn is_of_http(&self) -> bool {
        matches!(self, Self::RequestPrincipal | Self::Header(_) | Self::Claim(_))
    }

    fn matcher(&self, value: &str) -> Result<Principal, Wrong> {
        Ok(match self {
            Self::Principal => authenticated(matcher::identity(value)),
            Self::ServiceAccount { namespace } => authenticated(service_account(value, namespace)?),
            Self::TrustDomain => authenticated(trust_domain(value)?),
            Self::Namespace => authenticated(namespace(value)),
            Self::RemoteAddress => principal(Identifier::RemoteIp(range(value)?)),
            Self::Address => principal(Identifier::DirectRemoteIp(range(value)?)),
            Self::Header(name) => principal(Identifier::Header(matcher::header(name, value, false))),
            Self::RequestPrincipal => claims::principal_of(value),
            Self::Claim(path) => claims::claim(path, std::slice::from_ref(&value.to_owned())),
        })
    }

    fn of_list(&self, values: &[String]) -> Option<Principal> {
        match self {
            Self::RequestPrincipal => Some(claims::principals(values)),
            Self::Claim(path) => Some(claims::claim(path, values)),
            _ => None,
        }
    }
}

/// The name that the peer's certificate proves: without one nothing matches.
fn authenticated(name: StringMatcher) -> Principal {
    principal(Identifier::Authenticated(Authenticated { principal_name: Some(name) }))
}

/// Stars may stand anywhere.
fn namespace(value: &str) -> StringMatcher {
    let parts: Vec<String> = value.split('*').map(quoted).collect();
    matcher::regex(format!(".*/ns/{}/.*", parts.join(".*")))
}

/// Other pairs of names may stand between, before and behind those of an identity.
fn service_account(value: &str, namespace: &str) -> Result<StringMatcher, Wrong> {
    let (namespace, account) = value.split_once('/').unwrap_or((namespace, value));
    if value.contains('*') || account.contains('/') || account.is_empty() || namespace.is_empty() {
        return Err(Wrong::new(
            format!("{value:?} is no service account"),
            "write NAMESPACE/NAME, or NAME of the policy's namespace",
        ));
    }
    let (namespace, account) = (quoted(namespace), quoted(account));
    Ok(matcher::regex(format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?")))
}

fn trust_domain(value: &str) -> Result<StringMatcher, Wrong> {
    match value.split_once('*') {
        Some(("", "")) => Ok(matcher::prefix("spiffe://")),
        None => Ok(matcher::prefix(format!("spiffe://{value}/"))),
        Some((_, end)) if end.contains('*') => {
            Err(Wrong::new(format!("{value:?} has more than one *"), "write one * at most"))
        }
        Some((beginning, end)) => {
            let (beginning, end) = (quoted(beginning), quoted(end));
            Ok(matcher::regex(format!("spiffe://{beginning}[^/]*{end}/.*")))
        }
    }
}
