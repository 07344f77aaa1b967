//! What an object's conditions should be.
//!
//! `Accepted` is always there: the object says nothing that it must not. The others are there while they have something to
//! tell: `PartiallyInvalid` (something of it cannot be served), `Warning` (it may not do what was meant), `Programmed` (how
//! far it has come with the connected proxies).

use std::fmt::Write as _;

use api::{Condition, Problem};

use super::{Level, Outcome, Progress};

/// The object says nothing that it must not.
pub(super) const ACCEPTED: &str = "Accepted";
/// Something of it cannot be served.
pub(super) const PARTIALLY_INVALID: &str = "PartiallyInvalid";
/// It may not do what was meant.
pub(super) const WARNING: &str = "Warning";
/// How far it has come with the connected proxies.
pub(super) const PROGRAMMED: &str = "Programmed";

/// The conditions that are written here; all others belong to somebody else.
pub(super) const OURS: [&str; 4] = [ACCEPTED, PARTIALLY_INVALID, WARNING, PROGRAMMED];

/// The longest message, in bytes: more does not fit into anybody's terminal.
const LONGEST: usize = 2048;

/// What a condition says, apart from times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) r#type: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The conditions that an object should have, of [`OURS`] and in their order.
pub(super) fn said(outcome: &Outcome, level: Level) -> Vec<Said> {
    let accepted = if outcome.invalid.is_empty() {
        Said { r#type: ACCEPTED, status: "True", reason: "Accepted", message: String::new() }
    } else {
        Said { r#type: ACCEPTED, status: "False", reason: "Invalid", message: listed(&outcome.invalid) }
    };
    let some = |r#type, problems: &[Problem], reason| {
        let message = listed(problems);
        (!problems.is_empty()).then_some(Said { r#type, status: "True", reason, message })
    };
    let unserved = some(PARTIALLY_INVALID, &outcome.unserved, "NotServed");
    let warnings = some(WARNING, &outcome.warnings, "Doubtful");
    let programmed = programmed(outcome, level);
    [accepted].into_iter().chain(unserved).chain(warnings).chain(programmed).collect()
}

fn programmed(outcome: &Outcome, level: Level) -> Option<Said> {
    let of = |status, reason, message| Some(Said { r#type: PROGRAMMED, status, reason, message });
    let nobody = Progress::default();
    let progress = outcome.progress.as_ref().unwrap_or(&nobody);
    let needed = progress.needed;
    if let Some(words) = &progress.refusal {
        let message = format!("refused by {} of {needed} proxies; {words}", progress.refused);
        return of("False", "Refused", cut(message));
    }
    if level != Level::Progress {
        return None;
    }
    if needed == 0 {
        return of("Unknown", "NotNeeded", "no connected proxy needs it".to_owned());
    }
    if progress.generation < outcome.generation || progress.accepted < needed {
        let accepted = if progress.generation < outcome.generation { 0 } else { progress.accepted };
        return of("False", "Pending", format!("accepted by {accepted} of {needed} proxies that need it"));
    }
    of("True", "Programmed", format!("accepted by {needed} of {needed} proxies that need it"))
}

/// All conditions of an object: those of others as they are, ours as they should be. `now` (RFC 3339) is the time of what
/// becomes another.
pub(super) fn merged(outcome: &Outcome, said: &[Said], now: &str) -> Vec<Condition> {
    let others = outcome.conditions.iter().filter(|condition| !OURS.contains(&condition.r#type.as_str()));
    let ours = said.iter().map(|said| {
        let old = outcome.conditions.iter().find(|old| old.r#type == said.r#type);
        let since = old.filter(|old| old.status == said.status).map(|old| old.last_transition_time.clone());
        Condition {
            r#type: said.r#type.to_owned(),
            status: said.status.to_owned(),
            reason: said.reason.to_owned(),
            message: said.message.clone(),
            last_transition_time: since.filter(|since| !since.is_empty()).unwrap_or_else(|| now.to_owned()),
            last_probe_time: String::new(),
            observed_generation: outcome.generation,
        }
    });
    others.cloned().chain(ours).collect()
}

/// Problems in one text, as many as fit.
fn listed(problems: &[Problem]) -> String {
    let mut text = String::new();
    for (at, problem) in problems.iter().enumerate() {
        let mut one = String::new();
        if !problem.field.is_empty() {
            let _ = write!(one, "{}: ", problem.field);
        }
        one.push_str(&problem.message);
        if !problem.hint.is_empty() {
            let _ = write!(one, " ({})", problem.hint);
        }
        if at > 0 && text.len() + one.len() > LONGEST {
            let _ = write!(text, "; and {} more", problems.len() - at);
            return text;
        }
        if at > 0 {
            text.push_str("; ");
        }
        text.push_str(&cut(one));
    }
    text
}

/// At most as much as a message may be long, at the end of a character.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
