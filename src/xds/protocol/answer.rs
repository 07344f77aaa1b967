//! The next response of a type: what is owed and may go now.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::{Content, Epoch, Sent, earlier};
use super::message::{Response, Variant};
use super::order::{self, Rule, Step};
use super::stream::{Context, Event, Stream};
use super::watch::Owed;
use crate::encoded::Encoded;
use crate::kind::ResourceType;
use crate::set::Set;
use crate::slot::Slots;
use crate::version::Version;

/// The response of this type that may go out now, if any.
pub(super) fn next(
    stream: &mut Stream,
    kind: ResourceType,
    now: Duration,
    context: &impl Context,
) -> Option<Response> {
    let whole = stream.variant == Variant::Sotw && kind.is_wildcard();
    let first = stream.watched(kind)?.base.is_none();
    let due = if first { everything(stream, kind) } else { due(stream, kind, now, whole)? };
    let set = Arc::clone(stream.sets.get(kind));
    let mut parts = Parts::default();
    if first || whole {
        parts.resources = all(stream, kind, &set, &due);
    }
    gather(stream, kind, &due, &set, whole || first, &mut parts, context);
    let watch = stream.watch(kind)?;
    watch.base = Some(Arc::clone(&set));
    // Of a whole type, nothing says that there is nothing.
    let silent = !whole && parts.resources.is_empty() && parts.removed.is_empty() && !due.forced;
    // Of secrets an empty answer would say that there are none (spec/security.md, trap 18).
    let none = kind == ResourceType::Secret && parts.resources.is_empty();
    let asked = std::mem::take(&mut watch.answer_due);
    if none || (silent && !asked) {
        return None;
    }
    if kind == ResourceType::Cluster {
        stream.follow(&parts.changed, now);
    }
    stream.events.extend(due.expired.iter().map(|step| Event::WaitExpired(kind, *step)));
    Some(respond(stream, kind, parts, &set, due.content, now))
}

/// The version of a response of the state of the world: a hash over the names and versions in it.
fn version(resources: &[Arc<Encoded>], slots: &Slots) -> Version {
    let hashes = resources.iter().flat_map(|resource| {
        let name = xxhash_rust::xxh3::xxh3_128(resource.name().as_bytes());
        [name, resource.version(slots).0]
    });
    Version::of_hashes(hashes)
}

/// What of the owed names goes into this response.
#[derive(Default)]
struct Due {
    names: Vec<Arc<str>>,
    content: Content,
    /// Steps that go because their limit is reached.
    expired: BTreeSet<Step>,
    /// Whether the client asked for one of them.
    forced: bool,
}

/// What a response is made of.
#[derive(Default)]
struct Parts {
    resources: Vec<Arc<Encoded>>,
    removed: Vec<Arc<str>>,
    /// Those of the resources that the client does not hold in this form.
    changed: Vec<Arc<Encoded>>,
}

/// Whether something may go.
enum Verdict {
    Go,
    /// It may, for it has waited long enough.
    Expired,
    /// Not before this time, unless what it waits for comes.
    Wait(Duration),
}

/// What one step of a type waits for at the moment.
struct Gate {
    rule: Option<&'static Rule>,
    /// The earliest change whose parts that go first are not done.
    blocked_from: Option<Epoch>,
    /// When the last answer to those parts came.
    answered_at: Option<Duration>,
    /// Whether the client may serve with something that an early answer could break: it has answered, or came back.
    serves: bool,
}

impl Gate {
    fn new(stream: &Stream, kind: ResourceType, step: Step) -> Self {
        let rule = order::rule(kind, step);
        let after = rule.map_or(&[][..], |rule| rule.after);
        let watches = || {
            let watched = |&(kind, part)| stream.watched(kind).map(|watch| (watch, part));
            after.iter().filter_map(watched)
        };
        let mut blocked_from = watches().filter_map(|(watch, part)| watch.pending(part)).min();
        // A client that comes back with clusters has listeners and routes that it has not spoken of yet.
        let resumed = stream.watched(kind).is_some_and(|watch| watch.resumed);
        if resumed && (kind, step) == (ResourceType::Cluster, Step::Removal) {
            let silent = |kind| stream.watched(kind).is_none();
            if silent(ResourceType::Listener) || silent(ResourceType::Route) {
                blocked_from = Some(0);
            }
        }
        let answered_at = watches().filter_map(|(watch, _)| watch.ledger.answered_at()).max();
        let mut all = ResourceType::ALL.into_iter().filter_map(|kind| stream.watched(kind));
        let serves = answered_at.is_some() || all.any(|watch| watch.resumed);
        Self { rule, blocked_from, answered_at, serves }
    }

    fn verdict(&self, owed: &Owed, stream: &Stream, now: Duration) -> Verdict {
        let Some(rule) = self.rule else { return Verdict::Go };
        if owed.forced && !(rule.asked_waits && self.serves) {
            return Verdict::Go;
        }
        let end = owed.since + rule.limit(&stream.limits);
        if self.blocked_from.is_some_and(|epoch| epoch <= owed.latest) {
            return if end <= now { Verdict::Expired } else { Verdict::Wait(end) };
        }
        if !rule.settles || owed.forced {
            return Verdict::Go;
        }
        // Without an answer since it is owed it waits as well: what names it may be held in its last form, and what
        // replaces that may come a moment later.
        let last = self.answered_at.map_or(owed.since, |at| at.max(owed.since));
        match end.min(last + stream.limits.settle) {
            quiet if quiet > now => Verdict::Wait(quiet),
            _ => Verdict::Go,
        }
    }
}

