//! A certificate of somebody who signs nothing, as DER: what stands in each field (spec security.md 1.5; RFC 5280).

use std::net::IpAddr;
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::der::{bits, tag, unsigned, value};
use crate::{Error, PublicKey};

/// The longest common name (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// Version 3, explicitly tagged.
const VERSION_3: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
/// Key usage, critical: digitalSignature and keyEncipherment.
const KEY_USAGE: &[u8] = b"\x30\x0e\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x05\xa0";
/// Extended key usage: serverAuth and clientAuth.
const BOTH_SIDES: &[u8] =
    b"\x30\x1d\x06\x03\x55\x1d\x25\x04\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\
    \x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";
/// Extended key usage: serverAuth.
const SERVER_SIDE: &[u8] =
    b"\x30\x13\x06\x03\x55\x1d\x25\x04\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
/// Basic constraints, critical: not a CA.
const NO_CA: &[u8] = b"\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00";
const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
const AUTHORITY_KEY_ID: &[u8] = b"\x06\x03\x55\x1d\x23";
/// Alternative name, critical: also where there is a common name, which nobody of the mesh looks at.
const CRITICAL_ALTERNATIVE_NAME: &[u8] = b"\x06\x03\x55\x1d\x11\x01\x01\xff";

/// A name of whom is certified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    /// A URI, as SPIFFE ids are.
    Uri(String),
    /// A DNS name.
    Dns(String),
    /// An address; of IPv4 it has four bytes, also when it was written as one of IPv6.
    Address(IpAddr),
}

impl Name {
    /// An identity that somebody was authenticated as: an address, a SPIFFE id, else a DNS name.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `identity` when it is empty or has what no IA5String of a certificate should hold.
    pub(crate) fn of_identity(identity: &str) -> Result<Self, Error> {
        if identity.is_empty() || !identity.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!("{identity:?} is empty or has characters that a certificate cannot hold");
            return Err(Error::refused("identity", problem));
        }
        Ok(match identity.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) if identity.starts_with("spiffe://") => Self::Uri(identity.to_owned()),
            Err(_) => Self::Dns(identity.to_owned()),
        })
    }

    fn der(&self) -> Vec<u8> {
        match self {
            Self::Dns(name) => value(0x82, &[name.as_bytes()]),
            Self::Uri(uri) => value(0x86, &[uri.as_bytes()]),
            Self::Address(IpAddr::V4(address)) => value(0x87, &[&address.octets()]),
            Self::Address(IpAddr::V6(address)) => value(0x87, &[&address.octets()]),
        }
    }
}

/// All that differs between certificates of one signer.
pub(crate) struct Leaf<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) names: &'a [Name],
    /// The subject's common name; left out where it is too long for one.
    pub(crate) common_name: Option<&'a str>,
    /// Whether it may also be shown by clients.
    pub(crate) is_client: bool,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Leaf<'_> {
    /// What is signed (`TBSCertificate`). In: DER of the signature algorithm, of the issuer's name, and of the extension
    /// with the issuer's key identifier; the serial number, the highest byte first.
    pub(crate) fn to_be_signed(
        &self,
        algorithm: &[u8],
        issuer: &[u8],
        key_id: &[u8],
        serial: &[u8],
    ) -> Vec<u8> {
        let usage = if self.is_client { BOTH_SIDES } else { SERVER_SIDE };
        let extensions = value(tag::SEQUENCE, &[KEY_USAGE, usage, NO_CA, key_id, &self.names()]);
        let validity = value(tag::SEQUENCE, &[&moment(self.not_before), &moment(self.not_after)]);
        let parts: [&[u8]; 8] = [
            VERSION_3,
            &unsigned(serial),
            algorithm,
            issuer,
            &validity,
            &self.subject(),
            self.key.der(),
            &value(0xa3, &[&extensions]),
        ];
        value(tag::SEQUENCE, &parts)
    }

    fn subject(&self) -> Vec<u8> {
        let Some(name) = self.common_name.filter(|name| name.len() <= MAX_COMMON_NAME) else {
            return value(tag::SEQUENCE, &[]);
        };
        let name = value(tag::SEQUENCE, &[COMMON_NAME, &value(tag::UTF8_STRING, &[name.as_bytes()])]);
        value(tag::SEQUENCE, &[&value(tag::SET, &[&name])])
    }

    fn names(&self) -> Vec<u8> {
        let names: Vec<u8> = self.names.iter().flat_map(Name::der).collect();
        let content = value(tag::OCTET_STRING, &[&value(tag::SEQUENCE, &[&names])]);
        value(tag::SEQUENCE, &[CRITICAL_ALTERNATIVE_NAME, &content])
    }
}

/// The certificate of what was signed.
pub(crate) fn certificate(to_be_signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    value(tag::SEQUENCE, &[to_be_signed, algorithm, &bits(signature)])
}

/// The extension that names the key of the issuer by the identifier that the issuer's own certificate gives it.
pub(crate) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    let content = value(tag::OCTET_STRING, &[&value(tag::SEQUENCE, &[&value(0x80, &[id])])]);
    value(tag::SEQUENCE, &[AUTHORITY_KEY_ID, &content])
}

/// A moment of validity: with two digits of the year up to 2049, else with four (RFC 5280 4.1.2.5).
fn moment(time: SystemTime) -> Vec<u8> {
    let at = OffsetDateTime::from(time);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    if (1950..2050).contains(&at.year()) {
        value(tag::UTC_TIME, &[format!("{:02}{rest}", at.year() % 100).as_bytes()])
    } else {
        value(tag::GENERALIZED_TIME, &[format!("{:04}{rest}", at.year()).as_bytes()])
    }
}
