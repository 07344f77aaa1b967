//! What filters write for those after them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use envoy::r#type::matcher::v3::metadata_matcher::path_segment::Segment;
use envoy::r#type::matcher::v3::{MetadataMatcher, ValueMatcher, list_matcher, value_matcher};
use serde_json::{Map, Value};

use crate::simulator::{known, matcher};

/// What was written, by filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::simulator) struct Metadata(BTreeMap<String, Map<String, Value>>);

impl Metadata {
    /// Writes a value in place of what stood there.
    pub(in crate::simulator) fn write(&mut self, filter: &str, key: &str, value: Value) {
        self.0.entry(filter.to_owned()).or_default().insert(key.to_owned(), value);
    }

    /// Whether a matcher fits.
    pub(super) fn fits(&self, wanted: &MetadataMatcher) -> Result<bool> {
        known::only(wanted, &["filter", "path", "value", "invert"], &[])?;
        let mut path = wanted.path.iter().map(|segment| match &segment.segment {
            Some(Segment::Key(key)) => Ok(key),
            None => bail!("a path without a key"),
        });
        let first = path.next().context("no path")??;
        let mut found = self.0.get(&wanted.filter).and_then(|of_filter| of_filter.get(first));
        for key in path {
            let key = key?;
            found = found.and_then(|value| value.get(key));
        }
        let value = wanted.value.as_ref().context("no value")?;
        Ok(fits(value, found.unwrap_or(&Value::Null))? != wanted.invert)
    }
}

/// Whether a value fits; what is not there is null.
fn fits(wanted: &ValueMatcher, value: &Value) -> Result<bool> {
    Ok(match &wanted.match_pattern {
        Some(value_matcher::MatchPattern::StringMatch(text)) => match value {
            Value::String(value) => matcher::text(text, value)?,
            _ => false,
        },
        Some(value_matcher::MatchPattern::ListMatch(list)) => {
            let Some(list_matcher::MatchPattern::OneOf(one)) = &list.match_pattern else {
                bail!("a list of which nothing is asked");
            };
            let members = value.as_array().into_iter().flatten();
            members.map(|member| fits(one, member)).try_fold(false, |any, fits| anyhow::Ok(any || fits?))?
        }
        Some(value_matcher::MatchPattern::OrMatch(any)) => {
            let each = any.value_matchers.iter().map(|one| fits(one, value));
            each.into_iter().try_fold(false, |any, fits| anyhow::Ok(any || fits?))?
        }
        other => bail!("the simulator does not know the value {other:?}"),
    })
}
