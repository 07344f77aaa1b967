//! Certificates of workloads and of the control plane's own servers: what the root puts into one (spec security.md 1.5).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber,
};

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
        let uri = request.identity.to_string().try_into()?;
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign_leaf(&request.public_key, vec![SanType::URI(uri)], usages, request.lifetime, now)
    }

    /// Signs a certificate of a server at `now`. Clients that check only its names, as API servers do, take it.
    ///
    /// # Errors
    /// As [`Root::sign`], and [`Error::Refused`] for no name at all and for a name that is neither DNS's nor an address.
    pub fn sign_server(&self, request: &ServerRequest, now: SystemTime) -> Result<Signed, Error> {
        let names: Vec<SanType> =
            request.names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        if names.is_empty() {
            return Err(Error::refused("names", "are missing; a server needs one at least"));
        }
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign_leaf(&request.public_key, names, usages, request.lifetime, now)
    }

    fn sign_leaf(
        &self,
        key: &PublicKey,
        names: Vec<SanType>,
        usages: Vec<ExtendedKeyUsagePurpose>,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Signed, Error> {
        if lifetime.is_zero() || lifetime > MAX_LIFETIME {
            let problem = format!(
                "{} s is not allowed; ask for 1 s to {} s",
                lifetime.as_secs(),
                MAX_LIFETIME.as_secs()
            );
            return Err(Error::refused("lifetime", problem));
        }
        if self.not_after() <= now {
            return Err(Error::Root { problem: "has expired".to_owned() });
        }
        let not_before = whole_seconds(now - BACKDATE);
        let not_after = whole_seconds((now + lifetime).min(self.not_after()));
        let mut params = CertificateParams::default();
        params.serial_number = Some(random_serial()?);
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        // An empty subject also makes the alternative name critical (RFC 5280 4.1.2.6).
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key.info(), &self.issuer)?;
        Ok(Signed { chain_pem: certificate.pem(), not_before, not_after })
    }
}

fn server_name(name: &str) -> Result<SanType, Error> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !name.strip_prefix("*.").unwrap_or(name).split('.').all(label) {
        return Err(Error::refused("names", format!("{name:?} is neither a DNS name nor an IP address")));
    }
    Ok(SanType::DnsName(name.to_owned().try_into()?))
}

/// 127 random bits: positive as an ASN.1 integer without a leading zero byte.
pub(crate) fn random_serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::Crypto("no randomness for a serial number".to_owned()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Certificates count whole seconds.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests;
