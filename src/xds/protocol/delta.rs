//! What a `DeltaDiscoveryRequest` does to a watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::message::DeltaRequest;
use super::order::Step;
use super::stream::{Context, Stream};
use super::subscription::{Subscription, WILDCARD};
use super::watch::{Owed, Watch};
use crate::kind::ResourceType;
use crate::set::Set;
use crate::version::Version;

/// Stands for a version that this server cannot have made: it differs from all that it makes.
const FOREIGN: Version = Version(0);

/// Takes a request for a type.
pub(super) fn request(
    stream: &mut Stream,
    kind: ResourceType,
    mut request: DeltaRequest,
    now: Duration,
    context: &impl Context,
) {
    let all = take_wildcard(&mut request.subscribe);
    let none = take_wildcard(&mut request.unsubscribe);
    let (nonce, error) = (std::mem::take(&mut request.nonce), request.error.take());
    if stream.watched(kind).is_none() {
        return first(stream, kind, all, request, now, context);
    }
    if !nonce.is_empty() || error.is_some() {
        stream.reply(kind, &nonce, error, now);
    }
    // Subscriptions count whatever the nonce is: in this variant it only says which response is answered.
    change(stream, kind, (all, none), request, now);
}

/// Takes `*` out of a list; says whether it was there.
fn take_wildcard(names: &mut Vec<String>) -> bool {
    let before = names.len();
    names.retain(|name| name != WILDCARD);
    names.len() < before
}

/// The first request of a type on a stream.
fn first(
    stream: &mut Stream,
    kind: ResourceType,
    all: bool,
    request: DeltaRequest,
    now: Duration,
    context: &impl Context,
) {
    let wildcard = all || kind.is_wildcard() && request.subscribe.is_empty();
    let mut names = stream.names(kind, request.subscribe);
    names.retain(|name| !request.unsubscribe.iter().any(|gone| **gone == **name));
    let subscription = Subscription::new(wildcard, names, &stream.table);
    let set = Arc::clone(stream.sets.get(kind));
    let epoch = stream.epoch;
    let mut watch = Watch {
        resumed: !request.held.is_empty(),
        answer_due: wildcard || !subscription.names().is_empty() && request.held.is_empty(),
        subscription,
        ..Watch::default()
    };
    // It is behind since before this stream: all changes wait for it.
    let behind = |step, held| Owed {
        step,
        held: Some(held),
        old: None,
        forced: false,
        first: 0,
        latest: epoch,
        since: now,
    };
    if wildcard && watch.resumed {
        resume(&mut watch, &set, &request.held, &behind);
    }
    if wildcard {
        for name in context.doubtful(kind).into_iter().filter(|name| !request.held.contains_key(&**name)) {
            // It may hold any form of it. A removal of what is not there does no harm.
            let step = if set.get(&name).is_some() { Step::Change } else { Step::Removal };
            watch.owed.insert(name, behind(step, FOREIGN));
        }
    }
    let asked = watch.subscription.names().iter().filter_map(|name| {
        let held = version(&request.held, name);
        let lately = || kind == ResourceType::Endpoints && context.changed_lately(name);
        let (step, wanted) = match set.get(name) {
            Some(resource) => (Step::Change, Some(set.version(resource))),
            None => {
                let absent = context.absent(kind, name);
                (Step::Removal, absent.map(|absent| absent.version(set.slots())))
            }
        };
        let owed = match held {
            Some(held) if lately() => Owed::asked(step, Some(held), epoch, now),
            Some(held) if wanted == Some(held) => return None,
            // The client uses what it holds; the newer form goes in the order of a change.
            Some(held) => behind(step, held),
            None => Owed::asked(step, None, epoch, now),
        };
        Some((Arc::clone(name), owed))
    });
    // The names are in order, so that the map is made in one go.
    let mut asked = asked.collect();
    watch.owed.append(&mut asked);
    if !wildcard || watch.resumed {
        watch.base = Some(set);
    }
    stream.set_watch(kind, Some(watch));
}

/// Compares what a client brings to a wildcard subscription with what it is to have.
fn resume(
    watch: &mut Watch,
    set: &Set,
    held: &BTreeMap<String, String>,
    behind: &impl Fn(Step, Version) -> Owed,
) {
    for resource in set {
        match held.get(&**resource.name()) {
            Some(text) if text.parse() == Ok(set.version(resource)) => {}
            Some(text) => {
                let owed = behind(Step::Change, text.parse().unwrap_or(FOREIGN));
                watch.owed.insert(Arc::clone(resource.name()), owed);
            }
            None => {
                let owed = Owed { held: None, ..behind(Step::Change, FOREIGN) };
                watch.owed.insert(Arc::clone(resource.name()), owed);
            }
        }
    }
    for (name, text) in held {
        if set.get(name).is_none() {
            let owed = behind(Step::Removal, text.parse().unwrap_or(FOREIGN));
            watch.owed.insert(Arc::from(name.as_str()), owed);
        }
    }
}

fn version(held: &BTreeMap<String, String>, name: &str) -> Option<Version> {
    held.get(name)?.parse().ok()
}

/// A later request: names come and go.
fn change(
    stream: &mut Stream,
    kind: ResourceType,
    (all, none): (bool, bool),
    request: DeltaRequest,
    now: Duration,
) {
    let asked = stream.names(kind, request.subscribe);
    let dropped = stream.names(kind, request.unsubscribe);
    let (table, set) = (Arc::clone(&stream.table), Arc::clone(stream.sets.get(kind)));
    let at = (stream.epoch, now);
    let Some(watch) = stream.watch(kind) else { return };
    watch.subscription.change(&asked, &dropped, &table);
    if none && !all {
        watch.subscription.set_wildcard(false);
        watch.base.get_or_insert_with(|| Arc::clone(&set));
    }
    if all {
        // Whoever asks for everything gets everything, also a client that had it before.
        watch.subscription.set_wildcard(true);
        (watch.base, watch.answer_due) = (None, true);
        watch.owed.clear();
    }
    watch.forget_unwanted();
    for name in &asked {
        watch.owe_answer(name, None, &set, at);
    }
    for name in dropped.iter().filter(|name| asked.binary_search(name).is_err()) {
        if watch.subscription.is_wildcard() && watch.base.is_some() {
            // Still wanted, as a part of everything: the client has forgotten it and must be told what it is now.
            watch.owe_answer(name, None, &set, at);
        }
    }
}
