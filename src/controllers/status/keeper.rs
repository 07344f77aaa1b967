//! Writes conditions and Events for as long as this replica leads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Condition, ObjectKey};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::json;
use sources::kube::{Connection, resource};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::conditions::{self, OURS, PROGRAMMED, Said};
use super::events;
use super::{Level, Outcome, Outcomes};
use crate::event::{Note, Reporter, event};
use crate::write::{Write, WriteError, Writer};

/// Who reports, in Events.
const CONTROLLER: &str = "pilothouse.io/status";

/// Writes that are on their way at once.
const TOGETHER: usize = 16;

/// How often is looked for what has to be written: also for what could not be written before.
const LOOK: Duration = Duration::from_secs(1);

/// What was written may take so long to come back by the watch; until then the watch is behind.
const ECHO: Duration = Duration::from_secs(5);

/// Mere counts of an object are written this often at most.
const COUNTS: Duration = Duration::from_secs(4);

/// After a write that this control plane may not make, or that failed, none is tried for so long.
const REST: Duration = Duration::from_secs(60);

/// Keeps the status of objects as it should be.
pub struct Keeper {
    /// The cluster.
    pub connection: Connection,
    /// For conditions.
    pub status: Writer,
    /// For Events: whoever may not write these may still write the others.
    pub events: Writer,
    /// How much is written.
    pub level: Level,
    /// The name of this replica's pod.
    pub instance: Arc<str>,
}

/// What was written of an object.
struct Written {
    uid: String,
    conditions: Vec<Condition>,
    at: Instant,
    /// The watch has told of it: what it tells from now on is newer.
    told: bool,
}

/// A write that is to be made.
struct Task {
    key: ObjectKey,
    uid: String,
    conditions: Vec<Condition>,
    notes: Vec<Note>,
}

/// What a keeper remembers while it leads.
#[derive(Default)]
struct Memory {
    written: HashMap<ObjectKey, Written>,
    /// No status is written before.
    rest: Option<Instant>,
    /// No Event is written before.
    silence: Option<Instant>,
}

