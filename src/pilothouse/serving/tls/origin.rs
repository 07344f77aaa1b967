//! Where the one certificate of all TLS ports comes from; one that has to be signed is when the first port needs it.

use std::sync::Arc;

use anyhow::Result;
use controllers::signing::Signers;
use model::Mesh;
use tokio::sync::OnceCell;

use super::requested::Request;
use super::{Certificate, Files, Policy, names::names, standard};
use crate::authority::root::{Roots, Trusted};
use crate::features;
use crate::flags::{Discovery, path};

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Files of somebody else's, if what clients check it against is known too.
    Files(Certificate, bool),
    /// The mesh's root.
    Root(Roots),
    /// A signer of Kubernetes, by its full name, and what clients check it against.
    Signer(Signers, String, Trusted),
}

impl Origin {
    /// Files, if flags name them or they are at the usual places; they are followed from now on.
    ///
    /// # Errors
    /// The flags of the certificate do not fit together, or a file cannot be used.
    pub(crate) fn files(flags: &Discovery) -> Result<Option<Self>> {
        let [certificate, key, trusted] =
            [&flags.tls_cert_file, &flags.tls_key_file, &flags.ca_cert_file].map(|flag| path(flag.as_ref()));
        let Some(files) = Files::of(certificate, key, trusted)? else { return Ok(None) };
        tracing::info!(?files, "the control plane's certificate is in files");
        let with_roots = files.roots.is_some();
        Ok(Some(Self::Files(Certificate::from_files(files)?, with_roots)))
    }

    /// The CA file that belongs to files, PEM, as it changes.
    pub(crate) fn ca_file(&self) -> Option<Trusted> {
        match self {
            Self::Files(certificate, true) => Some(certificate.roots()),
            _ => None,
        }
    }
}

/// Who this process is to those who connect to its TLS ports. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    origin: Origin,
    namespace: String,
    revision: String,
    certificate: Arc<OnceCell<Certificate>>,
    /// How its ports talk TLS.
    pub(crate) policy: Policy,
}

impl Identity {
    /// As flags say, with a certificate from there.
    pub(crate) fn of(flags: &Discovery, origin: Origin) -> Self {
        let compliance = features::compliance();
        standard::tell(compliance);
        Self {
            origin,
            namespace: flags.namespace.clone(),
            revision: flags.revision.clone(),
            certificate: Arc::default(),
            policy: Policy {
                least: flags.tls_min_version,
                ciphers: flags.tls_cipher_suites.clone(),
                standard: compliance,
            },
        }
    }

    /// The certificate; waits until it can be signed.
    ///
    /// # Errors
    /// There is none to be had.
    pub(crate) async fn certificate(&self, mesh: &Mesh) -> Result<Certificate> {
        let names = || {
            let discovery = &mesh.settings.default_proxy_config.discovery_address;
            let names = names(&features::custom_hosts(), discovery, &self.namespace, &self.revision);
            tracing::info!(?names, "names of the control plane's certificate");
            names
        };
        let made = self.certificate.get_or_try_init(|| async {
            match &self.origin {
                Origin::Files(certificate, _) => Ok(certificate.clone()),
                Origin::Root(roots) => Certificate::signed(roots.clone(), names()).await,
                Origin::Signer(signers, signer, roots) => {
                    let request =
                        Request { signers: signers.clone(), signer: signer.clone(), names: names() };
                    Ok(Certificate::requested(request, roots.clone()).await)
                }
            }
        });
        made.await.cloned()
    }
}
