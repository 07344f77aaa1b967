//! The addresses of host names that the mesh asks for, such as those of gateways of other networks.
//!
//! The system's resolver is asked again and again: it tells no time to live, so what it says is taken for half a
//! minute, the least that the reference waits. Names that cannot be resolved keep the addresses that they had.
//! Source: Istio `pilot/pkg/model/network.go` (`networkGatewayNameCache`).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::due::until;
use crate::event::Batch;

/// How long addresses are taken for those of a name.
const REFRESH: Duration = Duration::from_secs(30);

/// After a look that failed the next one comes earlier, later with each failure.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names that are asked for.
pub type Wanted = BTreeSet<Arc<str>>;

/// What is known of a name.
#[derive(Debug)]
struct Known {
    addresses: Vec<IpAddr>,
    /// When it is asked for again.
    again: Instant,
    /// How long was waited after the last failure; none if the last look succeeded.
    failing: Option<Duration>,
}

/// Follows the addresses of `wanted` names with the system's resolver; a batch for each change. Ends when nobody takes
/// batches, or no more names can be wanted.
pub async fn follow(wanted: watch::Receiver<Wanted>, batches: mpsc::Sender<Batch>) {
    follow_with(wanted, batches, system).await;
}

/// The addresses that the system's resolver has for a name, sorted and each once.
async fn system(host: Arc<str>) -> io::Result<Vec<IpAddr>> {
    let found = timeout(PATIENCE, tokio::net::lookup_host((&*host, 0))).await;
    let found = found.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(addresses.into_iter().collect())
}

/// The addresses of names as they are now; those that cannot be resolved are left out.
pub async fn look(names: Wanted) -> Vec<(Arc<str>, Vec<IpAddr>)> {
    let found = join_all(names.iter().map(|name| system(Arc::clone(name)))).await;
    names.into_iter().zip(found).filter_map(|(name, answer)| Some((name, answer.ok()?))).collect()
}

async fn follow_with<F>(
    mut wanted: watch::Receiver<Wanted>,
    batches: mpsc::Sender<Batch>,
    lookup: impl Fn(Arc<str>) -> F,
) where
    F: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let mut known: BTreeMap<Arc<str>, Known> = BTreeMap::new();
    loop {
        let names = wanted.borrow_and_update().clone();
        let mut resolved = forget(&mut known, &names);
        let now = Instant::now();
        let due: Vec<Arc<str>> =
            names.into_iter().filter(|name| known.get(name).is_none_or(|k| k.again <= now)).collect();
        let found = join_all(due.iter().map(|name| lookup(Arc::clone(name)))).await;
        for (name, answer) in due.into_iter().zip(found) {
            resolved.extend(learn(&mut known, name, answer));
        }
        if !resolved.is_empty() && batches.send(Batch { resolved, ..Batch::default() }).await.is_err() {
            return;
        }
        let next = known.values().map(|k| k.again).min();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = until(next) => {}
            () = batches.closed() => return,
        }
    }
}

/// Takes out what nobody wants any more.
fn forget(known: &mut BTreeMap<Arc<str>, Known>, names: &Wanted) -> Vec<(Arc<str>, Vec<IpAddr>)> {
    let gone: Vec<Arc<str>> = known.keys().filter(|name| !names.contains(*name)).cloned().collect();
    let had = |name: &Arc<str>| known.remove(name).is_some_and(|k| !k.addresses.is_empty());
    let gone: Vec<_> = gone.into_iter().filter(had).collect();
    gone.into_iter().map(|name| (name, Vec::new())).collect()
}

/// Takes an answer; the name and its addresses if they are others than before.
fn learn(
    known: &mut BTreeMap<Arc<str>, Known>,
    name: Arc<str>,
    answer: io::Result<Vec<IpAddr>>,
) -> Option<(Arc<str>, Vec<IpAddr>)> {
    let fresh = || Known { addresses: Vec::new(), again: Instant::now(), failing: None };
    let entry = known.entry(Arc::clone(&name)).or_insert_with(fresh);
    match answer {
        Ok(addresses) => {
            if entry.failing.take().is_some() {
                tracing::info!(host = %name, ?addresses, "host name can be resolved again");
            }
            entry.again = Instant::now() + REFRESH;
            if entry.addresses == addresses {
                return None;
            }
            entry.addresses.clone_from(&addresses);
            Some((name, addresses))
        }
        Err(error) => {
            let wait = entry.failing.map_or(FIRST_RETRY, |last| Duration::min(last * 2, REFRESH));
            if entry.failing.replace(wait).is_none() {
                let kept = &entry.addresses;
                tracing::warn!(host = %name, %error, ?kept, "host name of a gateway cannot be resolved");
            }
            entry.again = Instant::now() + wait;
            None
        }
    }
}
