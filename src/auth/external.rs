//! Certificates that somebody else signs: what is asked of it, after the request was looked at.
//!
//! Source: `shared/spec/security.md` 1.8; Istio `security/pkg/pki/ra/common.go`.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ca::{Csr, PublicKey, SpiffeId};
use futures::future::BoxFuture;

/// Somebody else who signs, and may take long for it.
pub trait External: Send + Sync {
    /// Has a certificate signed. Out: PEM, as `IstioCertificateResponse.cert_chain` has it. When the future is dropped, nobody
    /// waits for it any more.
    fn sign(&self, order: Order) -> BoxFuture<'static, Result<Vec<String>, Unsigned>>;
}

/// A certificate that is to be signed by somebody else.
#[derive(Clone, Debug)]
pub struct Order {
    /// The request, PEM: it asks for the identity and for nothing else.
    pub csr: String,
    /// The key that it is for.
    pub key: PublicKey,
    /// Who asks.
    pub identity: SpiffeId,
    /// How long it is to be valid, if that was said.
    pub lifetime: Option<Duration>,
    /// Which signer was asked for; empty for the usual one.
    pub signer: String,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: SystemTime,
}

/// Why somebody else signed nothing, in words for the log and for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It gives no such lifetime.
    Lifetime(String),
    /// Too many wait for it: later there may be room.
    Crowded(String),
    /// Anything else.
    Failed(String),
}

impl Order {
    /// Of a request that was looked at.
    ///
    /// # Errors
    /// It is not one that may be passed on, or asks for a longer life than `longest`.
    pub(crate) fn new(
        csr: String,
        (identity, source): (SpiffeId, Option<IpAddr>),
        (seconds, longest): (i64, Duration),
        signer: String,
        now: SystemTime,
    ) -> Result<Self, ca::Error> {
        let key = Csr::for_others(&csr, &identity)?.key;
        let lifetime = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        if let Some(lifetime) = lifetime {
            ca::check_lifetime(lifetime, longest)?;
        }
        Ok(Self { csr, key, identity, lifetime, signer, source, now })
    }
}
