//! The record of a lock, as client-go and Istio's fork of it write it into a ConfigMap or a Lease.
//!
//! Source: client-go `tools/leaderelection/resourcelock`; Istio `pilot/pkg/leaderelection/k8sleaderelection/k8sresourcelock`.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The annotation of a ConfigMap that holds the record, as JSON.
const RECORD: &str = "control-plane.alpha.kubernetes.io/leader";

/// The annotation of a Lease that holds what its `spec` has no field for.
const HOLDER_KEY: &str = "leader.istio.io/holder-key";

/// Who holds a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Record {
    /// The replica; empty when nobody does.
    pub(crate) holder_identity: String,
    /// Its revision, with `^` before it when it runs outside of the cluster; empty in locks without priorities.
    pub(crate) holder_key: String,
    /// For people: how long it holds unless renewed.
    pub(crate) lease_duration_seconds: i32,
    /// For people: since when this replica holds it.
    pub(crate) acquire_time: Option<Time>,
    /// For people: when it was last renewed, by that replica's clock.
    pub(crate) renew_time: Option<Time>,
    /// How often the holder changed.
    pub(crate) leader_transitions: i32,
}

/// An object that can keep a lock.
pub(crate) trait Keeper:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Whether the roles that the stock charts give allow to watch it; a Lease may only be read.
    const WATCHED: bool;

    /// One that nobody holds.
    fn new(namespace: &str, name: &str) -> Self;

    /// What is recorded; what is wrong with it if it cannot be read.
    fn record(&self) -> Result<Record, String>;

    /// Records a holder; the rest of the object stays as it is.
    fn set_record(&mut self, record: &Record);
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..ObjectMeta::default() }
}

impl Keeper for ConfigMap {
    const WATCHED: bool = true;

    fn new(namespace: &str, name: &str) -> Self {
        Self { metadata: named(namespace, name), ..Self::default() }
    }

    fn record(&self) -> Result<Record, String> {
        match self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RECORD)) {
            None => Ok(Record::default()),
            Some(text) => serde_json::from_str(text).map_err(|error| format!("annotation {RECORD}: {error}")),
        }
    }

    fn set_record(&mut self, record: &Record) {
        // Numbers, texts and times have no form that JSON lacks.
        let text = serde_json::to_string(record).unwrap_or_default();
        self.metadata.annotations.get_or_insert_default().insert(RECORD.to_owned(), text);
    }
}

impl Keeper for Lease {
    const WATCHED: bool = false;

    fn new(namespace: &str, name: &str) -> Self {
        Self { metadata: named(namespace, name), ..Self::default() }
    }

    fn record(&self) -> Result<Record, String> {
        let spec = self.spec.clone().unwrap_or_default();
        let key = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(HOLDER_KEY));
        Ok(Record {
            holder_identity: spec.holder_identity.unwrap_or_default(),
            holder_key: key.cloned().unwrap_or_default(),
            lease_duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquire_time: spec.acquire_time.map(|time| Time(time.0)),
            renew_time: spec.renew_time.map(|time| Time(time.0)),
            leader_transitions: spec.lease_transitions.unwrap_or_default(),
        })
    }

    fn set_record(&mut self, record: &Record) {
        let micro = |time: &Option<Time>| time.as_ref().map(|time| MicroTime(time.0));
        self.spec = Some(LeaseSpec {
            holder_identity: Some(record.holder_identity.clone()),
            lease_duration_seconds: Some(record.lease_duration_seconds),
            acquire_time: micro(&record.acquire_time),
            renew_time: micro(&record.renew_time),
            lease_transitions: Some(record.leader_transitions),
            ..LeaseSpec::default()
        });
        let annotations = self.metadata.annotations.get_or_insert_default();
        if record.holder_key.is_empty() {
            annotations.remove(HOLDER_KEY);
        } else {
            annotations.insert(HOLDER_KEY.to_owned(), record.holder_key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record() -> Record {
        let time = |text: &str| Some(Time(text.parse().expect("a time")));
        Record {
            holder_identity: "istiod-1".to_owned(),
            holder_key: "^canary".to_owned(),
            lease_duration_seconds: 30,
            acquire_time: time("2026-01-02T03:04:05Z"),
            renew_time: time("2026-01-02T03:04:12.5Z"),
            leader_transitions: 3,
        }
    }

    #[test]
    fn a_config_map_keeps_it_as_the_reference_writes_it() {
        let mut object = ConfigMap::new("istio-system", "istio-leader");
        object.data = Some([("k".to_owned(), "v".to_owned())].into());
        assert_eq!(object.record(), Ok(Record::default()));
        object.set_record(&record());
        let text = &object.metadata.annotations.as_ref().expect("annotations")[RECORD];
        assert_eq!(
            text,
            "{\"holderIdentity\":\"istiod-1\",\"holderKey\":\"^canary\",\"leaseDurationSeconds\":30,\
             \"acquireTime\":\"2026-01-02T03:04:05Z\",\"renewTime\":\"2026-01-02T03:04:12Z\",\"leaderTransitions\":3}"
        );
        assert_eq!(object.record().expect("a record").holder_key, "^canary");
        assert!(object.data.is_some());
    }

    #[test]
    fn what_the_reference_leaves_out_or_sets_to_null_is_read() {
        let mut object = ConfigMap::new("n", "l");
        let text = r#"{"holderIdentity":"","leaseDurationSeconds":1,"acquireTime":null,"renewTime":null}"#;
        object.metadata.annotations = Some([(RECORD.to_owned(), text.to_owned())].into());
        assert_eq!(object.record(), Ok(Record { lease_duration_seconds: 1, ..Record::default() }));
        object.metadata.annotations = Some([(RECORD.to_owned(), "{".to_owned())].into());
        assert!(object.record().expect_err("no record").contains(RECORD));
    }

    #[test]
    fn a_lease_keeps_it_in_its_fields() {
        let mut object = Lease::new("istio-system", "istio-status-leader");
        object.set_record(&record());
        let written = serde_json::to_value(&object).expect("JSON");
        let spec = json!({"holderIdentity": "istiod-1", "leaseDurationSeconds": 30, "leaseTransitions": 3,
            "acquireTime": "2026-01-02T03:04:05.000000Z", "renewTime": "2026-01-02T03:04:12.500000Z"});
        assert_eq!(written["spec"], spec);
        assert_eq!(written["metadata"]["annotations"], json!({(HOLDER_KEY): "^canary"}));
        assert_eq!(object.record(), Ok(record()));
        object.set_record(&Record { holder_key: String::new(), ..record() });
        assert_eq!(
            serde_json::to_value(&object).expect("JSON")["metadata"]["annotations"],
            Value::from_iter([("", ""); 0])
        );
    }
}
