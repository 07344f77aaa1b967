//! Variables that say who signs certificates of workloads, and where that of the control plane comes from.
//!
//! Source: `shared/spec/security.md` 1.1, 1.7, 1.8, 1.9.

use anyhow::{Result, bail, ensure};

use super::{Environment, process};

/// The only kind of signers elsewhere that there is.
const KUBERNETES: &str = "ISTIOD_RA_KUBERNETES_API";

/// Who signs the control plane's own certificate, if that is not in files (`PILOT_CERT_PROVIDER`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// The mesh's authority (`istiod`).
    Istiod,
    /// Nobody, and roots are not distributed either (`none`).
    Nobody,
    /// A signer of Kubernetes (`k8s.io/NAME`), by its full name.
    Signer(String),
    /// What Kubernetes does no longer (`kubernetes`).
    Kubernetes,
    /// Nobody: there is no such provider.
    Unknown(String),
}

impl Provider {
    fn of(text: &str) -> Self {
        match (text, text.strip_prefix("k8s.io/")) {
            ("istiod", _) => Self::Istiod,
            ("none", _) => Self::Nobody,
            ("kubernetes", _) => Self::Kubernetes,
            (_, Some(signer)) if !signer.is_empty() => Self::Signer(signer.to_owned()),
            _ => Self::Unknown(text.to_owned()),
        }
    }
}

/// Signers of Kubernetes in the place of the mesh's authority (`EXTERNAL_CA`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// The one for requests that name none, by its full name (`K8S_SIGNER`).
    pub(crate) usual: String,
    /// What stands before the names that requests give (`CERT_SIGNER_DOMAIN`); without it they may give none.
    pub(crate) domain: String,
}

/// Who signs what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issuing {
    /// Whether certificates are issued at all (`ENABLE_CA_SERVER`).
    pub(crate) offered: bool,
    /// Who signs the control plane's own certificate.
    pub(crate) provider: Provider,
    /// Who signs those of workloads; the mesh's authority if nobody else does.
    pub(crate) elsewhere: Option<Elsewhere>,
}

impl Issuing {
    /// As the environment says.
    ///
    /// # Errors
    /// `EXTERNAL_CA` is no kind that there is.
    pub(crate) fn read() -> Result<Self> {
        Self::of(process)
    }

    fn of(source: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let e = Environment(source);
        let text = |name: &str| e.read(name, String::new(), |text| Some(text.to_owned()));
        let offered = e.flag("ENABLE_CA_SERVER", true);
        let provider = e.read("PILOT_CERT_PROVIDER", Provider::Istiod, |text| Some(Provider::of(text)));
        let elsewhere = match text("EXTERNAL_CA").as_str() {
            _ if !offered => None,
            "" => None,
            KUBERNETES => Some(Elsewhere { usual: text("K8S_SIGNER"), domain: text("CERT_SIGNER_DOMAIN") }),
            other => bail!("EXTERNAL_CA={other}: there is no such kind; it is {KUBERNETES}, or not set"),
        };
        if let Some(Elsewhere { usual, domain }) = &elsewhere {
            ensure!(
                !(usual.is_empty() && domain.is_empty()),
                "EXTERNAL_CA={KUBERNETES}: nobody is named who signs; set K8S_SIGNER to a signer's full name, or \
                 CERT_SIGNER_DOMAIN to what stands before the names that workloads ask for"
            );
        }
        Ok(Self { offered, provider, elsewhere })
    }

    /// Whether this process has the mesh's authority: also where it signs nothing but the control plane's own certificate.
    pub(crate) fn has_authority(&self) -> bool {
        let all_elsewhere = self.elsewhere.is_some() && matches!(self.provider, Provider::Signer(_));
        self.offered && !all_elsewhere
    }

    /// Whether namespaces are told what to trust.
    pub(crate) fn distributes(&self) -> bool {
        self.offered && self.provider != Provider::Nobody
    }

