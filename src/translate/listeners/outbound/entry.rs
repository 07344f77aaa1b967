//! What several services want of one address and port, and who gets it.
//!
//! Services come oldest first, so the oldest wins wherever two want the same connections.
//! Source: `shared/spec/xds.md` 4.3, "Conflict resolution".

use std::collections::HashMap;
use std::sync::Arc;

use model::protocol::{Class, Protocol};

use super::bind::Bind;
use super::chain::Chain;

/// The listener of one bind and port while services are collected.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it binds.
    pub(super) bind: Bind,
    /// Its port.
    pub(super) port: u16,
    /// Whether it really binds.
    pub(super) bound: bool,
    /// Its chains.
    pub(super) chains: Vec<Chain>,
    /// The protocol that it has so far; `Auto` once it tells protocols apart.
    protocol: Protocol,
    /// An egress listener with a port of its own has claimed it.
    locked: bool,
}

/// What one service wants.
#[derive(Debug)]
pub(super) struct Wish {
    /// Where.
    pub(super) bind: Bind,
    /// On which port.
    pub(super) port: u16,
    /// Whether it really binds.
    pub(super) bound: bool,
    /// The protocol of the port.
    pub(super) protocol: Protocol,
}

/// The listeners so far, in the order in which they were first wanted.
#[derive(Debug, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    index: HashMap<(Arc<str>, u16), usize>,
}

/// How a wish meets what is there.
enum Meeting {
    /// Nothing is there.
    New,
    /// The wish is not fulfilled.
    Dropped,
    /// It takes the place of what is there.
    Replaces,
    /// TCP chains join, unless they match the same.
    Join,
    /// HTTP chains join TCP ones, or the other way round.
    Mix,
}

impl Entries {
    /// Locks what there is: listeners that come later cannot add to it.
    pub(super) fn lock(&mut self) {
        for entry in &mut self.list {
            entry.locked = true;
        }
    }

    /// The listeners.
    pub(super) fn into_vec(self) -> Vec<Entry> {
        self.list
    }

    /// Enters a wish; `chains` is asked for its chains only if they are needed. `on_any` says that it binds the
    /// unspecified address.
    pub(super) fn enter(&mut self, wish: Wish, on_any: bool, chains: impl FnOnce() -> Vec<Chain>) {
        let key = (Arc::clone(&wish.bind.address), wish.port);
        let at = self.index.get(&key).copied();
        let there = at.and_then(|at| self.list.get_mut(at));
        let meeting = there.as_deref().map_or(Meeting::New, |entry| entry.meets(wish.protocol));
        if matches!(meeting, Meeting::Dropped) {
            return;
        }
        let chains = chains();
        if chains.is_empty() {
            return;
        }
        // On the unspecified address HTTP is told from the rest, which passes: so it is open to TCP as well.
        let http = wish.protocol.class() == Class::Http;
        let open = http && on_any && wish.protocol != Protocol::HttpProxy;
        let protocol = if open { Protocol::Auto } else { wish.protocol };
        match (there, meeting) {
            (Some(entry), Meeting::Replaces) => (entry.chains, entry.protocol) = (chains, protocol),
            (Some(entry), Meeting::Join) => entry.join(chains, wish.protocol),
            (Some(entry), Meeting::Mix) => entry.mix(chains),
            (Some(_), _) => {}
            (None, _) => {
                self.index.insert(key, self.list.len());
                let Wish { bind, port, bound, .. } = wish;
                self.list.push(Entry { bind, port, bound, chains, protocol, locked: false });
            }
        }
    }
}

impl Entry {
    fn meets(&self, incoming: Protocol) -> Meeting {
        if self.locked {
            return Meeting::Dropped;
        }
        if incoming == Protocol::HttpProxy {
            return Meeting::Replaces;
        }
        if excludes(self.protocol, incoming) {
            return Meeting::Dropped;
        }
        match (incoming.class(), self.protocol.class()) {
            (Class::Http, Class::Tcp) | (Class::Tcp, Class::Http) => Meeting::Mix,
            (Class::Auto, Class::Http) => Meeting::Replaces,
            (Class::Tcp | Class::Auto, Class::Tcp | Class::Auto) => Meeting::Join,
            (Class::Http, _) | (Class::None, _) | (_, Class::None) => Meeting::Dropped,
        }
    }

    /// Adds chains; of several that take everything the first counts. A sniffing listener has its HTTP chain already.
    fn join(&mut self, incoming: Vec<Chain>, protocol: Protocol) {
        if protocol == Protocol::Auto {
            self.protocol = Protocol::Auto;
        }
        for chain in incoming {
            if !self.chains.iter().any(|there| there.same_match(&chain)) {
                self.chains.push(chain);
            }
        }
    }

    /// TCP chains first, then HTTP ones, which from now on take only what is found to be HTTP.
    fn mix(&mut self, incoming: Vec<Chain>) {
        self.chains.extend(incoming);
        for chain in &mut self.chains {
            if let Chain::Http(http) = chain {
                http.sniffed = true;
            }
        }
        self.chains.sort_by_key(|chain| matches!(chain, Chain::Http(_)));
        self.protocol = Protocol::Auto;
    }
}

/// Whether the two cannot be told apart: in MongoDB and MySQL the server may speak first.
fn excludes(there: Protocol, incoming: Protocol) -> bool {
    let first = |p: Protocol| matches!(p, Protocol::Mongo | Protocol::MySql);
    there != incoming && (first(there) || first(incoming))
}
