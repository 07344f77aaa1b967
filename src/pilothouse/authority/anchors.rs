//! What is trusted: what namespaces are told, and by which roots clients are known. Both come from several places.
//!
//! ```text
//! namespaces  the CA file of the served certificate, or else the root of who signs it; behind it the roots of signers
//! clients     all of them
//! workloads   the roots of the authority and of signers
//! ```
//!
//! Source: `shared/spec/security.md` 1.7, 1.8, 1.9.

mod signers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Result;
use futures::future::select_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::authority::root::{Settings, Trusted};
use crate::features::certificates::{Issuing, Provider};
pub(crate) use signers::Anchors;

/// What is trusted of the mesh's own, and by whom.
pub(crate) struct Anchored {
    /// What namespaces are told; none if nobody tells them.
    pub(crate) distributed: Option<Trusted>,
    /// By which roots clients are known.
    pub(crate) clients: Trusted,
    /// Under which roots workloads have their certificates.
    pub(crate) peers: Trusted,
    /// The root of the signer that signs the control plane's own certificate, if one does.
    pub(crate) own: Option<Trusted>,
}

impl Anchored {
    /// Of the authority's roots (`authority`), if there is one, the CA file of the served certificate (`file`), if that is in
    /// files, and the roots of the signers that sign in the authority's place.
    pub(crate) fn of(
        tasks: &mut JoinSet<Result<()>>,
        issuing: &Issuing,
        (authority, file): (Option<Trusted>, Option<Trusted>),
        signers: Option<&Anchors>,
        settings: &Settings,
    ) -> Self {
        let own = match &issuing.provider {
            Provider::Signer(signer) => Some(signers::named(tasks, settings, signer)),
            _ => None,
        };
        let signers = signers.map(|signers| signers.all(tasks));
        let clients = [&authority, &file, &own, &signers].into_iter().flatten().cloned().collect();
        let peers = [&authority, &signers].into_iter().flatten().cloned().collect();
        let base = file.or_else(|| own.clone()).or(authority);
        let told = base.into_iter().chain(signers).collect();
        Self {
            distributed: issuing.distributes().then(|| joined(tasks, told, all)),
            clients: joined(tasks, clients, some),
            peers: joined(tasks, peers, some),
            own,
        }
    }
}

/// What bundles are joined of those that are known: none if it is too early.
type Choice = fn(Vec<Option<Arc<str>>>) -> Option<Vec<Arc<str>>>;

/// All of them: whoever is told half of it would take the other half for false.
fn all(parts: Vec<Option<Arc<str>>>) -> Option<Vec<Arc<str>>> {
    parts.into_iter().collect()
}

/// Those that are known: one that is never to be had keeps nobody out who is known by another.
fn some(parts: Vec<Option<Arc<str>>>) -> Option<Vec<Arc<str>>> {
    Some(parts.into_iter().flatten().collect())
}

/// The first bundle as it is, and behind it what the others have besides; none if all are empty.
fn joined(tasks: &mut JoinSet<Result<()>>, mut parts: Vec<Trusted>, choice: Choice) -> Trusted {
    if let [_] = parts.as_slice() {
        return parts.remove(0);
    }
    let (sender, joined) = watch::channel(None);
    tasks.spawn(async move {
        loop {
            let now = parts.iter_mut().map(|part| part.borrow_and_update().clone()).collect();
            if let Some(bundles) = choice(now) {
                publish(&sender, &bundles);
            }
            let changes = parts.iter_mut().map(|part| {
                Box::pin(async {
                    if part.changed().await.is_err() {
                        // It stays what it is.
                        std::future::pending::<()>().await;
                    }
                })
            });
            let changes: Vec<_> = changes.collect();
            if changes.is_empty() {
                std::future::pending::<()>().await;
            }
            select_all(changes).await;
        }
    });
    joined
}

fn publish(sender: &watch::Sender<Option<Arc<str>>>, bundles: &[Arc<str>]) {
    let (first, others) = bundles.split_first().map_or(("", [].as_slice()), |(first, rest)| (&**first, rest));
    match ca::join_roots(first, others.iter().map(|bundle| &**bundle)) {
        Ok(all) => set(sender, (!all.is_empty()).then(|| all.into())),
        Err(error) => tracing::error!("{error}; what was trusted before goes on"),
    }
}

/// Puts a value there, if it is another.
fn set(sender: &watch::Sender<Option<Arc<str>>>, next: Option<Arc<str>>) {
    sender.send_if_modified(|known| {
        let differs = *known != next;
        if differs {
            *known = next;
        }
        differs
    });
}
