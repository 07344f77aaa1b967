//! Which problem is told where, and once.

use std::path::Path;

use api::Meta;
use serde_json::{Value, json};
use sources::event::Event;
use sources::report::Place;

use super::*;

fn key() -> ObjectKey {
    ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: "web".into() }
}

fn problem(severity: Severity, field: &str, message: &str) -> Problem {
    let (field, message) = (field.to_owned(), message.to_owned());
    Problem { severity, object: key(), field, message, hint: String::new() }
}

/// What a source says of the VirtualService.
fn report(severity: Severity, field: &str, message: &str) -> Arc<Report> {
    let place = Place::file(&Arc::from(Path::new("cluster home")));
    let (field, message) = (field.to_owned(), message.to_owned());
    let (hint, last_good) = (String::new(), Vec::new());
    Arc::new(Report { place, severity, object: Some(key()), field, message, hint, last_good })
}

/// A batch with one VirtualService with this `spec`.
fn batch(spec: Value) -> Batch {
    let document = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": spec,
        "status": {"conditions": [{"type": "Accepted", "status": "True"}]},
    });
    let object = api::decode(document).expect("an object").object;
    Batch { events: vec![Event { key: object.key(), object: Some(Arc::new(object)) }], ..Batch::default() }
}

fn fine() -> Value {
    json!({"hosts": ["a.b"], "http": [{"redirect": {"uri": "/"}}]})
}

#[test]
fn findings_are_sorted_by_what_they_mean_for_the_object() {
    let reports = Reports::default();
    let mut first = batch(json!({"http": []}));
    first.appeared.push(report(Severity::Warning, "spec.x", "unknown"));
    reports.take(&first, |_| true);
    let unserved = problem(Severity::Error, "spec.http[0]", "cannot be built");
    reports.problems(&BTreeMap::from([(key(), vec![unserved.clone()])]), None);
    let lost = problem(Severity::Warning, "spec.hosts[0]", "an older one wins");
    reports.analyzed(BTreeMap::from([(key(), vec![lost.clone()])]));
    let all = reports.findings();
    let (subject, findings) = all.get(&key()).expect("the object");
    assert_eq!((subject.generation, subject.uid.as_str(), subject.conditions.len()), (3, "u", 1));
    assert_eq!(findings.unserved, [unserved]);
    assert_eq!(findings.warnings, [lost, problem(Severity::Warning, "spec.x", "unknown")]);
    assert!(!findings.invalid.is_empty());

    reports.take(&batch(fine()), |_| true);
    assert_eq!(reports.findings().get(&key()).map(|(_, f)| f.invalid.len()), Some(0));
    reports.take(&Batch { events: vec![Event { key: key(), object: None }], ..Batch::default() }, |_| true);
    assert!(reports.findings().is_empty());
}

#[test]
fn of_objects_of_another_revision_nothing_is_told() {
    let reports = Reports::default();
    let bad = batch(json!({"http": []}));
    reports.take(&bad, |_| true);
    assert!(!reports.lines().is_empty() && reports.findings().len() == 1);
    // Its label says so now.
    reports.take(&bad, |object| object.key() != key());
    assert!(reports.lines().is_empty() && reports.findings().is_empty());
}

#[test]
fn an_object_that_does_not_decode_is_told_of_in_the_form_that_it_has() {
    let reports = Reports::default();
    reports.take(&batch(fine()), |_| true);
    let meta = Meta { namespace: "shop".into(), name: "web".into(), generation: 4, ..Meta::default() };
    let event = Event {
        key: key(),
        object: Some(Arc::new(AnyObject::NotServed(Kind::VirtualService, Box::new(meta)))),
    };
    let wrong = report(Severity::Error, "spec.hosts", "a number");
    reports.take(&Batch { events: vec![event], appeared: vec![wrong], ..Batch::default() }, |_| true);
    let findings = reports.findings();
    let (subject, findings) = findings.get(&key()).expect("the object");
    assert_eq!(
        (subject.generation, &findings.invalid[..]),
        (4, &[problem(Severity::Error, "spec.hosts", "a number")][..])
    );
}

#[test]
fn of_namespaces_that_are_not_selected_nothing_is_told() {
    let reports = Reports::default();
    reports.take(&batch(json!({"http": []})), |_| true);
    let mut discovered = BTreeSet::from(["other".into()]);
    let before = reports.revision();
    reports.problems(&BTreeMap::new(), Some(&discovered));
    assert!(reports.lines().is_empty() && reports.findings().is_empty());
    assert_ne!(reports.revision(), before);
    discovered.insert(key().namespace);
    reports.problems(&BTreeMap::new(), Some(&discovered));
    assert!(!reports.lines().is_empty() && reports.findings().len() == 1);
}

#[test]
fn what_is_told_of_a_field_already_is_not_told_again_of_what_is_served() {
    let reports = Reports::default();
    reports.take(&batch(fine()), |_| true);
    let together = problem(Severity::Warning, "spec.http[0].route[0].destination.host", "no such service");
    reports.analyzed(BTreeMap::from([(key(), vec![together.clone()])]));
    let same = Problem { message: "requests fail".to_owned(), ..together.clone() };
    let other = problem(Severity::Error, "spec.http[0].rewrite", "cannot be built");
    reports.served(BTreeSet::from([same, other.clone()]));
    assert_eq!(reports.lines(), [other.to_string(), together.to_string()]);
}

#[test]
fn the_revision_moves_with_what_is_wrong() {
    let reports = Reports::default();
    let mut last = reports.revision();
    let mut moved = || {
        let now = reports.revision();
        now != std::mem::replace(&mut last, now)
    };
    reports.take(&batch(fine()), |_| true);
    assert!(moved());
    let found = BTreeSet::from([problem(Severity::Error, "spec", "x")]);
    reports.served(found.clone());
    assert!(moved());
    reports.served(found);
    reports.analyzed(BTreeMap::new());
    reports.problems(&BTreeMap::new(), None);
    assert!(!moved());
}
