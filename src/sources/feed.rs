//! What the sources' objects say to those who look at them beside the mesh: the present state, and each change of it.
//!
//! A feed keeps of each object what its readers need and no more. Whoever reads late is told everything; who reads
//! slowly is told the last of several changes. Neither ever holds up the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::decode::AnyObject;
use api::{Kind, ObjectKey};
use tokio::sync::Notify;

use crate::event::Event;

#[cfg(test)]
mod tests;

/// Takes what sources say.
pub trait Listener: Send + Sync {
    /// Objects that came, changed or went.
    fn take(&self, events: &[Event]);
    /// Every source has told all that it has.
    fn complete(&self);
}

/// Makes of an object what readers need; none if they do not care for it.
type Project<T> = Box<dyn Fn(&AnyObject) -> Option<T> + Send + Sync>;

/// The objects of some kinds, as their readers need them. Clones are the same.
pub struct Feed<T>(Arc<Shared<T>>);

struct Shared<T> {
    kinds: Vec<Kind>,
    project: Project<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    complete: bool,
    objects: BTreeMap<ObjectKey, T>,
    readers: BTreeMap<u64, Unread>,
    last: u64,
}

/// What a reader has not been told.
struct Unread {
    keys: BTreeSet<ObjectKey>,
    /// Whether it knows that it was told everything.
    complete: bool,
    wake: Arc<Notify>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("kinds", &self.0.kinds).finish_non_exhaustive()
    }
}

impl<T: Clone + PartialEq + Send> Feed<T> {
    /// Of these kinds, each object as `project` makes it. An object of which `project` makes the same as before is no
    /// change.
    pub fn new(kinds: &[Kind], project: impl Fn(&AnyObject) -> Option<T> + Send + Sync + 'static) -> Self {
        let state = State { complete: false, objects: BTreeMap::new(), readers: BTreeMap::new(), last: 0 };
        Self(Arc::new(Shared { kinds: kinds.to_vec(), project: Box::new(project), state: Mutex::new(state) }))
    }

    /// A reader that has been told nothing.
    pub fn read(&self) -> Reader<T> {
        let mut state = self.lock();
        state.last += 1;
        let (number, wake) = (state.last, Arc::new(Notify::new()));
        let keys = state.objects.keys().cloned().collect();
        state.readers.insert(number, Unread { keys, complete: false, wake: Arc::clone(&wake) });
        drop(state);
        Reader { feed: self.clone(), number, wake }
    }
}

impl<T> Feed<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + PartialEq + Send> Listener for Feed<T> {
    fn take(&self, events: &[Event]) {
        let mut state = self.lock();
        for event in events.iter().filter(|event| self.0.kinds.contains(&event.key.kind)) {
            let now = event.object.as_deref().and_then(|object| (self.0.project)(object));
            if state.objects.get(&event.key) == now.as_ref() {
                continue;
            }
            match now {
                Some(now) => state.objects.insert(event.key.clone(), now),
                None => state.objects.remove(&event.key),
            };
            for unread in state.readers.values_mut() {
                unread.keys.insert(event.key.clone());
            }
        }
        state.wake();
    }

    fn complete(&self) {
        let mut state = self.lock();
        state.complete = true;
        state.wake();
    }
}

impl<T> State<T> {
    fn wake(&self) {
        let waiting = self.readers.values().filter(|unread| self.has_news(unread));
        waiting.for_each(|unread| unread.wake.notify_one());
    }

    /// Nothing is told before every source has told all: a controller must not take what is yet to come for absent.
    fn has_news(&self, unread: &Unread) -> bool {
        self.complete && !(unread.complete && unread.keys.is_empty())
    }
}

/// Reads a feed.
#[derive(Debug)]
pub struct Reader<T> {
    feed: Feed<T>,
    number: u64,
    wake: Arc<Notify>,
}

impl<T: Clone + PartialEq + Send> Reader<T> {
    /// What differs from what was told before: objects as they are now, or none for those that are gone. The first
    /// answer has all of them and may be empty; it comes when every source has told all that it has.
    ///
    /// May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Vec<(ObjectKey, Option<T>)> {
        loop {
            if let Some(news) = self.news() {
                return news;
            }
            self.wake.notified().await;
        }
    }

    fn news(&self) -> Option<Vec<(ObjectKey, Option<T>)>> {
        let mut state = self.feed.lock();
        if !state.has_news(state.readers.get(&self.number)?) {
            return None;
        }
        let unread = state.readers.get_mut(&self.number)?;
        unread.complete = true;
        let keys = std::mem::take(&mut unread.keys);
        Some(
            keys.into_iter()
                .map(|key| (state.objects.get(&key).cloned(), key))
                .map(|(o, k)| (k, o))
                .collect(),
        )
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.feed.lock().readers.remove(&self.number);
    }
}