/// The owed names that may go. `whole`: the type goes as a whole, so changes go together or not at all.
fn due(stream: &mut Stream, kind: ResourceType, now: Duration, whole: bool) -> Option<Due> {
    let watch = stream.watched(kind)?;
    if watch.owed.is_empty() {
        return watch.answer_due.then(Due::default);
    }
    let gates = [Step::Change, Step::Removal].map(|step| (step, Gate::new(stream, kind, step)));
    let mut due = Due::default();
    due.content.repeats = true;
    let mut waits: Vec<(Step, Duration, &'static str)> = Vec::new();
    for (name, owed) in &watch.owed {
        let Some((step, gate)) = gates.iter().find(|(step, _)| *step == owed.step) else { continue };
        match gate.verdict(owed, stream, now) {
            Verdict::Wait(until) => waits.push((*step, until, gate.rule.map_or("", |rule| rule.name))),
            verdict => {
                if matches!(verdict, Verdict::Expired) {
                    due.expired.insert(*step);
                }
                due.forced |= owed.forced;
                due.content.repeats &= owed.forced;
                let epoch = Some(owed.first);
                match step {
                    Step::Change => due.content.changes = earlier(due.content.changes, epoch),
                    Step::Removal => due.content.removals = earlier(due.content.removals, epoch),
                }
                due.names.push(Arc::clone(name));
            }
        }
    }
    // Listeners go as a whole: none of them, or all. One that has waited long enough takes the others along.
    let together = whole && kind == ResourceType::Listener && !waits.is_empty();
    if together && !due.expired.is_empty() {
        due.names = watch.owed.keys().cloned().collect();
        waits.clear();
    }
    let none = due.names.is_empty() || together && due.expired.is_empty();
    for (step, until, name) in waits {
        stream.waiting.insert((kind, step), name);
        stream.deadline = Some(stream.deadline.map_or(until, |deadline| deadline.min(until)));
    }
    (!none).then_some(due)
}

/// All that a client that holds nothing is owed.
fn everything(stream: &Stream, kind: ResourceType) -> Due {
    let names = stream.watched(kind).map(|watch| watch.owed.keys().cloned().collect());
    let content = Content { changes: Some(0), ..Content::default() };
    Due { names: names.unwrap_or_default(), content, forced: true, ..Due::default() }
}

/// The resources of a whole type: the set, and those on their way out that something may still name.
fn all(stream: &Stream, kind: ResourceType, set: &Set, due: &Due) -> Vec<Arc<Encoded>> {
    let Some(watch) = stream.watched(kind) else { return Vec::new() };
    let wanted = |resource: &&Arc<Encoded>| watch.subscription.covers(resource.name());
    let mut all: Vec<_> = set.iter().filter(wanted).cloned().collect();
    let leaving = watch.owed.iter().filter(|(_, owed)| owed.step == Step::Removal);
    let staying = leaving.filter(|(name, _)| due.names.binary_search(name).is_err());
    all.extend(staying.filter_map(|(_, owed)| owed.old.clone()));
    all.sort_by(|a, b| a.name().cmp(b.name()));
    all
}

/// Takes the due names off the list of owed ones and, unless the resources are complete, adds theirs.
fn gather(
    stream: &mut Stream,
    kind: ResourceType,
    due: &Due,
    set: &Set,
    complete: bool,
    parts: &mut Parts,
    context: &impl Context,
) {
    let variant = stream.variant;
    let Some(watch) = stream.watch(kind) else { return };
    if watch.base.is_none() {
        parts.changed.clone_from(&parts.resources);
    }
    if due.names.len() == watch.owed.len() {
        watch.owed.clear();
    }
    for name in &due.names {
        watch.owed.remove(name);
        match set.get(name) {
            Some(resource) => {
                parts.changed.push(Arc::clone(resource));
                if !complete {
                    parts.resources.push(Arc::clone(resource));
                }
            }
            None if variant == Variant::Sotw && kind.is_wildcard() => {}
            None => match context.absent(kind, name) {
                Some(absent) => parts.resources.push(absent),
                None if variant == Variant::Delta && !kept(kind) => {
                    parts.removed.push(Arc::clone(name));
                }
                None => {}
            },
        }
    }
}

/// Whether clients keep what they hold of a type when it is gone, and are not told: an extension's configuration until
/// they name another (spec/xds.md, trap 62); secrets, for whoever reconnects would say that it holds none, and still use it
/// (spec/security.md, trap 18).
const fn kept(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::ExtensionConfig | ResourceType::Secret)
}

fn respond(
    stream: &mut Stream,
    kind: ResourceType,
    parts: Parts,
    set: &Set,
    content: Content,
    now: Duration,
) -> Response {
    let number = stream.next_nonce();
    let hash = version(&parts.resources, set.slots()).to_string();
    let sent = Sent { nonce: number, version: hash.clone(), at: now };
    let divisible = stream.variant == Variant::Delta && kind.is_wildcard();
    if let Some(watch) = stream.watch(kind) {
        let names = parts.resources.iter().map(|resource| Arc::clone(resource.name()));
        watch.ledger.send(sent, content, names.chain(parts.removed.iter().cloned()).collect());
        if divisible {
            watch.ledger.keep(number, parts.resources.clone(), parts.removed.clone());
        }
    }
    Response {
        variant: stream.variant,
        kind,
        nonce: stream.nonce_text(number),
        version: if stream.variant == Variant::Sotw { hash } else { String::new() },
        resources: parts.resources,
        removed: parts.removed,
        slots: set.slots().clone(),
    }
}
