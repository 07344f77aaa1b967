//! What somebody else signed: whether it is what was asked for and leads to a root, and the answer that it makes.
//!
//! Source: `shared/spec/security.md` 1.8, 2.1; Istio `security/pkg/pki/ra/k8s_ra.go`.

use std::time::SystemTime;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::bundle::{Search, check_ca, parsed, set};
use crate::key::PublicKey;
use crate::pem::{certificates, encode};
use crate::signer::{begins, ends};
use crate::{Error, Issued, SpiffeId};

/// The field that problems are told of.
const FIELD: &str = "signed certificate";

/// A chain of certificates, the one that was asked for first.
#[derive(Debug)]
pub struct Returned(Vec<Pem>);

impl Returned {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `signed certificate` when there is none, or one of them cannot be read.
    pub fn read(pem: &[u8]) -> Result<Self, Error> {
        let blocks = certificates(FIELD, pem)?;
        if blocks.is_empty() {
            return Err(Error::refused(FIELD, "has no CERTIFICATE block"));
        }
        Ok(Self(blocks))
    }

    /// The last CA of the chain as PEM: its root, if signers add it; none if there is no CA in it.
    #[must_use]
    pub fn last_ca(&self) -> Option<String> {
        let is_ca = |block: &&Pem| block.parse_x509().is_ok_and(|found| check_ca(&found).is_ok());
        let last = self.0.iter().skip(1).rev().find(is_ca)?;
        Some(encode("CERTIFICATE", &last.contents))
    }

    /// The answer to a workload that asked with `key` as `identity`: certificates that do not belong to `roots` one by one, and
    /// `roots` (PEM) last, as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `signed certificate`: it is of another key or identity, or the roots do not vouch for it now.
    pub fn answer(
        &self,
        key: &PublicKey,
        identity: &SpiffeId,
        roots: &str,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        let all = parsed(FIELD, &self.0)?;
        let leaf = check_leaf(&all, key)?;
        check_identity(leaf, &identity.to_string()).map_err(|problem| Error::refused(FIELD, problem))?;
        self.check_roots(&all, roots, now)?;
        let trusted = set("trust anchors", roots)?;
        let own =
            self.0.iter().enumerate().filter(|(at, block)| *at == 0 || !trusted.contains(&block.contents));
        let mut chain: Vec<String> = own.map(|(_, block)| encode("CERTIFICATE", &block.contents)).collect();
        chain.push(roots.to_owned());
        Ok(Issued { chain, not_before: begins(leaf), not_after: ends(leaf) })
    }

    /// The chain of a server that asked with `key`, PEM, and when its certificate ends. Clients find out about its names.
    ///
    /// # Errors
    /// As [`Returned::answer`], and without `roots` nothing is checked of these.
    pub fn of_server(
        &self,
        key: &PublicKey,
        roots: Option<&str>,
        now: SystemTime,
    ) -> Result<(String, SystemTime), Error> {
        let all = parsed(FIELD, &self.0)?;
        let leaf = check_leaf(&all, key)?;
        if let Some(roots) = roots {
            self.check_roots(&all, roots, now)?;
        }
        Ok((self.0.iter().map(|block| encode("CERTIFICATE", &block.contents)).collect(), ends(leaf)))
    }

    fn check_roots(&self, all: &[X509Certificate<'_>], roots: &str, now: SystemTime) -> Result<(), Error> {
        let (Some((leaf, between)), roots) =
            (all.split_first(), certificates("trust anchors", roots.as_bytes())?)
        else {
            return Ok(());
        };
        let roots = parsed("trust anchors", &roots)?;
        let lead = Search { between, roots: &roots, now }.lead(leaf);
        lead.map_err(|problem| {
            Error::refused(FIELD, format!("does not lead to a root that is known: {problem}"))
        })
    }
}

fn check_leaf<'a, 'b>(
    all: &'a [X509Certificate<'b>],
    key: &PublicKey,
) -> Result<&'a X509Certificate<'b>, Error> {
    let leaf = all.first().ok_or_else(|| Error::refused(FIELD, "is missing"))?;
    let of = PublicKey::from_parsed(leaf.public_key());
    if of.map_err(|error| Error::refused(FIELD, error.to_string()))? != *key {
        return Err(Error::refused(FIELD, "is of another key than the request"));
    }
    if leaf.is_ca() {
        return Err(Error::refused(FIELD, "is one of a CA: workloads must not sign others"));
    }
    Ok(leaf)
}

/// Whether the only URI is the identity.
fn check_identity(leaf: &X509Certificate<'_>, identity: &str) -> Result<(), String> {
    let names = leaf.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    if uris == [identity] { Ok(()) } else { Err(format!("is of {uris:?} and not of {identity}")) }
}

#[cfg(test)]
mod tests;
