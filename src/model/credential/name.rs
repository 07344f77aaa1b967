//! Names under which secrets are asked for.

use std::fmt;

use crate::mesh::CA_SUFFIX;

/// Where a secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A Secret of the proxy's cluster, or else of the home cluster: `kubernetes://`.
    Secret,
    /// A Secret of the home cluster that a Gateway names: `kubernetes-gateway://`.
    GatewaySecret,
    /// A ConfigMap of the home cluster: `configmap://`.
    ConfigMap,
}

impl Holder {
    const ALL: [Self; 3] = [Self::Secret, Self::GatewaySecret, Self::ConfigMap];

    /// How names begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "kubernetes://",
            Self::GatewaySecret => "kubernetes-gateway://",
            Self::ConfigMap => "configmap://",
        }
    }
}

/// A name that can be served: where, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Where it is kept.
    pub holder: Holder,
    /// The namespace; none for that of the proxy.
    pub namespace: Option<&'a str>,
    /// The name of the object; that of roots of trust ends in `-cacert`.
    pub name: &'a str,
}

impl<'a> Name<'a> {
    /// Reads a name. None if it is never answered here: `builtin://`, which is the workload's own, `invalid://`, which holds a
    /// broken listener closed, and what is no name at all.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (holder, rest) =
            Holder::ALL.into_iter().find_map(|h| Some((h, text.strip_prefix(h.prefix())?)))?;
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, rest),
        };
        let whole = !name.is_empty() && !name.contains('/') && namespace != Some("");
        (whole && (namespace.is_some() || holder == Holder::Secret)).then_some(Self {
            holder,
            namespace,
            name,
        })
    }

    /// Whether roots of trust are asked for, and never a key.
    pub fn is_roots(&self) -> bool {
        self.holder == Holder::ConfigMap || self.name.ends_with(CA_SUFFIX)
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.holder.prefix())?;
        match self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_served_are_read_and_written_alike() {
        for (text, holder, namespace, name) in [
            ("kubernetes://tls", Holder::Secret, None, "tls"),
            ("kubernetes://edge/tls-cacert", Holder::Secret, Some("edge"), "tls-cacert"),
            ("kubernetes-gateway://edge/tls", Holder::GatewaySecret, Some("edge"), "tls"),
            ("configmap://edge/roots", Holder::ConfigMap, Some("edge"), "roots"),
        ] {
            let read = Name::parse(text).expect("a name");
            assert_eq!(read, Name { holder, namespace, name });
            assert_eq!(read.to_string(), text);
            assert_eq!(read.is_roots(), text.ends_with("-cacert") || holder == Holder::ConfigMap);
        }
    }

    #[test]
    fn what_is_never_answered_is_no_name() {
        for text in [
            "",
            "tls",
            "default",
            "ROOTCA",
            "builtin://",
            "builtin://-cacert",
            "invalid://edge/tls",
            "sds://tls",
            "file-cert:a~b",
            "kubernetes://",
            "kubernetes:///tls",
            "kubernetes://edge/",
            "kubernetes://a/b/c",
            "kubernetes-gateway://tls",
            "configmap://roots",
            "configmap:///roots",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
