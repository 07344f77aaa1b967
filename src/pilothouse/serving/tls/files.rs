//! A server's certificate in files that somebody else keeps fresh.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustls::sign::CertifiedKey;

use super::shown::pair;

/// Where the certificate of a control plane is mounted that others sign, as cert-manager's agent for meshes does.
const MOUNTED: [&str; 2] = ["/var/run/secrets/istiod/tls/tls.crt", "/var/run/secrets/istiod/tls/tls.key"];
/// Where it puts what clients check it against: the first that is there.
const MOUNTED_ROOTS: [&str; 2] =
    ["/var/run/secrets/istiod/ca/root-cert.pem", "/var/run/secrets/istiod/tls/ca.crt"];

/// The files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// The chain, PEM, the server's own certificate first.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// What clients check the certificate against, if it is known.
    pub(crate) roots: Option<PathBuf>,
}

/// What the files hold.
pub(super) struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
    roots: Option<Vec<u8>>,
}

impl Files {
    /// The files that flags name (`--tlsCertFile`, `--tlsKeyFile`, `--caCertFile`); without them those that are mounted at
    /// the usual places, if all three are: nobody could check the certificate without the third. None if there are none.
    ///
    /// # Errors
    /// Only one of certificate and key is named.
    pub(crate) fn of(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        roots: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let there = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_file());
        let roots = roots.or_else(|| MOUNTED_ROOTS.into_iter().find_map(there));
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key, roots })),
            (None, None) => {
                let ([certificate, key], Some(roots)) = (MOUNTED.map(there), roots) else { return Ok(None) };
                let of = |(certificate, key)| Self { certificate, key, roots: Some(roots) };
                Ok(certificate.zip(key).map(of))
            }
            (Some(_), None) => bail!("--tlsKeyFile is missing: --tlsCertFile alone serves nobody"),
            (None, Some(_)) => bail!("--tlsCertFile is missing: --tlsKeyFile alone serves nobody"),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(super) fn read(&self) -> Result<Content> {
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let roots = self.roots.as_deref().map(read).transpose()?;
        Ok(Content { chain: read(&self.certificate)?, key: read(&self.key)?, roots })
    }

    /// What is in them as a certificate to show, and the roots that clients need.
    ///
    /// # Errors
    /// Which file is wrong and how.
    pub(super) fn parse(&self, content: &Content) -> Result<(CertifiedKey, Option<String>)> {
        let pair = pair(&content.chain, &content.key)
            .with_context(|| format!("{} with {}", self.certificate.display(), self.key.display()))?;
        let (Some(path), Some(roots)) = (&self.roots, &content.roots) else { return Ok((pair, None)) };
        ca::check_roots(roots).with_context(|| path.display().to_string())?;
        let roots = String::from_utf8(roots.clone()).with_context(|| path.display().to_string())?;
        Ok((pair, Some(roots)))
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        (&self.chain, &self.key, &self.roots) == (&other.chain, &other.key, &other.roots)
    }
}
