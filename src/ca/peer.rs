//! Proofs among replicas of the control plane: that whoever asks has the mesh's root key.
//!
//! The root's key itself signs nothing here: HKDF (RFC 5869) gives from it a key of HMAC-SHA256 (RFC 2104) for this alone.
//! A proof is `v1.SECONDS.MAC`: the time since 1970 in seconds, and in hex the MAC of `v1.SECONDS.PAGE`.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{hkdf, hmac};

use crate::{Error, PrivateKey, Root};

/// How far a proof's time may be from now, to both sides: clocks differ, and what was overheard is soon of no use.
pub const PROOF_LIFETIME: Duration = Duration::from_secs(60);

/// The form of proofs.
const VERSION: &str = "v1";

/// What the key is for: it is another for every other purpose.
const PURPOSE: &str = "pilothouse: replica asks replica, HMAC-SHA256, v1";

/// The key by which replicas know each other. `Debug` prints nothing of it.
pub struct PeerKey(hmac::Key);

impl Root {
    /// The key by which those who have this root's key know each other.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the library refuses.
    pub fn peer_key(&self) -> Result<PeerKey, Error> {
        PeerKey::of(self.signer.key())
    }
}

impl PeerKey {
    /// The key for replicas that is made of a signing key.
    pub(crate) fn of(key: &PrivateKey) -> Result<Self, Error> {
        let secret = key.secret_der();
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let refused = |_| Error::Crypto("no key for replicas from the root's key".to_owned());
        let key = key.expand(&[PURPOSE.as_bytes()], hmac::HMAC_SHA256).map_err(refused)?.into();
        Ok(Self(key))
    }

    /// A proof for a request of `page` at `now`.
    #[must_use]
    pub fn prove(&self, page: &str, now: SystemTime) -> String {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let mac = hmac::sign(&self.0, said(&seconds, page).as_bytes());
        format!("{VERSION}.{seconds}.{}", hex::encode(mac))
    }

    /// Whether this is a proof for a request of `page` that was made within [`PROOF_LIFETIME`] of `now`.
    #[must_use]
    pub fn proves(&self, proof: &str, page: &str, now: SystemTime) -> bool {
        let mut parts = proof.split('.');
        let (Some(VERSION), Some(seconds), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Ok(mac) = hex::decode(mac) else { return false };
        // Compares in constant time.
        hmac::verify(&self.0, said(seconds, page).as_bytes(), &mac).is_ok() && is_near(seconds, now)
    }
}

/// What the MAC is of.
fn said(seconds: &str, page: &str) -> String {
    format!("{VERSION}.{seconds}.{page}")
}

fn is_near(seconds: &str, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    seconds.parse::<u64>().is_ok_and(|made| made.abs_diff(now) <= PROOF_LIFETIME.as_secs())
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "spreadz";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn root() -> Root {
        Root::generate("cluster.local", at(1_800_000_000)).expect("a root")
    }

    fn key() -> PeerKey {
        root().peer_key().expect("a key")
    }

    #[test]
    fn a_proof_holds_for_its_page_and_about_its_time() {
        let (key, now) = (key(), 1_800_000_000);
        let proof = key.prove(PAGE, at(now));
        assert!(proof.starts_with("v1.1800000000."), "{proof}");
        for when in [now - 60, now, now + 60] {
            assert!(key.proves(&proof, PAGE, at(when)), "{when}");
        }
        for when in [0, now - 61, now + 61] {
            assert!(!key.proves(&proof, PAGE, at(when)), "{when}");
        }
        for page in ["", "syncz", "spreadz2", "Spreadz"] {
            assert!(!key.proves(&proof, page, at(now)), "{page}");
        }
    }

    #[test]
    fn nobody_without_the_key_makes_one() {
        let (one, other, now) = (key(), key(), at(1_800_000_000));
        assert!(!one.proves(&other.prove(PAGE, now), PAGE, now));
        let proof = one.prove(PAGE, now);
        let mac = proof.rsplit('.').next().expect("a MAC");
        let mut flipped = proof.clone();
        flipped.replace_range(proof.len() - 1.., if proof.ends_with('0') { "1" } else { "0" });
        let later = format!("v1.1800000001.{mac}");
        let padded = format!("v1.01800000000.{mac}");
        let version = proof.replacen("v1", "v2", 1);
        let cut = proof[..proof.len() - 2].to_owned();
        let none = "v1.1800000000.".to_owned();
        let more = format!("{proof}.");
        for bad in [flipped, later, padded, version, cut, none, more, String::new(), "v1".to_owned()] {
            assert!(!one.proves(&bad, PAGE, now), "{bad}");
        }
    }

    #[test]
    fn replicas_that_read_a_stored_root_have_the_same_key() {
        let now = at(1_800_000_000);
        let made = root();
        let read = Root::from_pem(made.cert_pem(), &made.expose_key_pem(), now).expect("the same root");
        let proof = made.peer_key().expect("a key").prove(PAGE, now);
        assert!(read.peer_key().expect("a key").proves(&proof, PAGE, now));
    }

    #[test]
    fn nothing_of_the_key_is_shown() {
        assert_eq!(format!("{:?}", key()), "PeerKey(redacted)");
    }
}
