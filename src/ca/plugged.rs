//! A certificate authority that operators plug in: its files in one of two layouts, and what they must be to be used.
//!
//! Source: spec security.md 1.1 and 1.4.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use x509_parser::certificate::X509Certificate;
use zeroize::Zeroizing;

use crate::bundle::{self, Search};
use crate::pem::{certificates, check_key_of, encode};
use crate::signer::Signer;
use crate::{Authority, Error, PrivateKey};

/// The file by which the layout of a Secret of type kubernetes.io/tls is known.
const TLS: &str = "tls.crt";
/// Revocation lists; of the other layout only.
const REVOKED: &str = "ca-crl.pem";

const FILES: &str = "put the files of one certificate authority there: ca-cert.pem, ca-key.pem, root-cert.pem and \
                     cert-chain.pem, or tls.crt, tls.key and ca.crt; or remove all of them to get a self-signed root";
const CONTENT: &str = "mend the Secret or the files; nothing is signed with what peers would refuse";

/// Which file is what.
struct Layout {
    certificate: &'static str,
    key: &'static str,
    roots: &'static str,
    chain: &'static [&'static str],
    revoked: Option<&'static str>,
}

const KUBERNETES: Layout =
    Layout { certificate: TLS, key: "tls.key", roots: "ca.crt", chain: &[TLS, "ca.crt"], revoked: None };
const ISTIO: Layout = Layout {
    certificate: "ca-cert.pem",
    key: "ca-key.pem",
    roots: "root-cert.pem",
    chain: &["cert-chain.pem"],
    revoked: Some(REVOKED),
};

/// The files as they were read. `Debug` prints nothing of the key, which is wiped when this is dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct Files {
    layout: &'static str,
    certificate: String,
    key: Zeroizing<String>,
    roots: String,
    chain: String,
    revoked: Option<String>,
}

impl Files {
    /// Reads the files in `folder`; none if there is none of them. `with_crl`: whether revocation lists are read too.
    ///
    /// # Errors
    /// [`Error::Plugged`] when some are there and others are missing: a mesh that is to have this authority must not get
    /// another root. [`Error::Io`] when one cannot be read.
    pub fn read(folder: &Path, with_crl: bool) -> Result<Option<Self>, Error> {
        Self::of(&folder.display().to_string(), with_crl, |name| text(folder, name))
    }

    /// The same from wherever `text` finds a file of a name; `place` is what that is called.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub fn of(
        place: &str,
        with_crl: bool,
        text: impl Fn(&str) -> Result<Option<Zeroizing<String>>, Error>,
    ) -> Result<Option<Self>, Error> {
        let tls = text(TLS)?;
        let layout = if tls.is_some() { &KUBERNETES } else { &ISTIO };
        let (certificate, key) = (text(layout.certificate)?, text(layout.key)?);
        let roots = text(layout.roots)?;
        let mut missing = Vec::new();
        let mut chain = String::new();
        for &name in layout.chain {
            match text(name)? {
                Some(text) => append(&mut chain, &text),
                None => missing.push(name),
            }
        }
        let read = [(layout.certificate, &certificate), (layout.key, &key), (layout.roots, &roots)];
        if read.iter().all(|(_, text)| text.is_none()) && missing.len() == layout.chain.len() {
            return Ok(None);
        }
        missing.extend(read.iter().filter(|(_, text)| text.is_none()).map(|(name, _)| *name));
        missing.sort_unstable();
        missing.dedup();
        let (Some(certificate), Some(key), Some(roots), true) = (certificate, key, roots, missing.is_empty())
        else {
            let part = place.to_owned();
            return Err(plugged(part, format!("is incomplete: {} missing", missing.join(", ")), FILES));
        };
        let revoked = match layout.revoked.filter(|_| with_crl) {
            Some(name) => text(name)?,
            None => None,
        };
        Ok(Some(Self {
            layout: layout.certificate,
            certificate: certificate.as_str().to_owned(),
            key,
            roots: roots.as_str().to_owned(),
            chain,
            revoked: revoked.map(|text| text.as_str().to_owned()).filter(|text| !text.trim().is_empty()),
        }))
    }

    /// What peers trust, PEM, byte for byte.
    #[must_use]
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// The revocation lists, PEM.
    #[must_use]
    pub fn revoked(&self) -> Option<&str> {
        self.revoked.as_deref()
    }

    /// Checks the files and makes of them what signs: the certificate is a CA's and valid at `now`, the key is its own, it
    /// leads through the chain to one of the roots, and revocation lists, if there are any, are by every CA of the chain.
    ///
    /// # Errors
    /// [`Error::Plugged`] naming what is wrong; nothing of the key is in the text.
    pub fn authority(&self, now: SystemTime) -> Result<Authority, Error> {
        let layout = if self.layout == TLS { &KUBERNETES } else { &ISTIO };
        let chain_name = layout.chain.join(" and ");
        let wrong = |part: &str| {
            let part = part.to_owned();
            move |error: Error| plugged(part, said(error), CONTENT)
        };
        let own = certificates("", self.certificate.as_bytes()).map_err(wrong(layout.certificate))?;
        let chain = certificates("", self.chain.as_bytes()).map_err(wrong(&chain_name))?;
        let roots = certificates("", self.roots.as_bytes()).map_err(wrong(layout.roots))?;
        let key = PrivateKey::from_pem(&self.key).map_err(wrong(layout.key))?;
        let own = bundle::parsed("", &own)?;
        let Some(certificate) = own.first() else {
            let nothing = "has no CERTIFICATE block".to_owned();
            return Err(plugged(layout.certificate.to_owned(), nothing, CONTENT));
        };
        check_key_of(self.certificate.as_bytes(), &key).map_err(wrong(layout.key))?;
        let refused = |part: &str| {
            let part = part.to_owned();
            move |problem: String| plugged(part, problem, CONTENT)
        };
        bundle::check_ca(certificate).map_err(refused(layout.certificate))?;
        let signer = Signer::new(certificate, key).map_err(wrong(layout.key))?;
        let (between, roots) = (bundle::parsed("", &chain)?, bundle::parsed("", &roots)?);
        let search = Search { between: &between, roots: &roots, now };
        let untrusted = |problem| format!("does not lead to a root of {}: {problem}", layout.roots);
        search.lead(certificate).map_err(untrusted).map_err(refused(layout.certificate))?;
        if let Some(lists) = &self.revoked {
            crate::crl::check(lists, &between).map_err(refused(REVOKED))?;
        }
        let leads = |root: &&X509Certificate<'_>| {
            let search = Search { between: &between, roots: std::slice::from_ref(*root), now };
            search.lead(certificate).is_ok()
        };
        let vouchers = roots.iter().filter(leads).map(|root| encode("CERTIFICATE", root.as_raw())).collect();
        Ok(Authority::of(signer, &between, self.roots.clone())?.vouched_by(vouchers))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// Whether files that replace others may be used while peers trust what they trust (spec security.md 1.4, trap 12).
