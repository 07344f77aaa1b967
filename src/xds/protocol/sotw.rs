//! What a `DiscoveryRequest` (state of the world) does to a watch.

use std::sync::Arc;
use std::time::Duration;

use super::ledger::Reply;
use super::message::SotwRequest;
use super::stream::{Event, Stream};
use super::subscription::{Subscription, WILDCARD};
use super::watch::Watch;
use crate::kind::ResourceType;

/// Takes a request for a type.
pub(super) fn request(stream: &mut Stream, kind: ResourceType, mut request: SotwRequest, now: Duration) {
    let nonce = std::mem::take(&mut request.nonce);
    let error = request.error.take();
    let begins = nonce.is_empty() || stream.watched(kind).is_none();
    if !begins {
        let number = stream.number(&nonce);
        if error.is_none() && stream.watched(kind).is_some_and(|watch| watch.ledger.is_answered(number)) {
            repeat(stream, kind, &request.names, now);
        }
        if error.is_none() && !stream.watched(kind).is_some_and(|watch| watch.ledger.is_latest(number)) {
            // The client will answer the later response too, and say then what it wants.
            stream.events.push(Event::ExpiredNonce(kind));
            return;
        }
        if stream.reply(kind, &nonce, error, now) == Some(Reply::Nack) {
            return;
        }
    }
    if request.names.is_empty() && !kind.is_wildcard() {
        stream.set_watch(kind, None);
    } else if begins {
        first(stream, kind, request, now);
    } else {
        change(stream, kind, request.names, now);
    }
}

/// Whether these names ask for everything, and the names without the one that says so.
fn wildcard(kind: ResourceType, names: &mut Vec<String>) -> bool {
    let before = names.len();
    names.retain(|name| name != WILDCARD);
    names.len() < before || names.is_empty() && kind.is_wildcard()
}

/// The first request of a type on a stream, or one that starts over.
fn first(stream: &mut Stream, kind: ResourceType, mut request: SotwRequest, now: Duration) {
    let wildcard = wildcard(kind, &mut request.names);
    let names = stream.names(kind, request.names);
    let set = Arc::clone(stream.sets.get(kind));
    let mut watch = Watch {
        subscription: Subscription::new(wildcard, names, &stream.table),
        answer_due: true,
        resumed: !request.version.is_empty(),
        ..Watch::default()
    };
    // A whole type is sent whatever version the client names: that is the one that it accepted last, and it may hold the
    // good part of one that it refused since (spec/stock-envoy.md 3.6).
    if !kind.is_wildcard() {
        for name in watch.subscription.names().to_vec() {
            watch.owe_answer(&name, None, &set, (stream.epoch, now));
        }
        watch.base = Some(set);
    }
    stream.set_watch(kind, Some(watch));
}

/// A request on a running watch: an acknowledgement, with the names that are wanted now.
fn change(stream: &mut Stream, kind: ResourceType, mut names: Vec<String>, now: Duration) {
    let everything = wildcard(kind, &mut names);
    let names = stream.names(kind, names);
    let (table, set) = (Arc::clone(&stream.table), Arc::clone(stream.sets.get(kind)));
    let at = (stream.epoch, now);
    let Some(watch) = stream.watch(kind) else { return };
    let widened = everything && !watch.subscription.is_wildcard();
    watch.subscription.set_wildcard(everything);
    let added = watch.subscription.replace(names, &table);
    watch.forget_unwanted();
    if kind.is_wildcard() {
        watch.answer_due |= widened || !added.is_empty();
        return;
    }
    for name in &added {
        watch.owe_answer(name, None, &set, at);
    }
}

/// A request that answers nothing. With the names that were wanted before, one of them went and came back before anything
/// could be said of it, and the client has forgotten its resource: Envoy writes a request for each change, with the names
/// of the moment in which it can be written. Assignments follow their clusters anyway.
fn repeat(stream: &mut Stream, kind: ResourceType, names: &[String], now: Duration) {
    if kind.is_wildcard() || kind == ResourceType::Endpoints {
        return;
    }
    let names = stream.names(kind, names.to_vec());
    let (set, at) = (Arc::clone(stream.sets.get(kind)), (stream.epoch, now));
    let Some(watch) = stream.watch(kind) else { return };
    if names == watch.subscription.names() {
        names.iter().for_each(|name| watch.owe_answer(name, None, &set, at));
    }
}
