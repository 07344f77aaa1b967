//! HTTP rules that are never reached, since one before them takes all that they match.
//!
//! Source: Istio `pkg/config/validation/virtualservice.go`, IST0130 and IST0131.

use std::collections::BTreeMap;

use api::istio::{HttpMatchRequest, HttpRoute, StringMatch};

use super::check::Check;

/// Matches are compared pair by pair: of objects with more of them only those rules are told that stand behind one that
/// takes everything.
const COMPARED: usize = 1000;

/// Tells of each rule, or of each match of it, that is never reached.
pub(super) fn shadowed(check: &mut Check, rules: &[HttpRoute]) {
    let last = rules.iter().position(takes_all);
    for (index, _) in rules.iter().enumerate().skip(last.map_or(rules.len(), |last| last + 1)) {
        let hint = "put the rule that matches everything last";
        let before = last.unwrap_or_default();
        check.warning(
            &format!("http[{index}]"),
            format!("http[{before}] before it takes every request"),
            hint,
        );
    }
    let reached = rules.get(..last.unwrap_or(rules.len())).unwrap_or_default();
    if reached.iter().map(|rule| rule.r#match.len()).sum::<usize>() <= COMPARED {
        covered(check, reached);
    }
}

/// Tells of matches that an earlier rule covers.
fn covered(check: &mut Check, rules: &[HttpRoute]) {
    for (index, rule) in rules.iter().enumerate() {
        for (at, later) in rule.r#match.iter().enumerate() {
            let earlier = rules.iter().enumerate().take(index).find_map(|(before, rule)| {
                let covering = rule.r#match.iter().position(|earlier| covers(earlier, later))?;
                Some(format!("http[{before}].match[{covering}]"))
            });
            if let Some(earlier) = earlier {
                check.warning(
                    &format!("http[{index}].match[{at}]"),
                    format!("{earlier} before it takes all such requests"),
                    "put the rule that matches less before the one that matches more, or delete it",
                );
            }
        }
    }
}

/// Whether a rule has no condition, or one that always holds.
fn takes_all(rule: &HttpRoute) -> bool {
    rule.r#match.is_empty()
        || rule.r#match.iter().any(|matched| covers(matched, &HttpMatchRequest::default()))
}

/// Whether `earlier` takes every request that `later` takes; false where that cannot be told from the text.
fn covers(earlier: &HttpMatchRequest, later: &HttpMatchRequest) -> bool {
    uri_covers(earlier, later)
        && text_covers(earlier.scheme.as_ref(), later.scheme.as_ref())
        && text_covers(earlier.method.as_ref(), later.method.as_ref())
        && text_covers(earlier.authority.as_ref(), later.authority.as_ref())
        && all_covered(&earlier.headers, &later.headers)
        && all_covered(&earlier.query_params, &later.query_params)
        && earlier.without_headers.iter().all(|(name, text)| later.without_headers.get(name) == Some(text))
        && (earlier.port == 0 || earlier.port == later.port)
        && earlier.source_labels.iter().all(|(key, value)| later.source_labels.get(key) == Some(value))
        && (earlier.source_namespace.is_empty() || earlier.source_namespace == later.source_namespace)
        && (earlier.gateways.is_empty()
            || (!later.gateways.is_empty() && later.gateways.iter().all(|g| earlier.gateways.contains(g))))
}

fn uri_covers(earlier: &HttpMatchRequest, later: &HttpMatchRequest) -> bool {
    let everything =
        |text: &StringMatch| text.prefix.as_deref() == Some("/") || text.regex.as_deref() == Some(".*");
    if earlier.uri.as_ref().is_none_or(everything) {
        return true;
    }
    // Without regard to case more is taken.
    (earlier.ignore_uri_case || !later.ignore_uri_case)
        && text_covers(earlier.uri.as_ref(), later.uri.as_ref())
}

fn all_covered(earlier: &BTreeMap<String, StringMatch>, later: &BTreeMap<String, StringMatch>) -> bool {
    earlier
        .iter()
        .all(|(name, text)| later.get(name).is_some_and(|later| text_covers(Some(text), Some(later))))
}

/// Whether a text that `later` takes is taken by `earlier`; a match that says nothing takes whatever is there.
fn text_covers(earlier: Option<&StringMatch>, later: Option<&StringMatch>) -> bool {
    let Some(earlier) = earlier else { return true };
    let Some(later) = later else { return false };
    if earlier == later || *earlier == StringMatch::default() {
        return true;
    }
    let Some(prefix) = &earlier.prefix else { return false };
    [&later.exact, &later.prefix].into_iter().flatten().any(|text| text.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests;
