//! Which Events a change of an object's conditions is worth.

use api::Condition;

use super::conditions::{ACCEPTED, PROGRAMMED, Said};
use crate::event::Note;

/// The longest note that the API takes, in bytes.
const LONGEST: usize = 1000;

/// What to tell of `said`, now that it takes the place of what the object had. That a fresh object is fine is not told, nor
/// how many proxies have it.
pub(super) fn notes(before: &[Condition], said: &[Said]) -> Vec<Note> {
    let old = |r#type: &str| before.iter().find(|condition| condition.r#type == r#type);
    let mut notes: Vec<Note> = said
        .iter()
        .filter(|said| is_trouble(said.r#type, said.status, said.reason))
        .filter(|said| {
            old(said.r#type)
                .is_none_or(|old| (old.reason.as_str(), &old.message) != (said.reason, &said.message))
        })
        .map(|said| Note { warning: true, reason: said.reason, text: cut(&said.message) })
        .collect();
    let now = |r#type: &str| said.iter().find(|said| said.r#type == r#type);
    let over = before
        .iter()
        .filter(|old| is_trouble(&old.r#type, &old.status, &old.reason))
        .filter(|old| now(&old.r#type).is_none_or(|now| !is_trouble(now.r#type, now.status, now.reason)));
    notes.extend(over.map(|old| Note {
        warning: false,
        reason: "Mended",
        text: cut(&format!("no longer: {}", old.message)),
    }));
    notes
}

/// Whether a condition tells of something that is wrong.
fn is_trouble(r#type: &str, status: &str, reason: &str) -> bool {
    match r#type {
        ACCEPTED => status == "False",
        PROGRAMMED => reason == "Refused",
        super::conditions::PARTIALLY_INVALID | super::conditions::WARNING => status == "True",
        _ => false,
    }
}

fn cut(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let cut = text.get(..end).unwrap_or_default();
    if cut.len() < text.len() { format!("{cut}…") } else { cut.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::conditions::WARNING;

    fn said(r#type: &'static str, status: &'static str, reason: &'static str, message: &str) -> Said {
        Said { r#type, status, reason, message: message.to_owned() }
    }

    fn had(said: &Said) -> Condition {
        Condition {
            r#type: said.r#type.to_owned(),
            status: said.status.to_owned(),
            reason: said.reason.to_owned(),
            message: said.message.clone(),
            ..Condition::default()
        }
    }

    fn told(before: &[&Said], now: &[&Said]) -> Vec<String> {
        let before: Vec<Condition> = before.iter().map(|said| had(said)).collect();
        let now: Vec<Said> = now.iter().map(|said| (*said).clone()).collect();
        let line = |note: Note| format!("{} {}: {}", note.warning, note.reason, note.text);
        notes(&before, &now).into_iter().map(line).collect()
    }

    #[test]
    fn trouble_is_told_when_it_comes_changes_and_goes() {
        let fine = said(ACCEPTED, "True", "Accepted", "");
        let bad = said(ACCEPTED, "False", "Invalid", "no host");
        let worse = said(ACCEPTED, "False", "Invalid", "no host; no route");
        let doubt = said(WARNING, "True", "Doubtful", "never reached");
        assert_eq!(told(&[], &[&fine]), [""; 0], "a fresh object that is fine");
        assert_eq!(told(&[&fine], &[&bad]), ["true Invalid: no host"]);
        assert_eq!(told(&[&bad], &[&bad]), [""; 0]);
        assert_eq!(told(&[&bad], &[&worse]), ["true Invalid: no host; no route"]);
        assert_eq!(
            told(&[&bad], &[&fine, &doubt]),
            ["true Doubtful: never reached", "false Mended: no longer: no host"]
        );
        assert_eq!(told(&[&doubt], &[&fine]), ["false Mended: no longer: never reached"]);
    }

    #[test]
    fn of_progress_only_refusals_are_told() {
        let pending = said(PROGRAMMED, "False", "Pending", "accepted by 1 of 2 proxies");
        let refused = said(PROGRAMMED, "False", "Refused", "refused by 1 of 2 proxies; x: no");
        let done = said(PROGRAMMED, "True", "Programmed", "accepted by all 2 proxies that need it");
        assert_eq!(told(&[], &[&pending]), [""; 0]);
        assert_eq!(told(&[&pending], &[&refused]), ["true Refused: refused by 1 of 2 proxies; x: no"]);
        assert_eq!(
            told(&[&refused], &[&done]),
            ["false Mended: no longer: refused by 1 of 2 proxies; x: no"]
        );
    }

    #[test]
    fn a_note_is_no_longer_than_the_api_takes() {
        let long = said(WARNING, "True", "Doubtful", &"é".repeat(2000));
        assert!(told(&[], &[&long])[0].len() <= 1024);
    }
}
