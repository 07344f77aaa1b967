//! Where the one certificate of all TLS ports comes from; it is made when the first port needs it.

use std::sync::Arc;

use anyhow::Result;
use model::Mesh;
use tokio::sync::OnceCell;

use super::{Certificate, Files, Policy, names::names};
use crate::features;
use crate::flags::{Discovery, path};
use crate::root::Roots;

/// Where the certificate comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// Files of somebody else's.
    Files(Files),
    /// The mesh's root.
    Root(Roots),
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
    /// As flags say. `roots` sign the certificate in a cluster or with a state folder (`kept`); a root that is only in
    /// memory is of no use to anybody. None if there is no certificate to be had.
    ///
    /// # Errors
    /// The flags of the certificate do not fit together.
    pub(crate) fn of(flags: &Discovery, roots: Roots, kept: bool) -> Result<Option<Self>> {
        let [certificate, key, trusted] =
            [&flags.tls_cert_file, &flags.tls_key_file, &flags.ca_cert_file].map(|flag| path(flag.as_ref()));
        let files = Files::of(certificate, key, trusted)?.map(Origin::Files);
        let origin = files.or_else(|| kept.then_some(Origin::Root(roots)));
        Ok(origin.map(|origin| Self {
            origin,
            namespace: flags.namespace.clone(),
            revision: flags.revision.clone(),
            certificate: Arc::default(),
            policy: Policy { least: flags.tls_min_version, ciphers: flags.tls_cipher_suites.clone() },
        }))
    }

    /// The certificate; waits until it can be signed.
    ///
    /// # Errors
    /// There is none to be had.
    pub(crate) async fn certificate(&self, mesh: &Mesh) -> Result<Certificate> {
        let made = self.certificate.get_or_try_init(|| async {
            match &self.origin {
                Origin::Files(files) => Certificate::from_files(files.clone()),
                Origin::Root(roots) => {
                    let discovery = &mesh.settings.default_proxy_config.discovery_address;
                    let names = names(&features::custom_hosts(), discovery, &self.namespace, &self.revision);
                    tracing::info!(?names, "names of the control plane's certificate");
                    Certificate::signed(roots.clone(), names).await
                }
            }
        });
        made.await.cloned()
    }
}
