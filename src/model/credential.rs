//! What proxies can use of a Secret or ConfigMap: a certificate with its key, roots of trust; or why they cannot.
//!
//! Source: Istio `pilot/pkg/credentials/kube/secrets.go`; `shared/spec/security.md` 4.2.

mod name;

use std::collections::BTreeMap;
use std::fmt;

use api::kubernetes::{ConfigMap, Secret};
use api::scalar::SecretBytes;
use api::{Kind, Object, ObjectKey, ObjectRef};

pub use name::{Holder, Name};

use crate::content::Ref;

/// The keys of one layout: certificate, private key, OCSP staple.
const PAIRS: [(&str, &str, Option<&str>); 2] =
    [("cert", "key", None), ("tls.crt", "tls.key", Some("tls.ocsp-staple"))];
/// The keys of one layout: roots, revocation list.
const ROOTS: [(&str, &str); 2] = [("cacert", "crl"), ("ca.crt", "ca.crl")];
/// Keys of a Secret that a message names.
const NAMED: usize = 3;

/// A certificate chain with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPair {
    /// The Secret.
    pub source: ObjectRef,
    /// The chain, in PEM.
    pub chain: Vec<u8>,
    /// The private key, in PEM.
    pub key: SecretBytes,
    /// An OCSP response about the certificate, in DER.
    pub staple: Option<Vec<u8>>,
}

/// Roots of trust.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roots {
    /// The Secret or ConfigMap.
    pub source: ObjectRef,
    /// The certificates, in PEM.
    pub certificates: Vec<u8>,
    /// Revocation lists, in PEM.
    pub crl: Option<Vec<u8>>,
}

/// Why an object holds nothing that could be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// These keys are there, and at least one of them is empty.
    Empty(Vec<&'static str>),
    /// None of the known keys is there; the first that are, and how many more.
    Missing(Wanted, Vec<String>, usize),
    /// It holds the key of the mesh's certificate authority.
    MeshCa,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A certificate and its key.
    Pair,
    /// Roots of trust.
    Roots,
}

/// A Secret as far as proxies use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Its certificate and key.
    pub pair: Result<Ref<KeyPair>, Flaw>,
    /// Its roots of trust.
    pub roots: Result<Ref<Roots>, Flaw>,
}

impl Credential {
    /// Reads a Secret of any type.
    pub fn of(object: &Object<Secret>) -> Self {
        let source =
            ObjectRef { key: ObjectKey::of(Kind::Secret, &object.meta), generation: object.meta.generation };
        let data = &object.spec.data;
        Self { pair: pair(data, &source), roots: roots(&exposed(data), source) }
    }

    /// What is served of the Secret that holds the mesh's authority: nothing, to nobody.
    pub fn of_mesh_ca() -> Self {
        Self { pair: Err(Flaw::MeshCa), roots: Err(Flaw::MeshCa) }
    }
}

/// The roots of trust of a ConfigMap.
///
/// # Errors
/// It has none; most ConfigMaps do not.
pub fn roots_of_config_map(object: &Object<ConfigMap>) -> Result<Ref<Roots>, Flaw> {
    let source =
        ObjectRef { key: ObjectKey::of(Kind::ConfigMap, &object.meta), generation: object.meta.generation };
    let data = object.spec.data.iter().map(|(key, text)| (key.as_str(), text.as_bytes())).collect();
    roots(&data, source)
}

type Data<'a> = BTreeMap<&'a str, &'a [u8]>;

fn exposed(data: &BTreeMap<String, SecretBytes>) -> Data<'_> {
    data.iter().map(|(key, bytes)| (key.as_str(), bytes.expose())).collect()
}

/// The first layout both of whose parts have content.
fn pair(data: &BTreeMap<String, SecretBytes>, source: &ObjectRef) -> Result<Ref<KeyPair>, Flaw> {
    let filled = |name: &str| data.get(name).filter(|bytes| !bytes.expose().is_empty());
    for (chain, key, staple) in PAIRS {
        if let (Some(chain), Some(key)) = (filled(chain), filled(key)) {
            return Ok(Ref::new(KeyPair {
                source: source.clone(),
                chain: chain.expose().to_vec(),
                key: key.clone(),
                staple: staple.and_then(filled).map(|bytes| bytes.expose().to_vec()),
            }));
        }
    }
    let there = |(chain, key, _): &&(&str, &str, _)| data.contains_key(*chain) && data.contains_key(*key);
    Err(match PAIRS.iter().find(there) {
        Some((chain, key, _)) => Flaw::Empty(vec![chain, key]),
        None => missing(Wanted::Pair, data.keys().map(String::as_str)),
    })
}

/// The first layout that has content.
fn roots(data: &Data<'_>, source: ObjectRef) -> Result<Ref<Roots>, Flaw> {
    let filled = |name: &str| data.get(name).filter(|bytes| !bytes.is_empty());
    for (certificates, crl) in ROOTS {
        if let Some(certificates) = filled(certificates) {
            let crl = filled(crl).map(|bytes| bytes.to_vec());
            return Ok(Ref::new(Roots { source, certificates: certificates.to_vec(), crl }));
        }
    }
    Err(match ROOTS.iter().find(|(certificates, _)| data.contains_key(certificates)) {
        Some((certificates, _)) => Flaw::Empty(vec![certificates]),
        None => missing(Wanted::Roots, data.keys().copied()),
    })
}

fn missing<'a>(wanted: Wanted, keys: impl Iterator<Item = &'a str>) -> Flaw {
    let mut named: Vec<String> = keys.map(str::to_owned).collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    Flaw::Missing(wanted, named, more)
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(keys) => write!(f, "has {}, but empty", keys.join(" and ")),
            Self::Missing(wanted, keys, more) => {
                f.write_str(match wanted {
                    Wanted::Pair => "has neither cert and key nor tls.crt and tls.key",
                    Wanted::Roots => "has neither cacert nor ca.crt",
                })?;
                match (keys.is_empty(), more) {
                    (true, _) => f.write_str(": it is empty"),
                    (false, 0) => write!(f, ", but {}", keys.join(", ")),
                    (false, more) => write!(f, ", but {} and {more} more", keys.join(", ")),
                }
            }
            Self::MeshCa => {
                f.write_str("holds the key of the mesh's certificate authority, which is never sent")
            }
        }
    }
}

#[cfg(test)]
mod tests;
