//! What signs certificates of workloads: a signing certificate with its key, the chain above it, and what peers trust.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use x509_parser::certificate::X509Certificate;

use crate::bundle::{name, parsed};
use crate::leaf::Name;
use crate::pem::{certificates, encode};
use crate::sign::{Wanted, check_lifetime, sign, sign_server};
use crate::signer::{Signer, begins, ends};
use crate::{Anchor, Csr, DEFAULT_LIFETIME, Error, MAX_LIFETIME, PeerKey, Root, ServerRequest, Signed};

/// The header of an answer that says how many of the roots in its last element, the first ones, are the mesh's own: they
/// alone vouch for the control plane.
pub const OWN_ROOTS: &str = "pilothouse-own-roots";

/// How long certificates of workloads live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// For requests that name no lifetime (`DEFAULT_WORKLOAD_CERT_TTL`).
    pub default_ttl: Duration,
    /// The longest; requests for more are refused (`MAX_WORKLOAD_CERT_TTL`).
    pub max_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { default_ttl: DEFAULT_LIFETIME, max_ttl: MAX_LIFETIME }
    }
}

/// The answer to a request of a workload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    /// PEM, in the order of `IstioCertificateResponse.cert_chain`: the certificate, each certificate of the chain above it,
    /// and last the whole bundle of roots, which may hold several blocks (spec security.md 2.1, trap 1).
    pub chain: Vec<String>,
    /// Begin of validity.
    pub not_before: SystemTime,
    /// End of validity, never after the signing certificate's.
    pub not_after: SystemTime,
}

/// A certificate authority in memory, ready to sign. It never changes: another one takes its place. `Debug` prints nothing
/// of the key. Clones have the same key, not a copy of it.
#[derive(Clone)]
pub struct Authority {
    signer: Arc<Signer>,
    chain: Vec<String>,
    roots: String,
    /// Roots of others that peers are to trust after its own, PEM.
    others: String,
    standings: Vec<Standing>,
    /// The roots that the signing certificate leads to.
    vouchers: BTreeSet<String>,
    limits: Limits,
}

/// How long one certificate of an authority is valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its subject.
    pub name: String,
    /// Whether peers trust it; if not, it stands in the chain.
    pub is_root: bool,
    /// Begin of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
}

impl Standing {
    fn of(is_root: bool, certificates: &[X509Certificate<'_>]) -> Vec<Self> {
        let one = |certificate: &X509Certificate<'_>| Self {
            name: name(certificate),
            is_root,
            not_before: begins(certificate),
            not_after: ends(certificate),
        };
        certificates.iter().map(one).collect()
    }
}

impl Authority {
    /// A self-signed root, with other roots that peers are to trust beside it, PEM (spec security.md 1.2).
    ///
    /// # Errors
    /// [`Error::Refused`] naming `trust anchors` when the other roots cannot be read.
    pub fn self_signed(root: Root, others: Option<&str>) -> Result<Self, Error> {
        let mut roots = root.cert_pem().to_owned();
        if let Some(others) = others {
            crate::check_roots(others.as_bytes())?;
            if !roots.ends_with('\n') {
                roots.push('\n');
            }
            roots.push_str(others);
        }
        Self::of(root.signer, &[], roots)
    }

    /// A signing certificate with what stands above it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the chain or the roots cannot be read.
    pub(crate) fn of(signer: Signer, chain: &[X509Certificate<'_>], roots: String) -> Result<Self, Error> {
        let anchors = certificates("trust anchors", roots.as_bytes())?;
        let mut standings = Standing::of(true, &parsed("trust anchors", &anchors)?);
        standings.extend(Standing::of(false, chain));
        let chain = chain.iter().map(|one| encode("CERTIFICATE", one.as_raw())).collect();
        Ok(Self {
            signer: Arc::new(signer),
            chain,
            roots,
            others: String::new(),
            standings,
            vouchers: BTreeSet::new(),
            limits: Limits::default(),
        })
    }

    /// The same, but peers are to trust these as well: those that it does not have among its own roots, after them.
    #[must_use]
    pub fn trusting<'a>(&self, others: impl Iterator<Item = &'a Anchor>) -> Self {
        let mut known: BTreeSet<Arc<str>> =
            Anchor::merged([self.roots.as_str()].into_iter()).into_iter().collect();
        let new = others.filter(|other| known.insert(Arc::clone(other.pem())));
        let others = new.map(|other| &**other.pem()).collect();
        Self { others, ..self.clone() }
    }

