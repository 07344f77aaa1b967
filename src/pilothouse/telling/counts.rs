//! How far objects have come with the proxies of this replica, counted no more often than is cheap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::ObjectRef;
use debug::Spreads;
use tokio::sync::Mutex;
use xds::server::{Clients, EngineHandle, spread_now};

use crate::serving::translator::Translator;
use crate::telling::reports::has_status;

/// Time between two counts of proxies, at least.
const COUNT_AGAIN: Duration = Duration::from_secs(2);

/// The time for a count is at most this part of the time between two.
const SHARE: u32 = 50;

/// A count.
#[derive(Clone)]
pub(crate) struct Counted {
    /// How far objects have come: the same allocation for as long as nothing differs.
    pub(crate) spreads: Spreads,
    /// When it was counted.
    pub(crate) at: Instant,
    /// Until when it is good enough.
    until: Instant,
}

/// The counts, for whoever asks. Clones are the same.
#[derive(Clone)]
pub(crate) struct Counts {
    engine: EngineHandle<Translator>,
    clients: Clients,
    last: Arc<Mutex<Option<Counted>>>,
}

impl Counts {
    /// Of what `engine` has for the proxies among `clients`.
    pub(crate) fn new(engine: EngineHandle<Translator>, clients: Clients) -> Self {
        Self { engine, clients, last: Arc::default() }
    }

    /// How far objects that have a status have come; counted anew only if the last count is too old. None if nothing is
    /// served yet.
    pub(crate) async fn now(&self) -> Option<Counted> {
        let counts = self.clone();
        // Whoever asks may stop waiting: what is counted is then the answer to the next.
        tokio::spawn(async move { counts.current().await }).await.ok()?
    }

    async fn current(&self) -> Option<Counted> {
        let mut last = self.last.lock().await;
        let at = Instant::now();
        if let Some(last) = last.as_ref().filter(|last| at < last.until) {
            return Some(last.clone());
        }
        let counts = |source: &ObjectRef| has_status(source.key.kind);
        let now = spread_now(&self.engine, &self.clients, counts).await?;
        let same = last.take().map(|last| last.spreads).filter(|spreads| **spreads == now);
        let spreads = same.unwrap_or_else(|| Arc::new(now));
        let until = Instant::now() + COUNT_AGAIN.max(at.elapsed() * SHARE);
        Some(last.insert(Counted { spreads, at, until }).clone())
    }
}
