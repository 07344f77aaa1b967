//! Which namespaces are to have the ConfigMap, what they have, and whose turn it is. Pure: time is a value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use api::ObjectKey;
use api::mesh_config::LabelSelector;
use xxhash_rust::xxh3::xxh3_128;

use super::Held;
use crate::discovered::{Discovered, Namespace};
use crate::queue::{Queue, Urgency};
use crate::write::WriteError;

/// Namespaces of Kubernetes that have no workloads of the mesh; kube-system may have some.
const WITHOUT: [&str; 3] = ["kube-public", "kube-node-lease", "local-path-storage"];

/// What is to be done for a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Todo {
    /// The root that its ConfigMap is to hold.
    pub(super) root: Arc<str>,
    /// Whether it has one that holds another, or none.
    pub(super) there: bool,
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Plan {
    discovered: Discovered,
    /// The ConfigMaps that are there, with the digest of the root that each holds; none before they have been listed.
    maps: Option<BTreeMap<Arc<str>, Option<u128>>>,
    root: Option<(Arc<str>, u128)>,
    queue: Queue<Arc<str>>,
    /// Whether the namespaces of the start have been told.
    started: bool,
}

impl Plan {
    pub(super) fn new() -> Self {
        Self {
            discovered: Discovered::default(),
            maps: None,
            root: None,
            queue: Queue::new(),
            started: false,
        }
    }

    /// Namespaces that came, changed or went.
    pub(super) fn namespaces(&mut self, news: Vec<(ObjectKey, Option<Namespace>)>) {
        // Whoever makes a namespace now is about to run something in it; those of the start have waited for longer.
        let urgency = if self.started { Urgency::Now } else { Urgency::Backlog };
        self.started = true;
        self.discovered.take(&news);
        for (key, _) in news {
            self.queue.add(&key.name, urgency);
        }
    }

    /// All ConfigMaps of the name.
    pub(super) fn listed(&mut self, maps: Vec<Held>) {
        self.maps = Some(maps.into_iter().collect());
        self.look_at_all();
    }

    /// A namespace's ConfigMap is another, or gone.
    pub(super) fn map(&mut self, namespace: Arc<str>, held: Option<Option<u128>>) {
        self.queue.add(&namespace, Urgency::Now);
        let Some(maps) = &mut self.maps else { return };
        match held {
            Some(digest) => maps.insert(namespace, digest),
            None => maps.remove(&namespace),
        };
    }

    /// The mesh counts the namespaces that any of these selects, or all if there are none.
    pub(super) fn select(&mut self, selectors: Option<Vec<LabelSelector>>) {
        if self.discovered.select(selectors) {
            self.look_at_all();
        }
    }

    /// The root is another.
    pub(super) fn trust(&mut self, root: Option<Arc<str>>) {
        self.root = root.map(|root| (Arc::clone(&root), xxh3_128(root.as_bytes())));
        self.look_at_all();
    }

    fn look_at_all(&mut self) {
        for namespace in self.discovered.names() {
            self.queue.add(namespace, Urgency::Backlog);
        }
    }

