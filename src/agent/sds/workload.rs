//! The workload's own certificate: a new key each time, signed by the development root, renewed at half its life.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ca::{PrivateKey, Request, Root, SpiffeId, state};
use tracing::{error, info};

use super::store::{Entry, Store};
use crate::Clock;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Whose certificate, signed by whom, for how long.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) state: PathBuf,
    pub(super) identity: SpiffeId,
    pub(super) lifetime: Duration,
}

/// A fresh certificate: the secrets by name, and when the next is due.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) secrets: Vec<(String, Entry)>,
    pub(super) due: Due,
}

/// When a certificate is renewed and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    renew_at: SystemTime,
    not_after: SystemTime,
}

impl Workload {
    /// The first certificate; makes the root if the state folder has none.
    pub(super) fn start(&self, now: SystemTime) -> Result<Issued, ca::Error> {
        let root = state::load_or_create(&self.state, self.identity.trust_domain(), now)?;
        self.issue(&root, now)
    }

    /// A later one. The root is read again: it may have been replaced.
    fn again(&self, now: SystemTime) -> Result<Issued, ca::Error> {
        self.issue(&state::load(&self.state, now)?, now)
    }

    fn issue(&self, root: &Root, now: SystemTime) -> Result<Issued, ca::Error> {
        let key = PrivateKey::generate()?;
        let request = Request {
            public_key: key.public_key()?,
            identity: self.identity.clone(),
            lifetime: self.lifetime,
        };
        let signed = root.sign(&request, now)?;
        let life = signed.not_after.duration_since(now).unwrap_or_default();
        let chain = signed.chain_pem.into_bytes();
        let certificate = Entry::certificate("default", chain, key.expose_pem().into_bytes());
        let roots = Entry::trusted_ca("ROOTCA", root.cert_pem().as_bytes().to_vec());
        Ok(Issued {
            secrets: vec![("default".to_owned(), certificate), ("ROOTCA".to_owned(), roots)],
            due: Due { renew_at: now + renewal(&self.identity, life), not_after: signed.not_after },
        })
    }

    /// Renews for ever, first when `due`.
    pub(super) async fn renew(self, store: &Store, clock: Arc<dyn Clock>, due: Due) {
        let (mut at, mut not_after, mut retry) = (due.renew_at, due.not_after, FIRST_RETRY);
        loop {
            clock.sleep_until(at).await;
            let now = clock.now();
            let task = tokio::task::spawn_blocking({
                let workload = self.clone();
                move || workload.again(now)
            });
            let result = match task.await {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match result {
                Ok(issued) => {
                    info!(identity = %self.identity, "certificate renewed");
                    (at, not_after, retry) = (issued.due.renew_at, issued.due.not_after, FIRST_RETRY);
                    store.put(issued.secrets);
                }
                Err(error) => {
                    let left = not_after.duration_since(now).unwrap_or_default().as_secs();
                    error!(
                        identity = %self.identity, error, seconds_left = left,
                        "cannot renew the certificate; the last one stays until it expires"
                    );
                    at = now + retry;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }
}

/// How long after its issue a certificate of `life` is renewed: at half of it, up to a hundredth earlier or later,
/// by identity, so that the workloads of a mesh that started at once do not all come back at once.
fn renewal(identity: &SpiffeId, life: Duration) -> Duration {
    let hash = xxhash_rust::xxh3::xxh3_64(identity.to_string().as_bytes());
    // 4900 to 5100 ten-thousandths.
    let share = u32::try_from(4900 + hash % 201).unwrap_or(5000);
    life / 10_000 * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_at_half_of_life_and_differs_by_identity() {
        let life = Duration::from_secs(24 * 3600);
        let at = |sa: &str| renewal(&SpiffeId::new("t", "n", sa).unwrap(), life);
        let all: std::collections::BTreeSet<Duration> = (0..50).map(|i| at(&format!("sa-{i}"))).collect();
        assert!(all.len() > 20);
        assert!(all.iter().all(|&d| d >= life * 49 / 100 && d <= life * 51 / 100));
        assert_eq!(at("web"), at("web"));
    }
}
