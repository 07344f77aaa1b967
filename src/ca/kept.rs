//! A self-signed root as it is kept: its certificate and key, and the replacement that is under way.

use std::fmt;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::{Authority, Error, Fresh, Replacement, Root, Stage};

/// What is kept, wherever that is. `Debug` prints nothing of keys.
#[derive(Clone, Eq, PartialEq)]
pub struct Kept {
    /// The certificate that signs, PEM.
    pub cert_pem: String,
    /// Its key, PEM. This is the secret: do not log it.
    pub key_pem: Zeroizing<String>,
    /// The replacement that is under way.
    pub replacement: Option<Replacement>,
}

impl Kept {
    /// A root that nothing replaces.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        Self { cert_pem: root.cert_pem().to_owned(), key_pem: root.expose_key_pem(), replacement: None }
    }

    /// From what is stored; `replacement` is the text of one.
    ///
    /// # Errors
    /// As [`Replacement::read`].
    pub fn read(
        cert_pem: String,
        key_pem: Zeroizing<String>,
        replacement: Option<&str>,
    ) -> Result<Self, Error> {
        let replacement = replacement.filter(|text| !text.is_empty()).map(Replacement::read).transpose()?;
        Ok(Self { cert_pem, key_pem, replacement })
    }

    /// What signs and what is trusted at `now`: the root that signs first, then the other one of a replacement, then
    /// `others`, PEM. No certificate is there twice.
    ///
    /// # Errors
    /// As [`Root::from_pem`] and [`Authority::self_signed`].
    pub fn authority(&self, others: Option<&str>, now: SystemTime) -> Result<Authority, Error> {
        let root = Root::from_pem(&self.cert_pem, &self.key_pem, now)?;
        let replaced = self.replacement.iter().flat_map(Replacement::roots);
        let bundle = crate::bundle::without(&self.cert_pem, replaced.chain(others))?;
        Authority::self_signed(root, Some(bundle.as_str()).filter(|bundle| !bundle.is_empty()))
    }

    /// The same with a replacement that begins at `now`: a new root of a new key, for the organisation of the old one, as
    /// `like` says.
    ///
    /// # Errors
    /// [`Error::Refused`] when one is under way already, [`Error::Crypto`] when the library refuses.
    pub fn begin(&self, like: Fresh, now: SystemTime) -> Result<Self, Error> {
        if let Some(replacement) = &self.replacement {
            let stage = replacement.stage().name();
            return Err(Error::refused("replacement", format!("is under way already, in the stage {stage}")));
        }
        let organisation = crate::root::organisation(&self.cert_pem).unwrap_or_default();
        let new = Root::fresh(&organisation, like, now)?;
        let replacement = Some(Replacement::begin(&self.cert_pem, &new, now));
        Ok(Self { replacement, ..self.clone() })
    }

    /// The same in the next stage of its replacement, whatever it waits for: the new root signs, or it is alone.
    ///
    /// # Errors
    /// [`Error::Refused`] when none is under way.
    pub fn advance(&self, now: SystemTime) -> Result<Self, Error> {
        let replacement = self.under_way()?;
        Ok(match replacement.next() {
            Some((cert_pem, key)) => Self {
                cert_pem: cert_pem.to_owned(),
                key_pem: key.clone(),
                replacement: Some(replacement.signing(now)),
            },
            None => Self { replacement: None, ..self.clone() },
        })
    }

    /// The same without the replacement that has begun.
    ///
    /// # Errors
    /// [`Error::Refused`] when none is under way, or when the new root signs already: workloads have certificates of it.
    pub fn abandon(&self) -> Result<Self, Error> {
        match self.under_way()?.stage() {
            Stage::Distributing(_) => Ok(Self { replacement: None, ..self.clone() }),
            Stage::Signing(_) => {
                let problem = "cannot be abandoned any more: workloads have certificates of the new root";
                Err(Error::refused("replacement", problem))
            }
        }
    }

    fn under_way(&self) -> Result<&Replacement, Error> {
        self.replacement.as_ref().ok_or_else(|| Error::refused("replacement", "is not under way"))
    }

    /// Whether a write was interrupted that was to let the new root sign: some of it is that root's already.
    pub(crate) fn is_torn(&self) -> bool {
        let next = self.replacement.as_ref().and_then(Replacement::next);
        next.is_some_and(|(cert_pem, key)| cert_pem == self.cert_pem || *key == self.key_pem)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("replacement", &self.replacement).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
