//! What an Envoy works with at one moment, read from its admin interface.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use testkit::simulator::Resources;

/// How long Envoy's threads may take to follow its main one.
const FOLLOW: Duration = Duration::from_millis(500);

/// One Envoy's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    text: Arc<str>,
    /// The resources.
    pub(crate) resources: Arc<Resources>,
    /// When it was seen to be another than before, if it was.
    changed: Option<Instant>,
    /// The last update of a listener, route or cluster, as Envoy tells it.
    updated: Option<SystemTime>,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Snapshot {
    /// Reads a page; what was read before spares the work if it is the same.
    pub(crate) fn read(page: String, before: Option<&Self>) -> Result<Self> {
        if let Some(same) = before.filter(|before| *before.text == *page) {
            return Ok(same.clone());
        }
        let json: Value = serde_json::from_str(&page).context("/config_dump is not JSON")?;
        let resources = Resources::of_config_dump(&json)?;
        let updated = last_updated(&json);
        Ok(Self {
            text: page.into(),
            resources: resources.into(),
            changed: before.map(|_| Instant::now()),
            updated,
        })
    }

    /// Whether it is younger than a moment, or was then still on its way to Envoy's threads.
    pub(crate) fn changed_after(&self, moment: SystemTime) -> bool {
        let since = moment.elapsed().unwrap_or_default() + FOLLOW;
        let seen = self.changed.is_some_and(|changed| changed.elapsed() < since);
        let told = self.updated.is_some_and(|updated| updated + FOLLOW > moment);
        seen || told
    }
}

/// The latest `last_updated` of the page.
fn last_updated(json: &Value) -> Option<SystemTime> {
    match json {
        Value::Object(fields) => {
            let told = fields.get("last_updated").and_then(Value::as_str);
            let own = told.and_then(|t| t.parse::<Timestamp>().ok()).map(SystemTime::from);
            fields.values().filter_map(last_updated).chain(own).max()
        }
        Value::Array(list) => list.iter().filter_map(last_updated).max(),
        _ => None,
    }
}
