//! Certificates of workloads and of the control plane's own servers: what the root puts into one (spec security.md 1.5).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::leaf::{Leaf, Name};
use crate::signer::Signer;
use crate::{Error, PublicKey, Root, SpiffeId};

/// How far before the moment of signing a certificate begins, for peers whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(120);

/// The lifetime when nobody asks for another: 24 h (`DEFAULT_WORKLOAD_CERT_TTL`).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The longest lifetime that is signed: 2160 h (`MAX_WORKLOAD_CERT_TTL`). Longer ones are refused, not cut.
pub const MAX_LIFETIME: Duration = Duration::from_secs(2160 * 3600);

/// What to certify.
#[derive(Clone, Debug)]
pub struct Request {
    /// The workload's key.
    pub public_key: PublicKey,
    /// The workload; it becomes the only subject alternative name.
    pub identity: SpiffeId,
    /// How long from now; see [`DEFAULT_LIFETIME`] and [`MAX_LIFETIME`].
    pub lifetime: Duration,
}

/// A server of the control plane to certify.
#[derive(Clone, Debug)]
pub struct ServerRequest {
    /// The server's key.
    pub public_key: PublicKey,
    /// What clients call it: DNS names, perhaps with a first label `*`, and IP addresses.
    pub names: Vec<String>,
    /// How long from now.
    pub lifetime: Duration,
}

/// A signed certificate.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The chain to present in a handshake, PEM, the workload's certificate first, the root not included.
    pub chain_pem: String,
    /// Begin of validity.
    pub not_before: SystemTime,
    /// End of validity, never after the root's.
    pub not_after: SystemTime,
}

impl Root {
    /// Signs a workload certificate at `now`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a lifetime of zero or above [`MAX_LIFETIME`], [`Error::Root`] when the root has
    /// expired at `now`, [`Error::Crypto`] when the library fails.
    pub fn sign(&self, request: &Request, now: SystemTime) -> Result<Signed, Error> {
        check_lifetime(request.lifetime, MAX_LIFETIME)?;
        let names = [Name::Uri(request.identity.to_string())];
        let wanted = Wanted { key: &request.public_key, names: &names, common_name: None, is_client: true };
        sign(&self.signer, &wanted, request.lifetime, now)
    }

    /// Signs a certificate of a server at `now`. Clients that check only its names, as API servers do, take it.
    ///
    /// # Errors
    /// As [`Root::sign`], and [`Error::Refused`] for no name at all and for a name that is neither DNS's nor an address.
    pub fn sign_server(&self, request: &ServerRequest, now: SystemTime) -> Result<Signed, Error> {
        sign_server(&self.signer, request, now)
    }
}

/// Whom to certify, and as what.
pub(crate) struct Wanted<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) names: &'a [Name],
    pub(crate) common_name: Option<&'a str>,
    pub(crate) is_client: bool,
}

/// Refuses a lifetime that nobody may have.
///
/// # Errors
/// [`Error::Refused`] naming `lifetime` for one of zero, or above `longest`.
pub fn check_lifetime(lifetime: Duration, longest: Duration) -> Result<(), Error> {
    if lifetime.is_zero() || lifetime > longest {
        let (asked, longest) = (lifetime.as_secs(), longest.as_secs());
        let problem = format!("{asked} s is not allowed; ask for 1 s to {longest} s");
        return Err(Error::refused("lifetime", problem));
    }
    Ok(())
}

/// Signs a certificate that begins [`BACKDATE`] before `now` and ends with its signer at the latest.
pub(crate) fn sign(
    signer: &Signer,
    wanted: &Wanted<'_>,
    lifetime: Duration,
    now: SystemTime,
) -> Result<Signed, Error> {
    if signer.not_after() <= now {
        return Err(Error::Root { problem: "has expired".to_owned() });
    }
    let not_before = whole_seconds(now - BACKDATE);
    let end = now.checked_add(lifetime).unwrap_or_else(|| signer.not_after());
    let not_after = whole_seconds(end.min(signer.not_after()));
    let Wanted { key, names, common_name, is_client } = *wanted;
    let der = signer.sign(&Leaf { key, names, common_name, is_client, not_before, not_after })?;
    Ok(Signed { chain_pem: crate::pem::encode("CERTIFICATE", &der), not_before, not_after })
}

/// Signs a certificate of a server, for as long as it asks.
pub(crate) fn sign_server(
    signer: &Signer,
    request: &ServerRequest,
    now: SystemTime,
) -> Result<Signed, Error> {
    check_lifetime(request.lifetime, Duration::MAX)?;
    let names: Vec<Name> = request.names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(Error::refused("names", "are missing; a server needs one at least"));
    }
    let wanted = Wanted { key: &request.public_key, names: &names, common_name: None, is_client: false };
    sign(signer, &wanted, request.lifetime, now)
}

fn server_name(name: &str) -> Result<Name, Error> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Name::Address(address.to_canonical()));
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !name.strip_prefix("*.").unwrap_or(name).split('.').all(label) {
        return Err(Error::refused("names", format!("{name:?} is neither a DNS name nor an IP address")));
    }
    Ok(Name::Dns(name.to_owned()))
}

/// Certificates count whole seconds.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests;
