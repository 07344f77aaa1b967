//! Authorities of one root that operators plug into the control plane, in the reference's layout of files.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertifiedIssuer, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::{Identity, named};

/// An authority that a root has signed.
#[derive(Clone)]
pub struct Intermediate {
    name: &'static str,
    certificate: String,
    key: String,
    /// What has signed it.
    root: String,
    /// What is to be trusted beside it.
    others: String,
}

impl std::fmt::Debug for Intermediate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intermediate({})", self.name)
    }
}

impl Intermediate {
    /// Two of one root.
    pub fn pair() -> Result<[Self; 2]> {
        Self::of(false)
    }

    /// `told`: whether their certificates have the identifier of the root's key (authorityKeyIdentifier).
    fn of(told: bool) -> Result<[Self; 2]> {
        let root = CertifiedIssuer::self_signed(authority("the root")?, KeyPair::generate()?)?;
        let signed = |name: &'static str| -> Result<Self> {
            let (key, mut params) = (KeyPair::generate()?, authority(name)?);
            params.use_authority_key_identifier_extension = told;
            let certificate = params.signed_by(&key, &*root)?.pem();
            let (key, others) = (key.serialize_pem(), String::new());
            Ok(Self { name, certificate, key, root: root.pem(), others })
        };
        Ok([signed("first")?, signed("second")?])
    }

    /// Two of different roots, which have one name as the roots have that operators make by one recipe. Whether their
    /// certificates tell by key identifiers which root signed them is `told`.
    pub fn strangers(told: bool) -> Result<[Self; 2]> {
        let ([old, _], [_, new]) = (Self::of(told)?, Self::of(told)?);
        Ok([old, new])
    }

    /// The same under another name, where the root of another one is trusted as well.
    #[must_use]
    pub fn beside(&self, other: &Self, name: &'static str) -> Self {
        Self { name, others: other.root.clone(), ..self.clone() }
    }

    /// What tells it apart.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The files of the Secret `cacerts`, with their names.
    #[must_use]
    pub fn files(&self) -> [(&'static str, String); 4] {
        [
            ("ca-cert.pem", self.certificate.clone()),
            ("ca-key.pem", self.key.clone()),
            ("root-cert.pem", format!("{}{}", self.root, self.others)),
            ("cert-chain.pem", format!("{}{}", self.certificate, self.root)),
        ]
    }

    /// What has signed it, PEM.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A certificate for a DNS name, which names its key, with its own behind it.
    pub fn issue(&self, name: &str) -> Result<Identity> {
        let (issuer, key) = (authority(self.name)?, KeyPair::generate()?);
        let issuer = Issuer::new(issuer, KeyPair::from_pem(&self.key)?);
        let mut params = named(&[name], name)?;
        params.use_authority_key_identifier_extension = true;
        let certificate = format!("{}{}", params.signed_by(&key, &issuer)?.pem(), self.certificate);
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// Whether its certificate is in a chain, which is given as base64 of its PEM.
    pub fn is_in(&self, chain: &str) -> Result<bool> {
        let text = String::from_utf8(STANDARD.decode(chain)?).context("a chain that is no text")?;
        let bare = |pem: &str| pem.split_whitespace().collect::<String>();
        Ok(bare(&text).contains(&bare(&self.certificate)))
    }
}

fn authority(name: &str) -> Result<rcgen::CertificateParams> {
    let mut params = named(&[], name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}