///
/// Roots that are the same certificates may. Others may only if `multiroot` (`ISTIO_MULTIROOT_MESH`) and one of both sets is
/// a part of the other, so that there is always a root that all peers know.
///
/// # Errors
/// [`Error::Plugged`] telling what would have to be done first.
pub fn check_roots_may_follow(before: &str, after: &str, multiroot: bool) -> Result<(), Error> {
    let (old, new) = (bundle::set("trust anchors", before)?, bundle::set("trust anchors", after)?);
    let problem = match (old == new, multiroot) {
        (true, _) => return Ok(()),
        (false, true) if old.is_subset(&new) || new.is_subset(&old) => return Ok(()),
        (false, true) => "have changed, and neither the old nor the new ones are a part of the others",
        (false, false) => "have changed, which ISTIO_MULTIROOT_MESH does not allow",
    };
    let hint = "what was there before goes on signing: with ISTIO_MULTIROOT_MESH=true add the new root beside the old one \
                first, or restart the control plane and all workloads";
    Err(plugged("the root certificates".to_owned(), problem.to_owned(), hint))
}

/// Whether an authority may take another one's place as to the names of its roots: where peers could tell roots apart by now,
/// they can do so afterwards, for certificates of both.
///
/// # Errors
/// [`Error::Plugged`] telling which certificate would have to say more.
pub fn check_names_may_follow(before: &Authority, after: &Authority) -> Result<(), Error> {
    if !before.namesakes().is_empty() {
        return Ok(());
    }
    let mistaken = before.mistaken_among(after.root_bundle()).into_iter().chain(after.namesakes());
    let hint = "a restart of the control plane takes the files as they are";
    mistaken.take(1).try_for_each(|problem| {
        Err(plugged("the root certificates".to_owned(), format!("would cost connections: {problem}"), hint))
    })
}

fn plugged(part: String, problem: String, hint: &'static str) -> Error {
    Error::Plugged { part, problem, hint }
}

/// What is wrong, without the name of a field: the file is named.
fn said(error: Error) -> String {
    match error {
        Error::Refused { problem, .. } => problem,
        other => other.to_string(),
    }
}

/// Joins files so that the last line of one is not the first of the next.
fn append(all: &mut String, text: &str) {
    if !all.is_empty() && !all.ends_with('\n') {
        all.push('\n');
    }
    all.push_str(text);
}

fn text(folder: &Path, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        // A folder that is not mounted is no mistake.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Io { action: "read", path, source, hint: "check its mount and its mode" }),
    }
}

#[cfg(test)]
mod tests;
