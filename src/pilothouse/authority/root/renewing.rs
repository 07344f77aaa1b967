//! The self-signed root, looked at where it is kept: renewed long before it ends, taken over from the replica that did, and
//! taken through its replacement.
//!
//! Source: `shared/spec/security.md` 1.3.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use ca::Kept;
use sources::due::until;
use sources::kube::Following;
use tokio::time::{Instant, sleep};

use super::store::Store;
use super::{Keeping, Publisher};

/// Time until the next try to renew after one that failed, if that is less than the interval.
const RETRY: Duration = Duration::from_secs(30);
/// Time between two looks at a folder, and at a Secret, of which changes are told besides.
const LOOK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Follows what is kept while `kept` signs, and publishes what becomes of it. Ends with an error only.
pub(super) async fn follow(store: &Store, mut kept: Kept, publisher: &Publisher) -> Result<()> {
    let random = RandomState::new().build_hasher().finish();
    let renewal = store.renewal();
    let mut due = renewal.first_look(random).map(|wait| Instant::now() + wait);
    let mut changes = Changes::of(store.keeping());
    let mut troubled = false;
    loop {
        let renewing = tokio::select! {
            () = until(due) => true,
            () = changes.next() => false,
        };
        let looked = if renewing { renew(store).await } else { store.read().await };
        if renewing {
            let pause = if looked.is_ok() { renewal.interval } else { renewal.interval.min(RETRY) };
            due = Some(Instant::now() + pause);
        }
        let taken = looked.and_then(|next| take(&mut kept, next, publisher));
        if let Err(error) = &taken
            && !troubled
        {
            tracing::error!(
                "the root certificate was not looked at: {error:#}; what was there before goes on signing"
            );
        }
        troubled = taken.is_err();
    }
}

async fn renew(store: &Store) -> Result<Kept> {
    let (renewal, domain) = (store.renewal(), store.trust_domain());
    store.change(move |kept| renewal.renewed(kept, &domain, SystemTime::now())).await
}

/// Publishes what differs.
fn take(kept: &mut Kept, next: Kept, publisher: &Publisher) -> Result<()> {
    if *kept == next {
        return Ok(());
    }
    publisher.keep(&next)?;
    let stage = next.replacement.as_ref().map(|replacement| replacement.stage().name());
    match (stage, &kept.replacement) {
        (Some(stage), _) => tracing::info!(stage, "the mesh's root is being replaced"),
        (None, Some(_)) => tracing::info!("the replacement of the mesh's root is over"),
        (None, None) => tracing::info!("the mesh has another root certificate"),
    }
    *kept = next;
    Ok(())
}

/// Tells when somebody may have changed what is kept.
struct Changes {
    pause: Option<Duration>,
    told: Option<Following<()>>,
}

impl Changes {
    fn of(keeping: &Keeping) -> Self {
        match keeping {
            Keeping::Folder(_) => Self { pause: Some(LOOK[0]), told: None },
            Keeping::Secret(secret) => Self { pause: Some(LOOK[1]), told: Some(secret.follow()) },
            // Nobody else gets at it.
            Keeping::Memory => Self { pause: None, told: None },
        }
    }

    async fn next(&mut self) {
        let pause = async {
            match self.pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            let Some(following) = &mut self.told else { return std::future::pending().await };
            if following.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = pause => {}
            () = told => {}
        }
    }
}
