//! Renewal of a self-signed root with the key that it has: whoever trusts the old certificate also trusts what the new one
//! signs, and the other way round.
//!
//! Source: spec security.md 1.3, traps 6 and 7; Istio `security/pkg/pki/ca/selfsignedcarootcertrotator.go`.

use std::time::{Duration, SystemTime};

use crate::{Error, Fresh, Kept, Root};

/// When roots are looked at, and when they are renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Renewal {
    /// Time between two looks (`CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL`); zero for none.
    pub interval: Duration,
    /// Which part of the life has to be left, in percent (`CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE`).
    pub grace_percent: u32,
    /// Whether replicas begin at different times (`CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR`).
    pub jitter: bool,
    /// What new roots are like; a renewed one keeps its key.
    pub fresh: Fresh,
}

impl Default for Renewal {
    fn default() -> Self {
        Self { interval: Duration::from_secs(3600), grace_percent: 20, jitter: true, fresh: Fresh::default() }
    }
}

impl Renewal {
    /// Time until the first look, of a random number: one interval, after a delay of whole seconds below one interval. None if
    /// there is to be no look.
    #[must_use]
    pub fn first_look(&self, random: u64) -> Option<Duration> {
        if self.interval.is_zero() {
            return None;
        }
        let below = self.interval.as_secs().max(1);
        let delay = if self.jitter { random % below } else { 0 };
        Some(self.interval + Duration::from_secs(delay))
    }

    /// Whether a root is due at `now`: less than the given part of its life is left.
    #[must_use]
    pub fn is_due(&self, root: &Root, now: SystemTime) -> bool {
        let life = root.not_after().duration_since(root.not_before()).unwrap_or_default();
        let left = root.not_after().duration_since(now).unwrap_or_default();
        // In thousandths of a second, so that nothing is lost and nothing overflows.
        left.as_millis() * 100 < life.as_millis() * u128::from(self.grace_percent)
    }
}

impl Renewal {
    /// What is to be kept in the place of what is kept, if its root is due: a new certificate for the same key. A root that is
    /// being replaced by another is left alone.
    ///
    /// A certificate that cannot be read or has expired is renewed too, for the organisation `trust_domain` if it does not say
    /// of which it is: its key is what the mesh trusts.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key cannot be read or is not the certificate's: nothing can be renewed then.
    pub fn renewed(&self, kept: &Kept, trust_domain: &str, now: SystemTime) -> Result<Option<Kept>, Error> {
        if kept.replacement.is_some() {
            return Ok(None);
        }
        match Root::from_pem(&kept.cert_pem, &kept.key_pem, now) {
            Ok(root) if !self.is_due(&root, now) => return Ok(None),
            Err(Error::Refused { field: "private key", problem }) => {
                return Err(Error::refused("private key", problem));
            }
            Ok(_) | Err(_) => {}
        }
        let root = Root::renewed(&kept.cert_pem, &kept.key_pem, trust_domain, self.fresh.lifetime, now)?;
        // The key stays as it was written, RSA in its own form too.
        Ok(Some(Kept { cert_pem: root.cert_pem().to_owned(), ..kept.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::pem::parse_x509_pem;

    use super::*;
    use crate::Authority;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn root() -> Root {
        Root::generate("mesh.example", now()).unwrap()
    }

    fn renewed(root: &Root, now: SystemTime) -> Option<Kept> {
        Renewal::default().renewed(&Kept::of(root), "other", now).unwrap()
    }

    #[test]
    fn a_root_is_renewed_when_less_than_a_fifth_of_its_life_is_left() {
        let root = root();
        for (days, due) in
            [(0, false), (2900, false), (2919, false), (2921, true), (3649, true), (4000, true)]
        {
            assert_eq!(Renewal::default().is_due(&root, now() + DAY * days), due, "{days}");
        }
        let never = Renewal { grace_percent: 0, ..Renewal::default() };
        assert!(!never.is_due(&root, now() + DAY * 3649));
    }

    #[test]
    fn the_new_certificate_has_the_same_key_and_name_so_both_trust_each_other() {
        let old = root();
        let late = now() + DAY * 3000;
        let kept = renewed(&old, late).expect("it is due");
        let new = Root::from_pem(&kept.cert_pem, &kept.key_pem, late).unwrap();
        assert_ne!(new.cert_pem(), old.cert_pem());
        assert!(new.not_after() > late + DAY * 3649);
        let (old_block, new_block) = (
            parse_x509_pem(old.cert_pem().as_bytes()).unwrap().1,
            parse_x509_pem(new.cert_pem().as_bytes()).unwrap().1,
        );
        let (a, b) = (old_block.parse_x509().unwrap(), new_block.parse_x509().unwrap());
        assert_eq!(a.public_key().raw, b.public_key().raw);
        assert_eq!(a.subject().as_raw(), b.subject().as_raw(), "the organisation is kept");
        assert_ne!(a.raw_serial(), b.raw_serial());
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let issued = Authority::self_signed(new, None).unwrap().sign(&csr, &["x"], 0, late).unwrap();
        let (_, leaf) = parse_x509_pem(issued.chain[0].as_bytes()).unwrap();
        let leaf = leaf.parse_x509().unwrap();
        leaf.verify_signature(Some(a.public_key())).unwrap();
        assert_eq!(leaf.issuer().as_raw(), a.subject().as_raw());
    }

    #[test]
    fn a_root_that_is_not_due_or_is_being_replaced_stays() {
        let root = root();
        assert_eq!(renewed(&root, now()), None);
        let late = now() + DAY * 3000;
        let kept = Kept::of(&root).begin(Fresh::default(), late).unwrap();
        assert_eq!(Renewal::default().renewed(&kept, "other", late).unwrap(), None);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_made_anew_and_a_key_is_not() {
        let (root, renewal) = (root(), Renewal::default());
        let kept = Kept { cert_pem: "nonsense".to_owned(), ..Kept::of(&root) };
        let new = renewal.renewed(&kept, "mesh.example", now()).unwrap().expect("it cannot stay");
        assert_eq!(new.key_pem, kept.key_pem);
        for key_pem in ["nonsense".to_owned().into(), self::root().expose_key_pem()] {
            let kept = Kept { key_pem, ..Kept::of(&root) };
            let error = renewal.renewed(&kept, "t", now()).unwrap_err();
            assert!(error.to_string().starts_with("private key: "), "{error}");
        }
    }

    #[test]
    fn the_first_look_is_after_one_interval_and_a_delay_below_it() {
        let renewal = Renewal::default();
        assert_eq!(renewal.first_look(0), Some(Duration::from_secs(3600)));
        assert_eq!(renewal.first_look(3599), Some(Duration::from_secs(7199)));
        assert_eq!(renewal.first_look(3600), Some(Duration::from_secs(3600)));
        assert_eq!(Renewal { jitter: false, ..renewal }.first_look(17), Some(Duration::from_secs(3600)));
        assert_eq!(Renewal { interval: Duration::ZERO, ..renewal }.first_look(17), None);
    }
}
