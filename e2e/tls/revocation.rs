//! What an authority says of the certificates that it has issued: lists of those that it took back, and answers of an OCSP
//! responder about a single one.
//!
//! Source: RFC 5280 section 5, RFC 6960 section 4.2.

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, SigningKey as _};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

use super::{Authority, Identity};

/// The times of lists and answers: longer ago, and later, than any test runs.
const BEGIN: (i32, &[u8]) = (2020, b"20200101000000Z");
const END: (i32, &[u8]) = (2120, b"21200101000000Z");
/// Tag of the type GeneralizedTime.
const GENERALIZED_TIME: u64 = 24;
const BASIC_RESPONSE: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
const SHA_256: [u64; 9] = [2, 16, 840, 1, 101, 3, 4, 2, 1];
const ECDSA_WITH_SHA_256: [u64; 7] = [1, 2, 840, 10045, 4, 3, 2];

impl Authority {
    /// The list of these certificates as the ones that were taken back, PEM.
    pub fn revoke(&self, identities: &[&Identity]) -> Result<String> {
        let revoked = identities.iter().map(|identity| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial(identity)?),
                revocation_time: rcgen::date_time_ymd(BEGIN.0, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(BEGIN.0, 1, 1),
            next_update: rcgen::date_time_ymd(END.0, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&*self.0)?.pem()?)
    }

    /// An answer that says of a certificate that it is good, DER.
    pub fn staple(&self, identity: &Identity) -> Result<Vec<u8>> {
        let root = self.pem();
        let root = der(&root)?;
        let (_, root) = X509Certificate::from_der(&root).context("the root")?;
        let name = digest(&SHA256, root.tbs_certificate.subject.as_raw());
        let key = digest(&SHA256, &root.tbs_certificate.subject_pki.subject_public_key.data);
        let serial = serial(identity)?;
        let said = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                // The responder, by its key.
                writer.next().write_tagged(Tag::context(2), |w| w.write_bytes(key.as_ref()));
                time(writer.next(), BEGIN.1);
                writer.next().write_sequence(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_sequence(|writer| {
                            algorithm(writer.next(), &SHA_256);
                            writer.next().write_bytes(name.as_ref());
                            writer.next().write_bytes(key.as_ref());
                            writer.next().write_bigint_bytes(&serial, true);
                        });
                        // Good.
                        writer.next().write_tagged_implicit(Tag::context(0), |w| w.write_null());
                        time(writer.next(), BEGIN.1);
                        writer.next().write_tagged(Tag::context(0), |writer| time(writer, END.1));
                    });
                });
            });
        });
        let signature = self.0.key().sign(&said)?;
        let basic = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&said);
                algorithm(writer.next(), &ECDSA_WITH_SHA_256);
                writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                // Successful.
                writer.next().write_enum(0);
                writer.next().write_tagged(Tag::context(0), |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&BASIC_RESPONSE));
                        writer.next().write_bytes(&basic);
                    });
                });
            });
        }))
    }
}

fn algorithm(writer: DERWriter<'_>, id: &[u64]) {
    writer.write_sequence(|writer| writer.next().write_oid(&ObjectIdentifier::from_slice(id)));
}

fn time(writer: DERWriter<'_>, text: &[u8]) {
    // The writer has this type only with a library of times: a tag and text is all that it is.
    let tag = Tag { tag_class: yasna::TagClass::Universal, tag_number: GENERALIZED_TIME };
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(text));
}

/// The serial number of an identity's certificate, big end first.
fn serial(identity: &Identity) -> Result<Vec<u8>> {
    let certificate = der(&identity.certificate)?;
    let (_, certificate) = X509Certificate::from_der(&certificate).context("the certificate")?;
    Ok(certificate.raw_serial().to_vec())
}

fn der(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| anyhow!("certificate: {error}"))
}
