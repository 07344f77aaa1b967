//! Matchers of texts.
//!
//! Source: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/matcher/v3/string.proto>.

use anyhow::{Context, Result, bail};
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher};
use regex::{Captures, Regex};

/// Whether a text fits.
pub(super) fn text(matcher: &StringMatcher, value: &str) -> Result<bool> {
    let folded = |text: &str| if matcher.ignore_case { text.to_lowercase() } else { text.to_owned() };
    let value_folded = folded(value);
    Ok(match &matcher.match_pattern {
        Some(MatchPattern::Exact(wanted)) => value_folded == folded(wanted),
        Some(MatchPattern::Prefix(wanted)) => value_folded.starts_with(&folded(wanted)),
        Some(MatchPattern::Suffix(wanted)) => value_folded.ends_with(&folded(wanted)),
        Some(MatchPattern::Contains(wanted)) => value_folded.contains(&folded(wanted)),
        // Letter case is the expression's own business.
        Some(MatchPattern::SafeRegex(regex)) => whole(regex, value)?,
        Some(MatchPattern::Custom(custom)) => bail!("the simulator does not know {}", custom.name),
        None => bail!("a matcher of texts without a pattern"),
    })
}

/// Whether the expression fits the whole text.
pub(super) fn whole(matcher: &RegexMatcher, value: &str) -> Result<bool> {
    let regex = compile(&format!("^(?:{})$", matcher.regex))?;
    Ok(regex.is_match(value))
}

/// The text with all that the expression fits replaced. `\1` stands for a group, `\0` for all of it.
pub(super) fn replace(rewrite: &RegexMatchAndSubstitute, value: &str) -> Result<String> {
    let pattern = rewrite.pattern.as_ref().context("a rewrite without an expression")?;
    let regex = compile(&pattern.regex)?;
    Ok(regex.replace_all(value, |found: &Captures<'_>| expand(&rewrite.substitution, found)).into_owned())
}

fn expand(substitution: &str, found: &Captures<'_>) -> String {
    let mut text = String::new();
    let mut chars = substitution.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some(digit) if digit.is_ascii_digit() => {
                let group = usize::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0);
                text.push_str(found.get(group).map_or("", |g| g.as_str()));
            }
            other => text.extend(other),
        }
    }
    text
}

fn compile(regex: &str) -> Result<Regex> {
    Regex::new(regex).with_context(|| format!("expression {regex}"))
}
