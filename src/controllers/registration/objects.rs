//! Reads and writes of WorkloadEntries. Each write is made from what was read: if that has changed, it is read again.

use std::sync::Arc;
use std::time::Duration;

use api::Kind;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use sources::kube::{Connection, resource};

use super::book::{Left, Told};
use super::marks::{self, Annotations, Expired};
use super::metrics::Metrics;
use super::workload::{Key, Rules, Workload};
use super::{Refused, entry};
use crate::write::{Write, WriteError, Writer};

/// How often an object is read again because it changed before it was written.
const TRIES: u32 = 5;

/// The condition that tells of a workload's health.
pub(super) const HEALTHY: &str = "Healthy";

/// WorkloadEntries of a cluster, as one replica writes them.
#[derive(Clone, Debug)]
pub struct Entries {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// This replica's name.
    pub controller: Arc<str>,
    /// Counts what is done.
    pub metrics: Metrics,
}

impl Entries {
    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.connection.client().clone(), namespace, &resource(kind))
    }

    async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, WriteError> {
        let (api, what) = (self.api(kind, namespace), Write::new("get", kind.plural(), namespace, name));
        self.writer.write(&what, || api.get_opt(name)).await
    }

    async fn entry(&self, key: &Key) -> Result<Option<DynamicObject>, WriteError> {
        self.get(Kind::WorkloadEntry, &key.0, &key.1).await
    }

    /// Changes annotations of an entry that is as it was read.
    async fn mark(&self, key: &Key, entry: &DynamicObject, annotations: Value) -> Result<(), WriteError> {
        let (api, what) = (self.api(Kind::WorkloadEntry, &key.0), about("patch", "workloadentries", key));
        let version = &entry.metadata.resource_version;
        let patch =
            Patch::Merge(json!({"metadata": {"resourceVersion": version, "annotations": annotations}}));
        let params = PatchParams::default();
        self.writer.write(&what, || api.patch(&key.1, &params, &patch)).await.map(drop)
    }

    /// Makes the entry of a workload, or writes into it that the workload is connected here.
    pub(super) async fn connect(
        &self,
        workload: &Workload,
        at: Timestamp,
        rules: Rules,
    ) -> Result<(), Refused> {
        let mut last = WriteError::Conflict;
        for _ in 0..TRIES {
            match self.try_connect(workload, at, rules).await? {
                Ok(()) => return Ok(()),
                Err(error @ (WriteError::Conflict | WriteError::Exists)) => last = error,
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        self.metrics.errors.inc();
        let words = format!("auto-registration WorkloadEntry of {} failed: {last}", workload.id);
        Err(match last {
            WriteError::Refused(_) | WriteError::Gone => Refused::No(words),
            _ => Refused::Later(words),
        })
    }

    async fn try_connect(
        &self,
        workload: &Workload,
        at: Timestamp,
        rules: Rules,
    ) -> Result<Result<(), WriteError>, Refused> {
        let (namespace, name) = (&*workload.namespace, &workload.name);
        let found = match self.entry(&workload.key()).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        match (found, &workload.group) {
            (Some(entry), group) => {
                let annotations = annotations(&entry);
                if group.is_none() && !annotations.contains_key(marks::HEALTH_CHECKED) {
                    return Ok(Ok(()));
                }
                workload.check_identity(namespace, account(&entry.data), rules)?;
                match marks::connect(&annotations, &self.controller, at) {
                    None => Ok(Ok(())),
                    Some(change) => {
                        let done = self.mark(&workload.key(), &entry, change).await;
                        if done.is_ok() && group.is_some() {
                            self.metrics.updates.inc();
                        }
                        Ok(done)
                    }
                }
            }
            (None, None) => Err(Refused::No(format!(
                "proxy metadata indicates that it must correspond to an existing WorkloadEntry, \
                 however WorkloadEntry {namespace}/{name} is not found"
            ))),
            (None, Some(group)) => self.create(workload, group, at, rules).await,
        }
    }

    async fn create(
        &self,
        workload: &Workload,
        group: &str,
        at: Timestamp,
        rules: Rules,
    ) -> Result<Result<(), WriteError>, Refused> {
        let namespace = &*workload.namespace;
        let group = match self.get(Kind::WorkloadGroup, namespace, group).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.metrics.errors.inc();
                return Err(Refused::NoGroup(format!(
                    "auto-registration WorkloadEntry of {} failed: cannot find WorkloadGroup {namespace}/{group}",
                    workload.id
                )));
            }
            Err(error) => return Ok(Err(error)),
        };
        let document = entry::of_group(&group, workload, &self.controller, at);
        workload.check_identity(namespace, account(&document), rules)?;
        let object: DynamicObject = match serde_json::from_value(document) {
            Ok(object) => object,
            Err(error) => return Ok(Err(WriteError::Refused(error.to_string()))),
        };
        let (api, post) = (self.api(Kind::WorkloadEntry, namespace), PostParams::default());
        let what = about("create", "workloadentries", &workload.key());
        let done = self.writer.write(&what, || api.create(&post, &object)).await.map(drop);
        if done.is_ok() {
            self.metrics.success.inc();
            tracing::info!(%namespace, name = workload.name, proxy = %workload.id, "WorkloadEntry registered");
        }
        Ok(done)
    }

    /// Writes that a workload is gone. Returns whether it is: it may have come back.
    pub(super) async fn disconnect(&self, key: &Key, left: &Left) -> Result<bool, WriteError> {
        for _ in 0..TRIES {
            let Some(entry) = self.entry(key).await? else { return Ok(false) };
            let Some(change) = marks::disconnect(&annotations(&entry), &self.controller, left.since, left.at)
            else {
                return Ok(false);
            };
            match self.mark(key, &entry, change).await {
                Err(WriteError::Conflict) => {}
                Err(WriteError::Gone) => return Ok(false),
                done => return done.map(|()| true),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Writes what was told of a workload's health, unless the workload is connected elsewhere or something newer is
    /// written.
    pub(super) async fn health(&self, key: &Key, told: &Told) -> Result<(), WriteError> {
        let at = told.at.to_string();
        let mut condition = json!({"type": HEALTHY, "lastProbeTime": at, "lastTransitionTime": at});
        let said = match &told.health {
            Ok(()) => json!({"status": "True"}),
            Err(words) => json!({"status": "False", "message": words}),
        };
        json_patch::merge(&mut condition, &said);
        self.condition(key, |entry| {
            let ours = annotations(entry).get(marks::CONTROLLER).is_some_and(|c| **c == *self.controller);
            let newer = healthy(entry)
                .and_then(|c| c.get("lastProbeTime")?.as_str()?.parse::<Timestamp>().ok())
                .is_some_and(|written| written > told.at);
            let there = healthy(entry) == Some(&condition);
            (ours && !newer && !there).then(|| Some(condition.clone()))
        })
        .await
    }

    /// Puts a condition of health in the place of the one that is there, or takes that away, as `wanted` says of the
    /// entry; nothing if it says nothing.
    async fn condition(
        &self,
        key: &Key,
        wanted: impl Fn(&DynamicObject) -> Option<Option<Value>>,
    ) -> Result<(), WriteError> {
        let what = about("patch", "workloadentries/status", key);
        for _ in 0..TRIES {
            let Some(entry) = self.entry(key).await? else { return Ok(()) };
            let Some(condition) = wanted(&entry) else { return Ok(()) };
            let others = conditions(&entry).filter(|c| !is_healthy(c)).cloned();
            let list: Vec<Value> = others.chain(condition).collect();
            let version = &entry.metadata.resource_version;
            let patch = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": list}});
            let (patch, params) = (Patch::Merge(patch), PatchParams::default());
            let api = self.api(Kind::WorkloadEntry, &key.0);
            match self.writer.write(&what, || api.patch_status(&key.1, &params, &patch)).await {
                Err(WriteError::Conflict) => {}
                Err(WriteError::Gone) => return Ok(()),
                done => return done.map(drop),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Takes away an entry that nobody came back for, or what is known of its health.
    pub(super) async fn clean(
        &self,
        key: &Key,
        limits: (Duration, Option<Duration>),
    ) -> Result<(), WriteError> {
        let Some(entry) = self.entry(key).await? else { return Ok(()) };
        match self.expired(&entry, limits) {
            None => Ok(()),
            Some(Expired::ForgetHealth) => {
                self.condition(key, |entry| self.expired(entry, limits).map(|_| None)).await
            }
            Some(Expired::Delete) => self.delete(key, &entry).await,
        }
    }

    async fn delete(&self, key: &Key, entry: &DynamicObject) -> Result<(), WriteError> {
        let preconditions = Preconditions {
            resource_version: entry.metadata.resource_version.clone(),
            uid: entry.metadata.uid.clone(),
        };
        let (api, params) =
            (self.api(Kind::WorkloadEntry, &key.0), DeleteParams::default().preconditions(preconditions));
        let what = about("delete", "workloadentries", key);
        match self.writer.write(&what, || api.delete(&key.1, &params)).await {
            Ok(_) => {
                self.metrics.deletes.inc();
                tracing::info!(namespace = %key.0, name = key.1, "WorkloadEntry taken away: nobody came back");
                Ok(())
            }
            // Somebody came back, or was faster.
            Err(WriteError::Conflict | WriteError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn expired(&self, entry: &DynamicObject, limits: (Duration, Option<Duration>)) -> Option<Expired> {
        marks::expired(&annotations(entry), healthy(entry).is_some(), Timestamp::now(), limits)
    }
}

fn about(verb: &'static str, resource: &str, key: &Key) -> Write {
    Write::new(verb, resource, &key.0, &key.1)
}

fn annotations(object: &DynamicObject) -> Annotations {
    object.metadata.annotations.clone().unwrap_or_default()
}

/// The service account of a WorkloadEntry; empty if it names none.
fn account(entry: &Value) -> &str {
    entry.pointer("/spec/serviceAccount").and_then(Value::as_str).unwrap_or_default()
}

fn conditions(entry: &DynamicObject) -> impl Iterator<Item = &Value> {
    let list = entry.data.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten()
}

fn is_healthy(condition: &Value) -> bool {
    condition.get("type").is_some_and(|name| name == HEALTHY)
}

fn healthy(entry: &DynamicObject) -> Option<&Value> {
    conditions(entry).find(|condition| is_healthy(condition))
}
