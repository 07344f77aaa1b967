//! Which resources of one type a stream wants: everything, or a list of names that equal streams share.

use std::sync::Arc;

use crate::set::{NameTable, Names};

/// The name that stands for all resources of a type.
pub(super) const WILDCARD: &str = "*";

/// What one stream wants of one type.
#[derive(Clone, Default)]
pub(super) struct Subscription {
    wildcard: bool,
    names: Option<Arc<Names>>,
}

impl Subscription {
    /// A subscription to these names, and to everything if `wildcard`.
    pub(super) fn new(wildcard: bool, names: Vec<Arc<str>>, table: &NameTable) -> Self {
        Self { wildcard, names: share(names, table) }
    }

    /// Whether everything is wanted.
    pub(super) const fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Says whether everything is wanted.
    pub(super) const fn set_wildcard(&mut self, wildcard: bool) {
        self.wildcard = wildcard;
    }

    /// The names that are wanted expressly, in order.
    pub(super) fn names(&self) -> &[Arc<str>] {
        self.names.as_deref().map_or(&[], Names::list)
    }

    /// Whether this name is wanted expressly.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.as_deref().is_some_and(|names| names.position(name).is_some())
    }

    /// Whether a resource of this name is wanted.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.contains(name)
    }

    /// Adds and removes names; a name in both lists stays.
    pub(super) fn change(&mut self, add: &[Arc<str>], remove: &[Arc<str>], table: &NameTable) {
        let goes = |name: &&Arc<str>| self.contains(name) && add.binary_search(name).is_err();
        // Every acknowledgement comes here: a long list is not written anew for one that changes nothing.
        if add.iter().all(|name| self.contains(name)) && !remove.iter().any(|name| goes(&name)) {
            return;
        }
        let stays = |name: &Arc<str>| remove.binary_search(name).is_err();
        let mut names: Vec<_> = self.names().iter().filter(|name| stays(name)).chain(add).cloned().collect();
        names.sort_unstable();
        names.dedup();
        if names != self.names() {
            self.names = share(names, table);
        }
    }

    /// Takes `names` for all that is wanted; returns those that are new.
    pub(super) fn replace(&mut self, names: Vec<Arc<str>>, table: &NameTable) -> Vec<Arc<str>> {
        let added = names.iter().filter(|name| !self.contains(name)).cloned().collect();
        if names != self.names() {
            self.names = share(names, table);
        }
        added
    }
}

fn share(names: Vec<Arc<str>>, table: &NameTable) -> Option<Arc<Names>> {
    (!names.is_empty()).then(|| table.share(names))
}

#[cfg(test)]
mod tests;
