//! How far the mesh is with its roots, for operators and for other replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;
use ca::{Confirmed, Stage};
use debug::{ReplacedRoot, RootPage, RootSpread, TrustedRoot};
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::sync::watch;
use xds::server::Clients;

use super::Roots;
use super::holders::{Holders, Now, key};

/// What is known of a replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replacing {
    /// How far it is; none if none is under way.
    pub(super) stage: Option<Stage>,
    /// What it waits for, as the replica has it that moves it.
    pub(super) waiting: Option<String>,
    /// Which proxies have confirmed, on that replica.
    pub(super) confirmed: Option<Confirmed>,
    /// Whether the authority is one that operators plug in: they are its mover.
    pub(super) plugged: bool,
    /// What is to be told of a signing certificate that was plugged in too early.
    pub(super) early: Option<String>,
}

/// All of it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    pub(super) roots: Roots,
    pub(super) holders: Holders,
    pub(super) clients: Clients,
    pub(super) replacing: Arc<watch::Sender<Replacing>>,
    metrics: Metrics,
}

#[derive(Clone)]
struct Metrics {
    stage: IntGaugeVec,
    proxies: IntGaugeVec,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self> {
        let stage = Opts::new(
            "pilothouse_root_replacement_stage",
            "1 for the stage in which the replacement of the root is; 0 for all if none is under way.",
        );
        let proxies = Opts::new(
            "pilothouse_root_replacement_proxies",
            "Proxies by whether they have confirmed that they trust both roots; on the replica that moves the replacement.",
        );
        let this = Self {
            stage: IntGaugeVec::new(stage, &["stage"])?,
            proxies: IntGaugeVec::new(proxies, &["state"])?,
        };
        registry.register(Box::new(this.stage.clone()))?;
        registry.register(Box::new(this.proxies.clone()))?;
        Ok(this)
    }

    fn show(&self, replacing: &Replacing) {
        for stage in ["distributing", "signing"] {
            let is = replacing.stage.is_some_and(|known| known.name() == stage);
            self.stage.with_label_values(&[stage]).set(i64::from(is));
        }
        let Confirmed { asked, have } = replacing.confirmed.unwrap_or_default();
        for (state, count) in [("confirmed", have), ("waiting", asked.saturating_sub(have))] {
            self.proxies.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Progress {
    /// Of these roots and the proxies that are connected here.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn new(
        roots: Roots,
        (holders, clients): (Holders, Clients),
        registry: &Registry,
    ) -> Result<Self> {
        let metrics = Metrics::register(registry)?;
        metrics.show(&Replacing::default());
        let replacing = Arc::new(watch::Sender::new(Replacing::default()));
        Ok(Self { roots, holders, clients, replacing, metrics })
    }

    /// Tells how far the replacement is.
    pub(super) fn tell(&self, replacing: Replacing) {
        self.metrics.show(&replacing);
        self.replacing.send_if_modified(|known| {
            let differs = *known != replacing;
            if differs {
                *known = replacing;
            }
            differs
        });
    }

    /// The proxies that are connected here, by what replicas know them by, and how many there are of each.
    fn proxies(&self) -> BTreeMap<String, usize> {
        let mut nodes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for client in self.clients.list() {
            let peer = client.peer();
            let identity = peer.identities.first().map(String::as_str).unwrap_or_default();
            let key = key(identity, peer.address.map(|address| address.ip()));
            nodes.entry(key).or_default().insert(client.node().id.clone());
        }
        nodes.into_iter().map(|(key, nodes)| (key, nodes.len())).collect()
    }

    /// The page.
    pub(crate) fn page(&self) -> RootPage {
        let Now { bundle, given, heard } = self.holders.now();
        let replacing = self.replacing.borrow().clone();
        let authority = self.roots.borrow().clone();
        let standings = authority.as_ref().map(|authority| authority.standings()).unwrap_or_default();
        let certificate = |standing: &ca::Standing| TrustedRoot {
            name: standing.name.clone(),
            trusted: standing.is_root,
            not_after: seconds(standing.not_after),
        };
        RootPage {
            bundle,
            certificates: standings.iter().map(certificate).collect(),
            others: Vec::new(),
            namesakes: Vec::new(),
            spread: replacing.plugged.then(|| RootSpread {
                proxies: replacing.confirmed.map(|confirmed| confirmed.asked),
                confirmed: replacing.confirmed.map(|confirmed| confirmed.have),
                unknown: replacing.waiting.clone(),
                early: replacing.early,
            }),
            replacement: replacing.stage.map(|stage| ReplacedRoot {
                stage: stage.name().to_owned(),
                since: seconds(stage.since()),
                waiting: replacing.waiting,
                proxies: replacing.confirmed.map(|confirmed| confirmed.asked),
                confirmed: replacing.confirmed.map(|confirmed| confirmed.have),
            }),
            proxies: self.proxies(),
            holders: given,
            heard,
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What the pages of all replicas say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// What names the roots that are trusted.
    pub(super) bundle: String,
    /// The proxies that are connected.
    pub(super) asked: BTreeMap<String, usize>,
    /// Who was given the roots, and how often: by those that tell, or as it was heard of those that have ended.
    pub(super) given: BTreeMap<String, usize>,
}

impl Tally {
    /// Of these pages.
    ///
    /// # Errors
    /// They do not all trust the same roots.
    pub(super) fn of(pages: &[RootPage]) -> Result<Self, String> {
        let bundle = pages.first().map(|page| page.bundle.clone()).unwrap_or_default();
        if pages.iter().any(|page| page.bundle != bundle) {
            return Err("not all replicas trust the same roots yet".to_owned());
        }
        let mut all = Self { bundle, ..Self::default() };
        for page in pages {
            for (sum, part) in [(&mut all.asked, &page.proxies), (&mut all.given, &page.holders)] {
                for (key, count) in part {
                    *sum.entry(key.clone()).or_default() += count;
                }
            }
        }
        for (key, count) in pages.iter().flat_map(|page| &page.heard) {
            let most = all.given.entry(key.clone()).or_default();
            *most = (*most).max(*count);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_trust_other_roots_confirm_nothing() {
        let page = |bundle: &str| RootPage { bundle: bundle.to_owned(), ..RootPage::default() };
        assert!(Tally::of(&[page("x"), page("y")]).is_err());
        assert_eq!(Tally::of(&[]), Ok(Tally::default()));
    }
}