    /// Whether the mesh's authority signs the control plane's own certificate, if that is not in files.
    pub(crate) fn signs_own(&self) -> bool {
        self.has_authority() && self.provider == Provider::Istiod
    }

    /// Tells the operator why there is no certificate of the control plane.
    ///
    /// # Errors
    /// What was chosen does not exist any more: nothing works before it is changed.
    pub(crate) fn explain(&self) -> Result<()> {
        let files = "files at /var/run/secrets/istiod/tls, or --tlsCertFile, --tlsKeyFile and --caCertFile";
        match &self.provider {
            Provider::Kubernetes => bail!(
                "PILOT_CERT_PROVIDER=kubernetes: Kubernetes does not sign such certificates any more; leave it out, give {files}, or \
                 name a signer: k8s.io/SIGNER"
            ),
            Provider::Unknown(other) => tracing::warn!(
                "PILOT_CERT_PROVIDER={other}: there is no such provider (istiod, none, k8s.io/SIGNER), so the control plane has no \
                 certificate; give {files}"
            ),
            Provider::Nobody => {
                tracing::warn!(
                    "PILOT_CERT_PROVIDER=none: the control plane has no certificate; give {files}"
                );
            }
            Provider::Istiod if !self.offered => {
                tracing::warn!("ENABLE_CA_SERVER=false: the control plane has no certificate; give {files}");
            }
            Provider::Istiod | Provider::Signer(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Issuing> {
        Issuing::of(|asked| {
            variables.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
        })
    }

    const RA: (&str, &str) = ("EXTERNAL_CA", KUBERNETES);
    const SIGNER: (&str, &str) = ("K8S_SIGNER", "example.com/mesh");

    #[test]
    fn who_signs_what_is_as_in_the_reference() {
        let off = ("ENABLE_CA_SERVER", "false");
        let provider = |name| ("PILOT_CERT_PROVIDER", name);
        let k8s = provider("k8s.io/example.com/istiod");
        // An authority, distribution, its signature on the control plane's own certificate, signers elsewhere.
        for (variables, expected) in [
            (&[][..], [true, true, true, false]),
            (&[off], [false, false, false, false]),
            (&[off, RA, SIGNER], [false, false, false, false]),
            (&[provider("none")], [true, false, false, false]),
            (&[provider("vault")], [true, true, false, false]),
            (&[RA, SIGNER], [true, true, true, true]),
            (&[RA, SIGNER, provider("none")], [true, false, false, true]),
            (&[RA, SIGNER, k8s], [false, true, false, true]),
            (&[k8s], [true, true, false, false]),
        ] {
            let issuing = with(variables).unwrap();
            let elsewhere = issuing.elsewhere.is_some();
            let found = [issuing.has_authority(), issuing.distributes(), issuing.signs_own(), elsewhere];
            assert_eq!(found, expected, "{variables:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_with_what_to_do() {
        let wrong = |variables: &[_]| with(variables).unwrap_err().to_string();
        assert!(wrong(&[("EXTERNAL_CA", "vault")]).contains("it is ISTIOD_RA_KUBERNETES_API"));
        assert!(wrong(&[RA]).contains("set K8S_SIGNER"));
        let gone = with(&[("PILOT_CERT_PROVIDER", "kubernetes")]).unwrap();
        assert!(gone.explain().unwrap_err().to_string().contains("does not sign"));
        for other in ["", "istiod", "none", "k8s.io/", "vault", "k8s.io/example.com/x"] {
            with(&[("PILOT_CERT_PROVIDER", other)]).unwrap().explain().unwrap();
        }
    }

    #[test]
    fn signers_have_their_full_names() {
        let of = |name| with(&[("PILOT_CERT_PROVIDER", name)]).unwrap().provider;
        assert_eq!(of("k8s.io/example.com/istiod"), Provider::Signer("example.com/istiod".to_owned()));
        assert_eq!(of("k8s.io/"), Provider::Unknown("k8s.io/".to_owned()));
        assert_eq!(of(""), Provider::Istiod);
    }
}
