//! Waiting for what is due next, of what is asked for again and again.

use tokio::time::{Instant, sleep_until};

/// Returns when this moment is there; never if there is none.
pub async fn until(moment: Option<Instant>) {
    match moment {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
