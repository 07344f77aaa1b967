//! The answer as `kubectl` shows it: errors as a list, warnings within the bounds that the API server has for them.

use api::Problem;

/// The longest warning that the API server does not cut when there are many, in characters.
const WARNING: usize = 256;
/// All characters of warnings that it hands on.
const WARNINGS: usize = 4096;
/// Bytes of a refusal beyond which no further error is listed.
const REFUSAL: usize = 32 * 1024;

/// What the last warning says if there are more. Kept free for it: its length with a number of five digits.
const MORE: &str = "more; `pilothouse validate FILE` lists all of them";
const FOR_MORE: usize = 64;

/// The refusal of an object with these errors, of which there is at least one.
pub(super) fn refusal(errors: &[String]) -> String {
    if let [error] = errors {
        return format!("configuration is invalid: {error}");
    }
    let mut text = format!("configuration is invalid: {} errors:", errors.len());
    for (index, error) in errors.iter().enumerate() {
        if text.len() + error.len() > REFUSAL {
            text.push_str(&format!("\n* and {} {MORE}", errors.len() - index));
            break;
        }
        text.push_str("\n* ");
        text.push_str(error);
    }
    text
}

/// A finding in one line: what it is about, what is wrong, what to write instead.
pub(super) fn line(problem: &Problem) -> String {
    let bare = without_hint(problem);
    if problem.hint.is_empty() { bare } else { format!("{bare} ({})", printable(&problem.hint)) }
}

/// The same, short enough for a warning.
pub(super) fn warning(problem: &Problem) -> String {
    let full = line(problem);
    let text = if full.chars().count() <= WARNING { full } else { without_hint(problem) };
    cut(text)
}

/// As many of the warnings as the API server hands on, and how many are left out.
pub(super) fn fitting(mut warnings: Vec<String>) -> Vec<String> {
    let total: usize = warnings.iter().map(|w| w.chars().count()).sum();
    if total <= WARNINGS {
        return warnings;
    }
    let mut room = WARNINGS - FOR_MORE;
    let kept = warnings
        .iter()
        .take_while(|warning| {
            let rest = room.checked_sub(warning.chars().count());
            room = rest.unwrap_or(0);
            rest.is_some()
        })
        .count();
    let left_out = warnings.len() - kept;
    warnings.truncate(kept);
    warnings.push(format!("and {left_out} {MORE}"));
    warnings
}

fn without_hint(problem: &Problem) -> String {
    let place = if problem.field.is_empty() { String::new() } else { format!(" {}", problem.field) };
    printable(&format!("{}{place}: {}", problem.object, problem.message))
}

/// What an object quotes may hold anything; an HTTP header and a terminal hold no control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: String) -> String {
    if text.chars().count() <= WARNING {
        return text;
    }
    text.chars().take(WARNING - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use api::{Kind, ObjectKey, Severity};

    use super::*;

    fn problem(message: &str, hint: &str) -> Problem {
        Problem {
            severity: Severity::Warning,
            object: ObjectKey { kind: Kind::Gateway, namespace: "shop".into(), name: "web".into() },
            field: "spec.servers[0]".to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
        }
    }

    #[test]
    fn a_long_warning_loses_its_hint_first_and_then_its_end() {
        let hint = "h".repeat(250);
        assert_eq!(warning(&problem("what", "do")), "Gateway/shop/web spec.servers[0]: what (do)");
        assert_eq!(warning(&problem("what", &hint)), "Gateway/shop/web spec.servers[0]: what");
        let long = warning(&problem(&"é".repeat(300), &hint));
        assert_eq!(long.chars().count(), WARNING);
        assert!(long.starts_with("Gateway/shop/web") && long.ends_with("é…"));
    }

    #[test]
    fn warnings_fill_no_more_than_their_room() {
        let few = vec!["w".repeat(256); 16];
        assert_eq!(fitting(few.clone()), few);
        let many = fitting(vec!["w".repeat(256); 1000]);
        assert!(many.iter().map(|w| w.chars().count()).sum::<usize>() <= WARNINGS);
        assert_eq!(many.len(), 16);
        assert_eq!(many[15], format!("and 985 {MORE}"));
    }

    #[test]
    fn a_refusal_lists_every_error_within_reason() {
        let errors = ["a: one".to_owned(), "b: two".to_owned()];
        assert_eq!(refusal(&errors[..1]), "configuration is invalid: a: one");
        assert_eq!(refusal(&errors), "configuration is invalid: 2 errors:\n* a: one\n* b: two");
        let endless = refusal(&vec!["e".repeat(100); 10_000]);
        assert!(endless.len() < REFUSAL + 200);
        assert!(endless.starts_with("configuration is invalid: 10000 errors:\n* e"));
        assert!(endless.ends_with(MORE));
    }

    #[test]
    fn what_an_object_quotes_breaks_no_line() {
        assert!(!line(&problem("a\nb\u{7f}", "c\rd")).contains(char::is_control));
    }
}