    /// The next namespace for which something is to be done.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Arc<str>, Todo)> {
        loop {
            let namespace = self.queue.next(now)?;
            match self.todo(&namespace) {
                Some(todo) => return Some((namespace, todo)),
                None => self.queue.done(&namespace),
            }
        }
    }

    /// When there is something to do again, if that is only a matter of time.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.due()
    }

    fn todo(&self, name: &Arc<str>) -> Option<Todo> {
        let (root, digest) = self.root.as_ref()?;
        let there = self.maps.as_ref()?.get(name);
        let counts = self.discovered.alive(name) && self.discovered.counts(name);
        if !counts || WITHOUT.contains(&&**name) || there == Some(&Some(*digest)) {
            return None;
        }
        Some(Todo { root: Arc::clone(root), there: there.is_some() })
    }

    /// What became of a write; if it was done, the digest of what is held now.
    pub(super) fn written(&mut self, namespace: &Arc<str>, done: Result<u128, WriteError>, now: Instant) {
        match (done, &mut self.maps) {
            (Ok(digest), Some(maps)) => {
                maps.insert(Arc::clone(namespace), Some(digest));
                self.queue.done(namespace);
            }
            // The namespace is gone or about to be: that is yet to be told.
            (Err(WriteError::Gone), _) => self.queue.done(namespace),
            // There is another than the one that was seen.
            (Err(WriteError::Exists | WriteError::Conflict), Some(maps)) => {
                maps.insert(Arc::clone(namespace), None);
                self.queue.failed(namespace, now);
            }
            _ => self.queue.failed(namespace, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::Kind;

    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    fn news(namespaces: &[(&str, &str)]) -> Vec<(ObjectKey, Option<Namespace>)> {
        let one = |(name, team): &(&str, &str)| {
            let key = ObjectKey { kind: Kind::Namespace, namespace: "".into(), name: (*name).into() };
            let labels = [("team".to_owned(), (*team).to_owned())].into();
            (key, Some(Namespace { labels, deletion: *team == "deleted" }))
        };
        namespaces.iter().map(one).collect()
    }

    fn next(plan: &mut Plan) -> Vec<String> {
        let sign = |todo: &Todo| if todo.there { "~" } else { "+" };
        std::iter::from_fn(|| plan.next(Instant::now()))
            .map(|(n, todo)| format!("{}{n}", sign(&todo)))
            .collect()
    }

    fn digest(root: &str) -> Option<u128> {
        Some(xxh3_128(root.as_bytes()))
    }

    /// A plan that knows everything.
    fn plan(namespaces: &[(&str, &str)], maps: &[(&str, &str)]) -> Plan {
        let mut plan = Plan::new();
        plan.select(Some(Vec::new()));
        plan.trust(Some("root".into()));
        plan.listed(maps.iter().map(|(namespace, root)| (name(namespace), digest(root))).collect());
        plan.namespaces(news(namespaces));
        plan
    }

    #[test]
    fn what_is_missing_or_differs_is_written_and_nothing_else() {
        let all = [
            ("bank", "a"),
            ("gone", "deleted"),
            ("kube-node-lease", ""),
            ("kube-public", ""),
            ("kube-system", ""),
            ("local-path-storage", ""),
            ("mine", "a"),
            ("shop", "a"),
        ];
        let mut plan = plan(&all, &[("mine", "root"), ("shop", "other"), ("nowhere", "other")]);
        assert_eq!(next(&mut plan), ["+bank", "+kube-system", "~shop"]);
    }

    #[test]
    fn nothing_is_written_before_all_is_known() {
        let mut plan = Plan::new();
        plan.namespaces(news(&[("bank", "a")]));
        assert_eq!(next(&mut plan), [""; 0]);
        plan.trust(Some("root".into()));
        plan.select(Some(Vec::new()));
        assert_eq!(next(&mut plan), [""; 0], "the ConfigMaps are not listed yet");
        plan.listed(Vec::new());
        assert_eq!(next(&mut plan), ["+bank"]);
    }

    #[test]
    fn a_new_namespace_does_not_wait_for_those_of_the_start() {
        let mut plan = plan(&[("a", "x"), ("b", "x")], &[]);
        plan.namespaces(news(&[("new", "x")]));
        assert_eq!(next(&mut plan), ["+new", "+a", "+b"]);
    }

    #[test]
    fn only_namespaces_that_the_mesh_counts_are_written_to() {
        let mut plan = plan(&[("bank", "a"), ("shop", "b")], &[]);
        let selector = LabelSelector {
            match_labels: [("team".to_owned(), "b".to_owned())].into(),
            ..LabelSelector::default()
        };
        plan.select(Some(vec![selector]));
        assert_eq!(next(&mut plan), ["+shop"]);
        plan.written(&name("shop"), Ok(xxh3_128(b"root")), Instant::now());
        plan.namespaces(news(&[("bank", "b")]));
        assert_eq!(next(&mut plan), ["+bank"]);
    }

    #[test]
    fn what_others_change_or_delete_is_restored_and_another_root_goes_everywhere() {
        let mut plan = plan(&[("bank", "a"), ("shop", "b")], &[("bank", "root"), ("shop", "root")]);
        assert_eq!(next(&mut plan), [""; 0]);
        plan.map(name("shop"), Some(digest("evil")));
        plan.map(name("bank"), None);
        assert_eq!(next(&mut plan), ["~shop", "+bank"]);
        for namespace in ["bank", "shop"] {
            plan.written(&name(namespace), Ok(xxh3_128(b"root")), Instant::now());
            // What the watch tells of the own write.
            plan.map(name(namespace), Some(digest("root")));
        }
        assert_eq!(next(&mut plan), [""; 0]);
        plan.trust(Some("renewed".into()));
        assert_eq!(next(&mut plan), ["~bank", "~shop"]);
    }

    #[test]
    fn what_fails_comes_again_and_one_that_is_there_after_all_is_looked_at() {
        let mut plan = plan(&[("bank", "a"), ("gone", "a"), ("shop", "b")], &[]);
        assert_eq!(next(&mut plan).len(), 3);
        let now = Instant::now();
        plan.written(&name("bank"), Err(WriteError::Failed(String::new())), now);
        plan.written(&name("gone"), Err(WriteError::Gone), now);
        plan.written(&name("shop"), Err(WriteError::Exists), now);
        assert_eq!(plan.next(now), None);
        let due = plan.due().expect("a time");
        assert!(due > now && due < now + Duration::from_secs(2));
        let mut again: Vec<_> =
            std::iter::from_fn(|| plan.next(due)).map(|(n, todo)| (n.to_string(), todo.there)).collect();
        again.sort();
        assert_eq!(again, [("bank".to_owned(), false), ("shop".to_owned(), true)]);
    }
}
