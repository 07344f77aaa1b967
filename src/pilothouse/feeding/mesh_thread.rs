//! The owner of the tables: takes batches of objects, makes meshes at the pace that `store` sets, hands them on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::mesh::{WantedKeys, jwks};
use model::{Changes, Mesh};
use sources::event::Batch;
use sources::feed::Listener;
use sources::jwks::Keyring;
use sources::kube::ConfigMaps;
use sources::resolve::{self, Wanted};
use store::{Limits, Next, Pacing, Pending, Tables};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::feeding::intake::Intake;
use crate::feeding::remote;
use crate::telling::reports::Reports;

/// Everything that the thread needs.
pub(crate) struct MeshThread<F> {
    /// The tables.
    pub(crate) tables: Tables,
    /// How bursts are collected.
    pub(crate) limits: Limits,
    /// Where batches come from; the thread ends when their senders are gone.
    pub(crate) batches: Receiver<Batch>,
    /// From how many sources the first complete batch must come.
    pub(crate) awaited: usize,
    /// What is wrong with the objects, for `/debug` and the log.
    pub(crate) reports: Arc<Reports>,
    /// Those who look at objects of the home cluster beside the mesh.
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    /// Takes the host names whose addresses the mesh asks for; they come back in batches.
    pub(crate) wanted: watch::Sender<Wanted>,
    /// Fetches keys for the first mesh; those of later meshes come in batches.
    pub(crate) keyring: Keyring,
    /// Takes the keys that the mesh asks for.
    pub(crate) wanted_keys: watch::Sender<WantedKeys>,
    /// Takes the names of the ConfigMaps that the mesh asks for.
    pub(crate) wanted_config_maps: watch::Sender<ConfigMaps>,
    /// Counts what comes in.
    pub(crate) intake: Intake,
    /// Takes each mesh, what changed, and how long ago the first of it came.
    pub(crate) publish: F,
}

impl<F: FnMut(Arc<Mesh>, Changes, Duration)> MeshThread<F> {
    /// Runs until there are no more batches.
    #[allow(clippy::disallowed_methods, reason = "pacing takes time as a value; this is where it is read")]
    pub(crate) async fn run(mut self) {
        let start = Instant::now();
        let mut pacing = Pacing::new(self.limits);
        let mut complete = false;
        let mut awaited = self.awaited;
        loop {
            let now = start.elapsed();
            // Nothing is published before the first complete look: half a mesh is worse than none.
            let due = pacing.deadline(now).filter(|_| complete);
            match due {
                Some((at, what)) if at <= now => {
                    self.make(what, pacing.taken(what, now));
                    continue;
                }
                _ => {}
            }
            let wait = due.map_or(Duration::MAX, |(at, _)| at.saturating_sub(now));
            let mut batch = match timeout(wait, self.batches.recv()).await {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(_) => continue,
            };
            remote::say_what_is_gone(&mut batch, &self.tables);
            self.reports.take(&batch, |object| self.tables.counts(object));
            if batch.cluster.is_none() {
                self.listeners.iter().for_each(|listener| listener.take(&batch.events));
            }
            for event in &batch.events {
                let object = event.object.as_deref();
                let pending = match &batch.cluster {
                    None => self.tables.apply(&event.key, object),
                    Some(cluster) => self.tables.apply_in(cluster, &event.key, object),
                };
                self.intake.take(batch.cluster.as_ref(), &event.key, object.is_some(), pending.is_some());
                pacing.applied(pending, start.elapsed());
            }
            for (host, addresses) in &batch.resolved {
                pacing.applied(self.tables.resolve(host, addresses), start.elapsed());
            }
            for (source, keys) in &batch.keys {
                pacing.applied(self.tables.take_keys(source, keys.as_ref()), start.elapsed());
            }
            if let Some(trusted) = batch.trusted.take() {
                pacing.applied(self.tables.trust(trusted), start.elapsed());
            }
            for (account, access) in &batch.accounts {
                pacing.applied(self.tables.admit(account, *access), start.elapsed());
            }
            awaited -= usize::from(batch.complete && batch.cluster.is_none()).min(awaited);
            if awaited == 0 && !complete {
                complete = true;
                self.listeners.iter().for_each(|listener| listener.complete());
                let Next { mesh, changes } = self.first_mesh().await;
                self.reports.problems(self.tables.problems(), self.tables.discovered());
                let age = pacing.taken(Pending::Configuration, start.elapsed());
                self.hand_on(mesh, changes, age);
            }
        }
    }

