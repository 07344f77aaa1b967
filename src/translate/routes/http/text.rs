//! Matches of texts, and texts that Envoy would refuse.

use api::istio::StringMatch;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use model::re2;

/// What is wrong with a field of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The field, from the rule on.
    pub(super) field: String,
    /// What is wrong.
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A text match in Envoy's form; none if nothing is set, or if it is the expression `*`: both only test for presence.
pub(super) fn matcher(wanted: &StringMatch, field: &str) -> Result<Option<StringMatcher>, Wrong> {
    let pattern = if let Some(exact) = &wanted.exact {
        MatchPattern::Exact(line(exact, field)?)
    } else if let Some(prefix) = &wanted.prefix {
        if prefix.is_empty() {
            return Err(Wrong::new(field, "a prefix must not be empty"));
        }
        MatchPattern::Prefix(line(prefix, field)?)
    } else if let Some(regex) = &wanted.regex {
        if regex == "*" {
            return Ok(None);
        }
        MatchPattern::SafeRegex(expression(regex, field)?)
    } else {
        return Ok(None);
    };
    Ok(Some(StringMatcher { ignore_case: false, match_pattern: Some(pattern) }))
}

/// An expression in Envoy's form.
pub(super) fn expression(regex: &str, field: &str) -> Result<RegexMatcher, Wrong> {
    if regex.is_empty() {
        return Err(Wrong::new(field, "an expression must not be empty"));
    }
    re2::check(regex).map_err(|why| Wrong::new(field, format!("`{regex}` is no RE2 expression: {why}")))?;
    Ok(RegexMatcher { regex: regex.to_owned(), engine_type: None })
}

/// A text without the characters that end a header line.
pub(super) fn line(text: &str, field: &str) -> Result<String, Wrong> {
    if text.contains(['\0', '\r', '\n']) {
        return Err(Wrong::new(field, "line ends and NUL cannot stand here"));
    }
    Ok(text.to_owned())
}