    /// The same, if these roots are those that its signing certificate leads to.
    pub(crate) fn vouched_by(self, roots: BTreeSet<String>) -> Self {
        Self { vouchers: roots, ..self }
    }

    /// The roots, PEM, that the signing certificate of a plugged-in authority leads to: whoever trusts one of them takes what
    /// it signs.
    #[must_use]
    pub fn vouchers(&self) -> &BTreeSet<String> {
        &self.vouchers
    }

    /// The validity of each root and then of each certificate of the chain, in their order.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// How many roots of its own peers trust.
    #[must_use]
    pub fn own_roots(&self) -> usize {
        self.standings.iter().filter(|standing| standing.is_root).count()
    }

    /// The same with other lifetimes.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Its own roots, PEM, byte for byte as they were given.
    #[must_use]
    pub fn root_bundle(&self) -> &str {
        &self.roots
    }

    /// What peers trust, PEM: its own roots, byte for byte and first, and those of others.
    #[must_use]
    pub fn trust_bundle(&self) -> String {
        let gap = if self.others.is_empty() || self.roots.ends_with('\n') { "" } else { "\n" };
        [self.roots.as_str(), gap, self.others.as_str()].concat()
    }

    /// Where peers cannot tell which of several trusted roots of one name signed, a line each.
    #[must_use]
    pub fn namesakes(&self) -> Vec<String> {
        self.mistaken_among(&self.trust_bundle())
    }

    /// The same, if peers trusted these roots, PEM.
    pub(crate) fn mistaken_among(&self, roots: &str) -> Vec<String> {
        // All of it was read before.
        let read = |text: &str| certificates("trust anchors", text.as_bytes()).unwrap_or_default();
        let (roots, chain) = (read(roots), read(&self.chain.concat()));
        let (roots, chain) = (parsed("trust anchors", &roots), parsed("chain", &chain));
        crate::namesakes::problems(&self.signer, &chain.unwrap_or_default(), &roots.unwrap_or_default())
    }

    /// When the signing certificate ends. Nothing that it signs outlives it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.signer.not_after()
    }

    /// Signs at `now` for a workload that was authenticated as `identities` (SPIFFE ids, addresses, DNS names).
    ///
    /// `csr` gives the key, and with a common name asks for one; `ttl` is in seconds, zero or less asks for the default
    /// (spec security.md 1.5).
    ///
    /// # Errors
    /// [`Error::Refused`] for the request, its key, its lifetime or an identity; [`Error::Root`] when the signing
    /// certificate has ended; [`Error::Crypto`] when the library fails. [`Error::fault`] says whose fault it is.
    pub fn sign(
        &self,
        csr: &str,
        identities: &[impl AsRef<str>],
        ttl: i64,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        let lifetime = self.lifetime(ttl)?;
        let names: Vec<Name> = identities
            .iter()
            .map(|identity| Name::of_identity(identity.as_ref()))
            .collect::<Result<_, _>>()?;
        let Some(first) = identities.first() else {
            return Err(Error::refused("identity", "is missing: there is nobody to certify"));
        };
        let csr = Csr::from_pem(csr)?;
        let common_name = csr.has_common_name.then(|| first.as_ref());
        let wanted = Wanted { key: &csr.key, names: &names, common_name, is_client: true };
        let Signed { chain_pem, not_before, not_after } = sign(&self.signer, &wanted, lifetime, now)?;
        let mut chain = Vec::with_capacity(self.chain.len() + 2);
        chain.push(chain_pem);
        chain.extend_from_slice(&self.chain);
        chain.push(self.trust_bundle());
        Ok(Issued { chain, not_before, not_after })
    }

    fn lifetime(&self, ttl: i64) -> Result<Duration, Error> {
        let Ok(seconds @ 1..) = u64::try_from(ttl) else { return Ok(self.limits.default_ttl) };
        let lifetime = Duration::from_secs(seconds);
        check_lifetime(lifetime, self.limits.max_ttl)?;
        Ok(lifetime)
    }

    /// Signs a certificate of a server at `now`; its chain is the one to present, the roots not included.
    ///
    /// # Errors
    /// As [`Root::sign_server`].
    pub fn sign_server(&self, request: &ServerRequest, now: SystemTime) -> Result<Signed, Error> {
        let mut signed = sign_server(&self.signer, request, now)?;
        signed.chain_pem.extend(self.chain.iter().map(String::as_str));
        Ok(signed)
    }

    /// The key by which replicas know each other that have the same signing key.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn peer_key(&self) -> Result<PeerKey, Error> {
        PeerKey::of(self.signer.key())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("chain", &self.chain.len())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
