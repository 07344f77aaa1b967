//! What an object's entries should say: a pure function of what they say now.

use k8s_openapi::ByteString;
use kube::api::DynamicObject;
use serde_json::{Map, Value};

/// The failurePolicy that refuses objects while nobody answers.
const FAIL: &str = "Fail";

/// What all entries should say.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// As it stands in an object: base64 of the PEM text. None leaves what is there.
    bundle: Option<Value>,
    fail: bool,
}

impl Entries {
    /// Entries that trust these roots (PEM), and that refuse objects while nobody answers if `fail`. What refuses already
    /// goes on doing so: a control plane that starts again must not take that back.
    pub(super) fn new(roots: Option<&str>, fail: bool) -> Self {
        let base64 = |pem: &str| serde_json::to_value(ByteString(pem.as_bytes().to_vec())).ok();
        Self { bundle: roots.and_then(base64), fail }
    }

    /// The object with its entries so; none if they are so already.
    pub(super) fn mended(&self, object: &DynamicObject) -> Option<DynamicObject> {
        let mut next = object.clone();
        let entries = next.data.get_mut("webhooks").and_then(Value::as_array_mut)?;
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            self.entry(entry);
        }
        (next.data != object.data).then_some(next)
    }

    fn entry(&self, entry: &mut Map<String, Value>) {
        if let Some(bundle) = &self.bundle
            && let Some(client) = entry.get_mut("clientConfig").and_then(Value::as_object_mut)
        {
            client.insert("caBundle".to_owned(), bundle.clone());
        }
        if self.fail {
            entry.insert("failurePolicy".to_owned(), FAIL.into());
        }
    }
}