impl Keeper {
    /// Writes what `outcomes` say until `stop`.
    pub async fn run(&self, mut outcomes: watch::Receiver<Outcomes>, stop: CancellationToken) {
        let mut pace = interval(LOOK);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory::default();
        let work = async {
            loop {
                pace.tick().await;
                let now = outcomes.borrow_and_update().clone();
                self.round(&now, &mut memory).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// Writes what differs.
    async fn round(&self, outcomes: &Outcomes, memory: &mut Memory) {
        let now = Instant::now();
        memory.written.retain(|key, written| {
            written.told |= outcomes.get(key).is_some_and(|outcome| {
                ours(&written.conditions).all(|condition| outcome.conditions.contains(condition))
            });
            now < written.at + ECHO
        });
        if memory.rest.is_some_and(|until| now < until) {
            return;
        }
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let tasks: Vec<Task> = outcomes
            .iter()
            .filter_map(|(key, outcome)| self.task(key, outcome, memory.written.get(key), &time))
            .collect();
        let quiet = memory.silence.is_some_and(|until| now < until);
        let mut done = stream::iter(tasks)
            .map(|task| async move {
                let written = self.write(&task).await;
                let told = match &written {
                    Ok(()) if !quiet => self.tell(&task).await,
                    _ => Ok(()),
                };
                (task, written, told)
            })
            .buffer_unordered(TOGETHER);
        while let Some((task, written, told)) = done.next().await {
            if is_hopeless(&told) {
                memory.silence = Some(Instant::now() + REST);
            }
            match written {
                Ok(()) => {
                    let Task { key, uid, conditions, .. } = task;
                    memory.written.insert(key, Written { uid, conditions, at: Instant::now(), told: false });
                }
                written if is_hopeless(&written) => {
                    memory.rest = Some(Instant::now() + REST);
                    return;
                }
                // Another object by now, or gone: its source tells.
                Err(_) => {}
            }
        }
    }

    /// What is to be written of an object, if anything.
    fn task(
        &self,
        key: &ObjectKey,
        outcome: &Outcome,
        written: Option<&Written>,
        time: &str,
    ) -> Option<Task> {
        // What a folder says has no status.
        if outcome.uid.is_empty() {
            return None;
        }
        let written = written.filter(|written| written.uid == outcome.uid);
        let mut outcome = outcome.clone();
        if let Some(written) = written.filter(|written| !written.told) {
            let (ours, others) =
                (ours(&written.conditions), outcome.conditions.iter().filter(|c| !is_ours(c)));
            outcome.conditions = others.chain(ours).cloned().collect();
        }
        let said = conditions::said(&outcome, self.level);
        let merged = conditions::merged(&outcome, &said, time);
        if is_equal(&outcome.conditions, &merged) {
            return None;
        }
        if written.is_some_and(|written| written.at.elapsed() < COUNTS)
            && only_counts(&outcome, &said, &merged)
        {
            return None;
        }
        let notes = events::notes(&outcome.conditions, &said);
        Some(Task { key: key.clone(), uid: outcome.uid, conditions: merged, notes })
    }

    async fn write(&self, task: &Task) -> Result<(), WriteError> {
        let (key, resource) = (&task.key, resource(task.key.kind));
        let what = Write::new("patch", &format!("{}/status", resource.plural), &key.namespace, &key.name);
        let patch = json!({"status": {"conditions": task.conditions}});
        let api = self.api(key, &resource);
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let done = self.status.write(&what, || api.patch_status(&key.name, &params, &patch)).await;
        done.inspect_err(|error| tell_refusal(&self.status, &what, error)).map(drop)
    }

    fn api(&self, key: &ObjectKey, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.connection.client().clone(), &key.namespace, resource)
    }

    async fn tell(&self, task: &Task) -> Result<(), WriteError> {
        let (key, resource) = (&task.key, resource(task.key.kind));
        let api = Api::<Event>::namespaced(self.connection.client().clone(), &key.namespace);
        for note in &task.notes {
            let regarding = ObjectReference {
                api_version: Some(resource.api_version.clone()),
                kind: Some(resource.kind.clone()),
                namespace: Some(key.namespace.to_string()),
                name: Some(key.name.to_string()),
                uid: Some(task.uid.clone()),
                ..ObjectReference::default()
            };
            let reporter = Reporter { controller: CONTROLLER, instance: &self.instance, action: "Translate" };
            let event = event(regarding, note, reporter);
            let what = Write::new("create", "events.events.k8s.io", &key.namespace, &key.name);
            let post = PostParams::default();
            let done = self.events.write(&what, || api.create(&post, &event)).await;
            done.inspect_err(|error| tell_refusal(&self.events, &what, error))?;
        }
        Ok(())
    }
}

/// Tells the operator that what was written is not as the server wants it.
fn tell_refusal(writer: &Writer, what: &Write, error: &WriteError) {
    if matches!(error, WriteError::Refused(_)) {
        writer.tell(what, error);
    }
}

/// Whether the next write will fare no better.
fn is_hopeless<T>(done: &Result<T, WriteError>) -> bool {
    matches!(done, Err(WriteError::Forbidden(_) | WriteError::Failed(_)))
}

/// The conditions that are written here.
fn ours(conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions.iter().filter(|condition| is_ours(condition))
}

fn is_ours(condition: &Condition) -> bool {
    OURS.contains(&condition.r#type.as_str())
}

/// Whether both say the same; whoever else writes may order them otherwise.
fn is_equal(a: &[Condition], b: &[Condition]) -> bool {
    a.len() == b.len() && b.iter().all(|condition| a.contains(condition))
}

/// Whether nothing becomes another but a message of how many proxies have the object.
fn only_counts(outcome: &Outcome, said: &[Said], merged: &[Condition]) -> bool {
    let old = |r#type: &str| outcome.conditions.iter().find(|condition| condition.r#type == r#type);
    let pending = said.iter().any(|said| said.r#type == PROGRAMMED && said.reason != "Refused");
    let same = |condition: &Condition| {
        old(&condition.r#type).is_some_and(|old| {
            old == condition
                || (condition.r#type == PROGRAMMED
                    && Condition { message: condition.message.clone(), ..old.clone() } == *condition)
        })
    };
    pending && outcome.conditions.len() == merged.len() && merged.iter().all(same)
}

#[cfg(test)]
mod tests;
