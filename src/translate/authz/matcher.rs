//! Matchers of strings, headers and metadata, as values of policies spell them: whole, `prefix*`, `*suffix` or `*`.

use envoy::config::route::v3::HeaderMatcher;
use envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy::r#type::matcher::v3::metadata_matcher::{PathSegment, path_segment::Segment};
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::r#type::matcher::v3::value_matcher;
use envoy::r#type::matcher::v3::{
    ListMatcher, MetadataMatcher, OrMatcher, RegexMatcher, StringMatcher, ValueMatcher, list_matcher,
};

/// A matcher of whole strings.
pub(super) fn exact(text: impl Into<String>) -> StringMatcher {
    pattern(MatchPattern::Exact(text.into()))
}

/// A matcher of beginnings; `text` is not empty.
pub(super) fn prefix(text: impl Into<String>) -> StringMatcher {
    pattern(MatchPattern::Prefix(text.into()))
}

/// A matcher of ends; `text` is not empty.
pub(super) fn suffix(text: impl Into<String>) -> StringMatcher {
    pattern(MatchPattern::Suffix(text.into()))
}

/// A matcher by a regular expression that holds for the whole string. What users wrote comes in [`quoted`].
pub(super) fn regex(regex: impl Into<String>) -> StringMatcher {
    let regex = regex.into();
    pattern(MatchPattern::SafeRegex(RegexMatcher { regex, ..RegexMatcher::default() }))
}

/// A matcher of all strings but the empty one: Envoy refuses empty prefixes.
pub(super) fn present() -> StringMatcher {
    regex(".+")
}

/// A value of a policy.
pub(super) fn value(value: &str) -> StringMatcher {
    match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
        ("*", _, _) => present(),
        (_, Some(end), _) => suffix(end),
        (_, _, Some(beginning)) => prefix(beginning),
        _ => exact(value),
    }
}

/// A value of a policy behind `spiffe://`, which no wildcard stands for.
///
/// An end that is looked for as a suffix would not be found on TCP, where the whole name is one string.
pub(super) fn identity(value: &str) -> StringMatcher {
    const SCHEME: &str = "spiffe://";
    match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
        ("*", _, _) => present(),
        (_, Some(end), _) => regex(format!("{SCHEME}.*{}", quoted(end))),
        (_, _, Some(beginning)) => prefix(format!("{SCHEME}{beginning}")),
        _ => exact(format!("{SCHEME}{value}")),
    }
}

fn pattern(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

/// Text in which no character has a meaning to RE2.
pub(super) fn quoted(text: &str) -> String {
    const SPECIAL: &str = r"\.+*?()|[]{}^$";
    text.chars().flat_map(|c| SPECIAL.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A header with a value of a policy; `*` asks for the header alone.
pub(super) fn header(name: &str, wanted: &str, ignore_case: bool) -> HeaderMatcher {
    let specifier = match wanted {
        "*" => HeaderMatchSpecifier::PresentMatch(true),
        _ => HeaderMatchSpecifier::StringMatch(StringMatcher { ignore_case, ..value(wanted) }),
    };
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

/// A string in metadata.
pub(super) fn string(matcher: StringMatcher) -> ValueMatcher {
    ValueMatcher { match_pattern: Some(value_matcher::MatchPattern::StringMatch(matcher)) }
}

/// A list in metadata of which one member matches.
pub(super) fn member(matcher: ValueMatcher) -> ValueMatcher {
    let one = list_matcher::MatchPattern::OneOf(Box::new(matcher));
    let list = Box::new(ListMatcher { match_pattern: Some(one) });
    ValueMatcher { match_pattern: Some(value_matcher::MatchPattern::ListMatch(list)) }
}

/// Any of these; a single one stands for itself.
pub(super) fn any(mut matchers: Vec<ValueMatcher>) -> ValueMatcher {
    if matchers.len() == 1
        && let Some(only) = matchers.pop()
    {
        return only;
    }
    let any = OrMatcher { value_matchers: matchers };
    ValueMatcher { match_pattern: Some(value_matcher::MatchPattern::OrMatch(any)) }
}

/// What a filter wrote into metadata under a path of keys.
pub(super) fn metadata<'a>(
    filter: &str,
    path: impl IntoIterator<Item = &'a str>,
    value: ValueMatcher,
) -> MetadataMatcher {
    let segment = |key: &str| PathSegment { segment: Some(Segment::Key(key.to_owned())) };
    MetadataMatcher {
        filter: filter.to_owned(),
        path: path.into_iter().map(segment).collect(),
        value: Some(value),
        ..MetadataMatcher::default()
    }
}