    /// The first mesh, with the host names that it asks for resolved and the keys fetched: proxies that come back must not
    /// be sent past the gateways of networks, or refuse tokens, until an answer comes.
    async fn first_mesh(&mut self) -> Next {
        let mut first = self.tables.next_mesh();
        let (names, keys) = (wanted(&first.mesh), jwks::wanted(&first.mesh));
        let (addresses, keys) = tokio::join!(resolve::look(names), self.keyring.look(&keys));
        for (source, keys) in keys {
            self.tables.take_keys(&source, keys.as_ref());
        }
        for (host, addresses) in addresses {
            self.tables.resolve(&host, &addresses);
        }
        let Next { mesh, changes } = self.tables.next_mesh();
        first.changes.merge(changes);
        Next { mesh, changes: first.changes }
    }

    fn make(&mut self, what: Pending, age: Duration) {
        let next = match what {
            Pending::Configuration => self.tables.next_mesh(),
            Pending::Endpoints => self.tables.next_endpoints(),
        };
        if what == Pending::Configuration {
            self.reports.problems(self.tables.problems(), self.tables.discovered());
        }
        if !next.changes.is_empty() {
            self.hand_on(next.mesh, next.changes, age);
        }
    }

    fn hand_on(&mut self, mesh: Arc<Mesh>, changes: Changes, age: Duration) {
        tell(&self.wanted, wanted(&mesh));
        tell(&self.wanted_keys, jwks::wanted(&mesh));
        if changes.configuration {
            tell(&self.wanted_config_maps, model::analyze::config_maps(&mesh));
        }
        self.intake.pushed(age);
        (self.publish)(mesh, changes, age);
    }
}

/// Tells what is wanted now, if it is something else than before.
fn tell<T: PartialEq>(wanted: &watch::Sender<T>, now: T) {
    wanted.send_if_modified(|known| {
        let differs = *known != now;
        *known = now;
        differs
    });
}

/// The host names whose addresses a mesh asks for.
fn wanted(mesh: &Mesh) -> Wanted {
    let resolves = mesh.settings.features.resolve_hostname_gateways;
    mesh.network_gateways.hosts().filter(|_| resolves).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prometheus::Registry;
    use serde_json::json;
    use sources::event::Event;
    use sources::jwks::{self, Fetcher};
    use store::Options;
    use tokio::sync::mpsc::channel;

    use super::*;

    /// How many meshes are published when two sources are awaited and these batches came.
    async fn published(read: Vec<Batch>, reports: &Arc<Reports>) -> usize {
        let (sender, batches) = channel(4);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let thread = MeshThread {
            tables: Tables::new(Options::default()),
            limits: Limits::default(),
            batches,
            awaited: 2,
            reports: Arc::clone(reports),
            listeners: Vec::new(),
            wanted: watch::channel(Wanted::new()).0,
            keyring: Keyring::new(Fetcher::new(jwks::Options::default()).expect("TLS"), Duration::MAX),
            wanted_keys: watch::channel(WantedKeys::new()).0,
            wanted_config_maps: watch::channel(ConfigMaps::new()).0,
            intake: Intake::register(&Registry::new()).expect("metrics"),
            publish: move |_, _, _| {
                counted.fetch_add(1, Ordering::Relaxed);
            },
        };
        for batch in read {
            sender.send(batch).await.expect("a receiver");
        }
        drop(sender);
        thread.run().await;
        count.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn nothing_is_published_before_every_source_has_been_read() {
        let complete = || Batch { complete: true, ..Batch::default() };
        let reports = Arc::default();
        let one = published(vec![complete()], &reports).await;
        assert_eq!((one, published(vec![complete(), complete()], &reports).await), (0, 1));
    }

    #[tokio::test]
    async fn nothing_is_told_of_objects_of_another_revision() {
        let of = |name: &str, revision: &str| {
            let object = api::decode(json!({
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": name, "namespace": "shop", "labels": {"istio.io/rev": revision}},
            }));
            let object = object.expect("an object").object;
            Event { key: object.key(), object: Some(Arc::new(object)) }
        };
        let events = vec![of("theirs", "canary"), of("ours", "default")];
        let reports = Arc::default();
        published(vec![Batch { events, ..Batch::default() }], &reports).await;
        let lines = reports.lines().join("\n");
        assert!(lines.contains("shop/ours") && !lines.contains("shop/theirs"), "{lines}");
    }
}
