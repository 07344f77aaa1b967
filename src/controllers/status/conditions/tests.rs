//! Conditions by what became of an object, and beside those of others.

use api::{Kind, ObjectKey, Severity};

use super::*;

fn problem(field: &str, message: &str, hint: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        object: ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: "web".into() },
        field: field.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

/// The conditions in short.
fn lines(outcome: &Outcome, level: Level) -> Vec<String> {
    said(outcome, level)
        .into_iter()
        .map(|said| format!("{}={} {}: {}", said.r#type, said.status, said.reason, said.message))
        .collect()
}

fn progress(needed: usize, accepted: usize) -> Outcome {
    Outcome {
        generation: 3,
        progress: Some(Progress { generation: 3, needed, accepted, ..Progress::default() }),
        ..Outcome::default()
    }
}

#[test]
fn what_is_wrong_is_told_by_what_it_means() {
    assert_eq!(lines(&Outcome::default(), Level::Problems), ["Accepted=True Accepted: "]);
    let outcome = Outcome {
        invalid: vec![problem("spec.hosts", "there is no host", "name one")],
        unserved: vec![problem("spec.http[0]", "cannot be built", "")],
        warnings: vec![problem("spec.http[1]", "is never reached", "delete it"), problem("", "old", "")],
        ..Outcome::default()
    };
    let expected = [
        "Accepted=False Invalid: spec.hosts: there is no host (name one)",
        "PartiallyInvalid=True NotServed: spec.http[0]: cannot be built",
        "Warning=True Doubtful: spec.http[1]: is never reached (delete it); old",
    ];
    assert_eq!(lines(&outcome, Level::Problems), expected);
}

#[test]
fn progress_is_told_if_asked_for() {
    let told = |outcome: &Outcome| lines(outcome, Level::Progress).into_iter().nth(1).unwrap_or_default();
    assert_eq!(told(&Outcome::default()), "Programmed=Unknown NotNeeded: no connected proxy needs it");
    assert_eq!(told(&progress(3, 2)), "Programmed=False Pending: accepted by 2 of 3 proxies that need it");
    assert_eq!(told(&progress(3, 3)), "Programmed=True Programmed: accepted by 3 of 3 proxies that need it");
    let newer = Outcome { generation: 4, ..progress(3, 3) };
    assert_eq!(
        told(&newer),
        "Programmed=False Pending: accepted by 0 of 3 proxies that need it",
        "of the new generation"
    );
    assert_eq!(lines(&progress(3, 2), Level::Problems).len(), 1);
}

#[test]
fn a_refusal_is_told_always() {
    let mut outcome = progress(3, 2);
    if let Some(progress) = &mut outcome.progress {
        (progress.refused, progress.refusal) = (1, Some("web-1.shop: no such thing".to_owned()));
    }
    for level in [Level::Problems, Level::Progress] {
        let told = lines(&outcome, level);
        assert_eq!(
            told[1..],
            ["Programmed=False Refused: refused by 1 of 3 proxies; web-1.shop: no such thing"]
        );
    }
}

#[test]
fn conditions_of_others_stay_and_times_move_with_the_status_only() {
    let of = |r#type: &str, status: &str| Condition {
        r#type: r#type.to_owned(),
        status: status.to_owned(),
        last_transition_time: "then".to_owned(),
        ..Condition::default()
    };
    let mut outcome = progress(1, 1);
    outcome.conditions = Box::new([
        of("Warning", "True"),
        of("Healthy", "False"),
        of("Accepted", "True"),
        of("Programmed", "False"),
    ]);
    let merged = merged(&outcome, &said(&outcome, Level::Progress), "now");
    let seen: Vec<_> = merged
        .iter()
        .map(|c| (c.r#type.as_str(), c.last_transition_time.as_str(), c.observed_generation))
        .collect();
    assert_eq!(seen, [("Healthy", "then", 0), ("Accepted", "then", 3), ("Programmed", "now", 3)]);
}

#[test]
fn messages_have_an_end() {
    let many: Vec<Problem> =
        (0..500).map(|at| problem(&format!("spec.http[{at}]"), "é".repeat(30).as_str(), "")).collect();
    let text = listed(&many);
    assert!(text.len() < LONGEST + 40 && text.ends_with("more"), "{text}");
    let long = listed(&[problem("", &"é".repeat(2 * LONGEST), "")]);
    assert!(long.len() <= LONGEST + '…'.len_utf8() && long.ends_with('…'));
}
