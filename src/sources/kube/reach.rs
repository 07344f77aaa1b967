//! Whether the API server can be reached: one probe for all watches, so that a server that comes back is found at once
//! by one request and not by a storm.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use http::Request;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::health::Health;

/// The first probe comes so soon after a failure.
const SOON: Duration = Duration::from_millis(100);

/// The longest time between two probes: a server that is back is found within it.
const AGAIN: Duration = Duration::from_secs(1);

/// A probe that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where watches wait for the server. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Reach(watch::Sender<bool>);

impl Reach {
    /// A server that is taken to be there.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(true))
    }

    /// Returns when the server answers probes, after one that was lost has been found again.
    pub(crate) async fn regained(&self) {
        self.0.send_if_modified(std::mem::take);
        let mut there = self.0.subscribe();
        // The sender is in self.
        let _ = there.wait_for(|there| *there).await;
    }

    /// Probes whenever the server was lost, until it answers. Runs for ever.
    pub(crate) async fn probe(self, client: Client, health: Health) {
        let mut there = self.0.subscribe();
        loop {
            let _ = there.wait_for(|there| !*there).await;
            let mut pause = SOON;
            loop {
                sleep(jittered(pause)).await;
                match answers(&client).await {
                    Ok(()) => break,
                    Err(error) => health.lost(&error),
                }
                pause = AGAIN.min(pause * 2);
            }
            health.found();
            self.0.send_replace(true);
        }
    }
}

/// Whether the server is up and ready, or at least there and not willing to tell this client.
///
/// # Errors
/// Why not.
pub async fn answers(client: &Client) -> Result<(), String> {
    let request = Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
    match timeout(PATIENCE, client.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if (400..500).contains(&status.code) => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

/// An error with its causes, and the standard that TLS is held to if it may be one.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    crate::tls::told(text)
}

/// A random time between half of `pause` and the whole of it.
pub fn jittered(pause: Duration) -> Duration {
    // Each state has keys of its own, which the system's random numbers seed.
    let random = RandomState::new().build_hasher().finish();
    let half = pause / 2;
    half + half.mul_f64((random % 1024) as f64 / 1024.0)
}
