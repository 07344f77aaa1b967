//! The workload's own certificate: a new key each time, issued by the control plane, renewed long before it ends.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use ca::SpiffeId;
use tracing::{error, info, warn};

use super::issuer::{Issued, Issuer, read};
use super::store::Store;
use crate::Clock;

/// Pause after the first failure.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// The longest pause after one.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How much of a certificate's life is left when it is renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grace {
    /// The share of its life, from 0 to 1 (`SECRET_GRACE_PERIOD_RATIO`).
    pub ratio: f64,
    /// By how much of its life that differs from one certificate to the next, up or down, so that workloads that started at
    /// once do not all come back at once (`SECRET_GRACE_PERIOD_RATIO_JITTER`).
    pub jitter: f64,
}

impl Default for Grace {
    /// As the reference has it: at half of it, give or take a hundredth.
    fn default() -> Self {
        Self { ratio: 0.5, jitter: 0.01 }
    }
}

impl Grace {
    /// How long after its issue a certificate of `life` is renewed, for a random number.
    fn renewal(self, life: Duration, random: u64) -> Duration {
        // -1 to 1.
        let way = (random % 2001) as f64 / 1000.0 - 1.0;
        let left = (self.ratio + way * self.jitter).clamp(0.0, 1.0);
        life.mul_f64(1.0 - left)
    }
}

/// Whose certificate, of whom, for how long.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) issuer: Issuer,
    pub(super) identity: SpiffeId,
    pub(super) lifetime: Duration,
    pub(super) grace: Grace,
    /// How often the file of roots is looked at.
    pub(super) poll: Duration,
}

/// What is served now.
#[derive(Debug, Default)]
struct Held {
    /// The end of the certificate; none before the first.
    not_after: Option<SystemTime>,
    /// The roots that came with it.
    roots: Option<String>,
    /// Those of them by which the control plane is verified.
    own: Option<String>,
    /// The file of roots when it was last looked at.
    file: String,
}

impl Workload {
    /// Gets the first certificate and renews it for ever: by its age, and when other roots are given.
    pub(super) async fn keep(self, store: &Store, clock: &dyn Clock) {
        let (mut held, mut at, mut retry) = (Held::default(), clock.now(), FIRST_RETRY);
        loop {
            tokio::select! {
                () = clock.sleep_until(at) => {}
                file = self.other_roots(&held.file), if held.not_after.is_some() => {
                    info!(file = %self.issuer.roots.display(), "other roots are given: the certificate is renewed");
                    held.file = file;
                }
            }
            if let Ok(file) = read(&self.issuer.roots).await {
                held.file = file;
            }
            let issued = self.issuer.issue(&self.identity, self.lifetime, held.own.as_deref()).await;
            let now = clock.now();
            at = now
                + match issued {
                    Ok(issued) => {
                        retry = FIRST_RETRY;
                        self.take(issued, &mut held, store, now)
                    }
                    Err(error) => {
                        self.tell(&error, &held, now);
                        let pause = pause(retry, &held, now, random());
                        retry = (retry * 2).min(LAST_RETRY);
                        pause
                    }
                };
        }
    }

    /// Serves what was issued. Out: how long it will do.
    fn take(&self, issued: Issued, held: &mut Held, store: &Store, now: SystemTime) -> Duration {
        let life = issued.not_after.duration_since(now).unwrap_or_default();
        let renewal = self.grace.renewal(life, random()).max(FIRST_RETRY);
        info!(
            identity = %self.identity, seconds = life.as_secs(), renewed_after = renewal.as_secs(),
            "the control plane has issued a certificate"
        );
        if held.roots.as_ref().is_some_and(|roots| *roots != issued.roots) {
            info!("the mesh has other roots");
        }
        held.not_after = Some(issued.not_after);
        (held.roots, held.own) = (Some(issued.roots), Some(issued.own));
        store.put(issued.secrets);
        renewal
    }

    fn tell(&self, error: &str, held: &Held, now: SystemTime) {
        let identity = &self.identity;
        match held.not_after.map(|end| end.duration_since(now).unwrap_or_default().as_secs()) {
            None => warn!(%identity, error, "no certificate yet; it is asked for again"),
            Some(0) => error!(%identity, error, "the certificate has ended and cannot be renewed"),
            Some(left) => {
                warn!(%identity, error, seconds_left = left, "cannot renew the certificate; the last one stays");
            }
        }
    }

    /// Ends when the file of roots has other content than `known`, and that can be read.
    async fn other_roots(&self, known: &str) -> String {
        loop {
            tokio::time::sleep(self.poll).await;
            if let Ok(file) = read(&self.issuer.roots).await
                && file != known
            {
                return file;
            }
        }
    }
}

/// How long to wait after a failure: up to `retry`, never so long that the certificate ends meanwhile.
fn pause(retry: Duration, held: &Held, now: SystemTime, random: u64) -> Duration {
    // 0.5 to 1, so that a mesh that lost its control plane does not come back in step.
    let spread = retry.mul_f64(0.5 + (random % 1001) as f64 / 2000.0);
    let left = held.not_after.map(|end| end.duration_since(now).unwrap_or_default());
    match left.filter(|left| !left.is_zero()) {
        Some(left) => spread.min((left / 8).max(FIRST_RETRY / 2)),
        None => spread,
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn renewal_is_at_half_of_life_and_differs() {
        let at = |random| Grace::default().renewal(HOUR, random);
        let all: std::collections::BTreeSet<Duration> = (0..2001).map(at).collect();
        assert!(all.len() > 1000);
        assert!(all.iter().all(|&d| d >= HOUR * 49 / 100 && d <= HOUR * 51 / 100), "{all:?}");
        let late = Grace { ratio: 0.2, jitter: 0.0 };
        assert_eq!(late.renewal(HOUR, 7).as_secs(), 2880);
        assert_eq!(Grace { ratio: 3.0, jitter: 0.0 }.renewal(HOUR, 7), Duration::ZERO);
    }

    #[test]
    fn pauses_end_before_the_certificate_does() {
        let now = SystemTime::UNIX_EPOCH + HOUR;
        let held = |left: u64| Held { not_after: Some(now + Duration::from_secs(left)), ..Held::default() };
        let retry = Duration::from_secs(16);
        for random in [0, 500, 1000] {
            let free = pause(retry, &Held::default(), now, random);
            assert!(free >= retry / 2 && free <= retry, "{free:?}");
            assert_eq!(pause(retry, &held(3600), now, random), free);
            assert_eq!(pause(retry, &held(8), now, random), Duration::from_secs(1));
            assert_eq!(
                pause(retry, &held(0), now, random),
                free,
                "what has ended is no hurry for the control plane"
            );
        }
    }
}
