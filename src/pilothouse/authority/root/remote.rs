//! Files of a plugged-in certificate authority in the Secret `cacerts`, where they are not mounted.
//!
//! The reference writes them into the folder of files, which is read-only in its own pods; here they are only read.
//! Source: `shared/spec/security.md` 1.1; Istio issue 55698.

use anyhow::{Result, anyhow};
use ca::plugged::Files;
use controllers::ca_secret::CaSecret;

/// The Secret.
#[derive(Clone, Debug)]
pub(crate) struct Remote(pub(crate) CaSecret);

impl Remote {
    /// The files; none if there is no such Secret, or if it holds a self-signed root that was made.
    pub(super) async fn files(&self, with_crl: bool) -> Result<Option<Files>> {
        let found = self.0.plugged().await;
        let Some(data) = found.ok_or_else(|| anyhow!("the Secret cacerts cannot be read"))? else {
            return Ok(None);
        };
        let text = |name: &str| Ok(data.get(name).cloned());
        Ok(Files::of("the Secret cacerts", with_crl, text)?)
    }
}
