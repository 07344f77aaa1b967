//! Matches of JWT claims, written as headers `@request.auth.claims.<name>` or `@request.auth.claims[<a>][<b>]`.
//!
//! Source: Istio `pilot/pkg/util/protoconv`, `pkg/jwt/routing.go`; `shared/spec/xds.md` 5.5.

use api::istio::StringMatch;
use envoy::r#type::matcher::v3::list_matcher::MatchPattern as ListPattern;
use envoy::r#type::matcher::v3::metadata_matcher::PathSegment;
use envoy::r#type::matcher::v3::metadata_matcher::path_segment::Segment;
use envoy::r#type::matcher::v3::value_matcher::MatchPattern;
use envoy::r#type::matcher::v3::{ListMatcher, MetadataMatcher, OrMatcher, ValueMatcher};

use super::text::{self, Wrong};

const PREFIX: &str = "@request.auth.claims";

/// The claim that a header's name stands for, from the outermost object inwards; none for a real header.
pub(super) fn path(name: &str) -> Option<Vec<&str>> {
    let (head, rest) = name.split_at_checked(PREFIX.len())?;
    if !head.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let parts: Vec<&str> = if let Some(dotted) = rest.strip_prefix('.') {
        dotted.split('.').collect()
    } else {
        rest.strip_prefix('[')?.strip_suffix(']')?.split("][").collect()
    };
    (!parts.iter().any(|p| p.is_empty())).then_some(parts)
}

/// A matcher of the claim: it is the text, or a list that has the text.
pub(super) fn matcher(path: &[&str], wanted: &StringMatch, field: &str) -> Result<MetadataMatcher, Wrong> {
    let pattern = |pattern| ValueMatcher { match_pattern: Some(pattern) };
    let value = match text::matcher(wanted, field)? {
        Some(text) => {
            let item = Box::new(pattern(MatchPattern::StringMatch(text.clone())));
            let list = ListMatcher { match_pattern: Some(ListPattern::OneOf(item)) };
            let either = vec![
                pattern(MatchPattern::ListMatch(Box::new(list))),
                pattern(MatchPattern::StringMatch(text)),
            ];
            pattern(MatchPattern::OrMatch(OrMatcher { value_matchers: either }))
        }
        None => pattern(MatchPattern::PresentMatch(true)),
    };
    let keys = ["payload"].iter().chain(path);
    Ok(MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".to_owned(),
        path: keys.map(|k| PathSegment { segment: Some(Segment::Key((*k).to_owned())) }).collect(),
        value: Some(value),
        invert: false,
    })
}
