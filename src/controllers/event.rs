//! An Event in the making: what it is about, and what it says.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Whether somebody should look.
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) text: String,
}

/// Who says it, and what was being done.
#[derive(Clone, Copy)]
pub(crate) struct Reporter<'a> {
    pub(crate) controller: &'static str,
    /// The name of this replica's pod.
    pub(crate) instance: &'a str,
    pub(crate) action: &'static str,
}

/// An Event about an object, which is in a namespace.
pub(crate) fn event(regarding: ObjectReference, note: &Note, reporter: Reporter<'_>) -> Event {
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", regarding.name.as_deref().unwrap_or_default())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(Timestamp::now())),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        note: Some(note.text.clone()),
        action: Some(reporter.action.to_owned()),
        reporting_controller: Some(reporter.controller.to_owned()),
        reporting_instance: Some(reporter.instance.to_owned()),
        regarding: Some(regarding),
        ..Event::default()
    }
}
