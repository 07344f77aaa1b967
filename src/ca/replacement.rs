//! A root that another of a new key replaces, in stages in which every peer trusts what every other shows: first both are
//! trusted and the old one signs, then both are trusted and the new one signs, then the new one is alone.
//!
//! Pure: time and what is known of proxies come in as values. Source: spec security.md 1.3, 1.4, 1.6.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Error, PrivateKey, Root};

/// How long stages last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// The least time between trusting a root and signing with it: mounted ConfigMaps reach pods about two minutes late, and
    /// who only has those confirms nothing.
    pub distribute: Duration,
    /// How long the old root stays trusted when it no longer signs: the longest life of a certificate that it may have signed
    /// (`MAX_WORKLOAD_CERT_TTL`).
    pub longest_life: Duration,
}

/// How far a replacement is. When it is over there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Both are trusted, the old one signs; since when.
    Distributing(SystemTime),
    /// Both are trusted, the new one signs; since when.
    Signing(SystemTime),
}

impl Stage {
    /// Its name: `distributing` or `signing`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Distributing(_) => "distributing",
            Self::Signing(_) => "signing",
        }
    }

    /// Since when it is in this stage.
    #[must_use]
    pub fn since(self) -> SystemTime {
        match self {
            Self::Distributing(since) | Self::Signing(since) => since,
        }
    }
}

/// What is known of the proxies that are connected, of all replicas.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Confirmed {
    /// Proxies that were sent the roots.
    pub asked: usize,
    /// Those of them that have answered that they took the roots that are trusted now.
    pub have: usize,
}

/// Why a replacement does not go on yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// For the time of a stage: as much is left.
    For(Duration),
    /// For as many proxies.
    Proxies(usize),
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(left) => write!(f, "it goes on in {} s", left.as_secs()),
            Self::Proxies(1) => f.write_str("1 proxy has not confirmed that it trusts both roots"),
            Self::Proxies(count) => {
                write!(f, "{count} proxies have not confirmed that they trust both roots")
            }
        }
    }
}

/// One replacement. `Debug` prints nothing of the new key.
#[derive(Clone, Eq, PartialEq)]
pub struct Replacement {
    old: String,
    new: String,
    /// The new key, as long as the old one signs.
    key: Option<Zeroizing<String>>,
    stage: Stage,
}

/// How a replacement is kept beside the root.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    stage: String,
    /// Seconds since 1970.
    since: u64,
    old: String,
    new: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Replacement {
    /// Begins at `now`: `old` is what peers trust, PEM.
    #[must_use]
    pub fn begin(old: &str, new: &Root, now: SystemTime) -> Self {
        Self {
            old: old.to_owned(),
            new: new.cert_pem().to_owned(),
            key: Some(new.expose_key_pem()),
            stage: Stage::Distributing(now),
        }
    }

    /// Reads what [`Replacement::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Refused`] naming `replacement`: it is no such text, or its key is not that of its new certificate. Nothing of
    /// the key is in the words.
    pub fn read(text: &str) -> Result<Self, Error> {
        let refused = |problem: &str| Error::refused("replacement", problem);
        // The words of the parser might quote the key.
        let document: Document =
            serde_json::from_str(text).map_err(|_| refused("is not one that this program wrote"))?;
        let Document { stage, since, old, new, key } = document;
        let (key, since) = (key.map(Zeroizing::new), SystemTime::UNIX_EPOCH + Duration::from_secs(since));
        crate::check_roots(old.as_bytes()).and_then(|()| crate::check_roots(new.as_bytes()))?;
        let stage = match stage.as_str() {
            "distributing" => Stage::Distributing(since),
            "signing" => Stage::Signing(since),
            _ => return Err(refused("is in a stage that this version does not know")),
        };
        match (&key, stage) {
            (Some(key), Stage::Distributing(_)) => {
                crate::pem::check_key_of(new.as_bytes(), &PrivateKey::from_pem(key)?)?;
            }
            (None, Stage::Distributing(_)) => return Err(refused("lacks the new key")),
            (_, Stage::Signing(_)) => {}
        }
        Ok(Self { old, new, key, stage })
    }

    /// The text by which it is kept. It holds the new key: this is a secret.
    ///
    /// # Errors
    /// [`Error::Crypto`] when it cannot be written as JSON.
    pub fn write(&self) -> Result<Zeroizing<String>, Error> {
        let since = self.stage.since().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let document = Document {
            stage: self.stage.name().to_owned(),
            since: since.as_secs(),
            old: self.old.clone(),
            new: self.new.clone(),
            key: self.key.as_ref().map(|key| key.as_str().to_owned()),
        };
        let text = serde_json::to_string(&document).map(Zeroizing::new);
        drop(document.key.map(Zeroizing::new));
        text.map_err(|error| Error::Crypto(error.to_string()))
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The old and the new root, PEM: what peers trust.
    #[must_use]
    pub fn roots(&self) -> [&str; 2] {
        [&self.old, &self.new]
    }

    /// The new certificate and its key, as long as the old one signs.
    pub(crate) fn next(&self) -> Option<(&str, &Zeroizing<String>)> {
        matches!(self.stage, Stage::Distributing(_))
            .then(|| self.key.as_ref().map(|key| (self.new.as_str(), key)))?
    }

    /// The same when the new root signs, from `now` on.
    pub(crate) fn signing(&self, now: SystemTime) -> Self {
        Self { key: None, stage: Stage::Signing(now), ..self.clone() }
    }

    /// Whether it may go to the next stage at `now`. A clock that goes back makes it wait, never hurry.
    ///
    /// Proxies that confirm nothing hold it up until every certificate has ended that was signed before both roots were
    /// trusted: whoever has one then has got it together with both roots.
    ///
    /// # Errors
    /// What it waits for.
    pub fn may_go_on(&self, pace: Pace, confirmed: Confirmed, now: SystemTime) -> Result<(), Waiting> {
        match self.stage {
            Stage::Distributing(since) => {
                elapsed(since, pace.distribute, now)?;
                let missing = confirmed.asked.saturating_sub(confirmed.have);
                if missing > 0 && elapsed(since, pace.longest_life.max(pace.distribute), now).is_err() {
                    return Err(Waiting::Proxies(missing));
                }
                Ok(())
            }
            Stage::Signing(since) => elapsed(since, pace.longest_life, now),
        }
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement").field("stage", &self.stage).finish_non_exhaustive()
    }
}

fn elapsed(since: SystemTime, wanted: Duration, now: SystemTime) -> Result<(), Waiting> {
    let passed = now.duration_since(since).unwrap_or_default();
    match wanted.checked_sub(passed) {
        Some(left) if !left.is_zero() => Err(Waiting::For(left)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
