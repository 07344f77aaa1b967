//! Where the self-signed root is kept, with the replacement that is under way: read, made once, changed by one at a time.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use ca::{Kept, Root};
use controllers::ca_secret::{self, CaPair};

use super::{Keeping, Settings, blocking, trust_domain};

/// The place, and what decides about a root that is made there.
pub(crate) struct Store {
    keeping: Keeping,
    renewal: ca::Renewal,
    settings: Settings,
    /// What is kept in memory.
    memory: Mutex<Option<Kept>>,
}

impl Store {
    /// Nothing is read yet.
    pub(crate) fn new(keeping: Keeping, renewal: ca::Renewal, settings: Settings) -> Self {
        Self { keeping, renewal, settings, memory: Mutex::default() }
    }

    pub(super) fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    pub(super) fn renewal(&self) -> ca::Renewal {
        self.renewal
    }

    /// The trust domain of the mesh; empty while it is not known.
    pub(super) fn trust_domain(&self) -> String {
        self.settings.borrow().as_ref().map(|mesh| mesh.trust_domain.clone()).unwrap_or_default()
    }

    /// What is kept; made if there is nothing.
    pub(super) async fn load_or_create(&self) -> Result<Kept> {
        let (like, mut settings) = (self.renewal.fresh, self.settings.clone());
        match &self.keeping {
            Keeping::Folder(folder) => {
                let (folder, domain) = (folder.clone(), trust_domain(&mut settings).await?);
                let now = SystemTime::now();
                blocking(move || ca::state::kept_or_create(&folder, &domain, like, now)).await
            }
            Keeping::Memory => {
                let domain = trust_domain(&mut settings).await?;
                let root = blocking(move || Root::fresh(&domain, like, SystemTime::now())).await?;
                let kept = Kept::of(&root);
                *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.clone());
                Ok(kept)
            }
            Keeping::Secret(secret) => {
                let read = |pair: &CaPair| {
                    let kept = read(pair)?;
                    // One that cannot sign is told of where it is kept.
                    kept.authority(None, SystemTime::now()).map_err(|error| error.to_string())?;
                    Ok(kept)
                };
                let make = || {
                    let mut settings = settings.clone();
                    async move {
                        let domain = trust_domain(&mut settings).await.map_err(|error| error.to_string())?;
                        let made = blocking(move || Root::fresh(&domain, like, SystemTime::now())).await;
                        pair(&Kept::of(&made.map_err(|error| error.to_string())?))
                    }
                };
                Ok(secret.load_or_create(read, make).await)
            }
        }
    }

    /// What is kept now.
    pub(super) async fn read(&self) -> Result<Kept> {
        self.change(|_| Ok(None)).await
    }

    /// Puts what `next` makes of it in the place of what is kept, or leaves it if that is nothing. Out: what is kept then.
    ///
    /// # Errors
    /// It cannot be read or written, somebody else wrote in between, or what `next` says.
    pub(crate) async fn change<F>(&self, next: F) -> Result<Kept>
    where
        F: FnOnce(&Kept) -> Result<Option<Kept>, ca::Error> + Send + 'static,
    {
        match &self.keeping {
            Keeping::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || ca::state::change(&folder, SystemTime::now(), next)).await
            }
            Keeping::Memory => {
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                let kept = memory.as_ref().ok_or_else(|| anyhow!("there is no root yet"))?;
                let changed = next(kept)?.unwrap_or_else(|| kept.clone());
                *memory = Some(changed.clone());
                Ok(changed)
            }
            Keeping::Secret(secret) => {
                let unread = || anyhow!("the Secret {} cannot be read", ca_secret::NAME);
                let found = secret.read().await.ok_or_else(unread)?;
                let kept = read(&found.pair).map_err(|problem| anyhow!("{}: {problem}", ca_secret::NAME))?;
                let Some(changed) = next(&kept)? else { return Ok(kept) };
                let pair = pair(&changed).map_err(anyhow::Error::msg)?;
                let written = secret.replace(found, &pair).await;
                written
                    .then_some(changed)
                    .ok_or_else(|| anyhow!("the Secret {} was not written", ca_secret::NAME))
            }
        }
    }
}

/// What a Secret keeps.
fn read(pair: &CaPair) -> Result<Kept, String> {
    let replacement = pair.replacement.as_ref().map(|text| text.as_str());
    Kept::read(pair.cert_pem.clone(), pair.key_pem.clone(), replacement).map_err(|error| error.to_string())
}

/// How a Secret keeps it.
fn pair(kept: &Kept) -> Result<CaPair, String> {
    let replacement = kept.replacement.as_ref().map(ca::Replacement::write).transpose();
    Ok(CaPair {
        cert_pem: kept.cert_pem.clone(),
        key_pem: kept.key_pem.clone(),
        replacement: replacement.map_err(|error| error.to_string())?,
    })
}
