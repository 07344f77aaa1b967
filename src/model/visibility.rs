//! Who sees an object: `exportTo` on Services, ServiceEntries, VirtualServices and DestinationRules.
//!
//! Source: Istio `pkg/config/visibility`; `shared/spec/xds.md` 6.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The namespaces that see an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExportTo {
    /// `*`: everybody.
    All,
    /// `~`: nobody, the own namespace included.
    Nobody,
    /// The named namespaces; `.` is resolved to the object's own.
    Namespaces(BTreeSet<Arc<str>>),
}

impl ExportTo {
    /// What an `exportTo` list says for an object of `namespace`; an empty list says what `default` says.
    ///
    /// `*` beats everything else in the list; `~` counts only if nothing else is named.
    pub fn parse<S: AsRef<str>>(list: &[S], namespace: &Arc<str>, default: &[String]) -> Self {
        let words: Vec<&str> = if list.is_empty() {
            default.iter().map(String::as_str).collect()
        } else {
            list.iter().map(AsRef::as_ref).collect()
        };
        if words.is_empty() || words.contains(&"*") {
            return Self::All;
        }
        let named: BTreeSet<Arc<str>> = words
            .iter()
            .filter(|w| **w != "~")
            .map(|w| if *w == "." { Arc::clone(namespace) } else { Arc::from(*w) })
            .collect();
        if named.is_empty() { Self::Nobody } else { Self::Namespaces(named) }
    }

    /// Whether a client of `namespace` sees the object.
    pub fn visible_to(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::Namespaces(names) => names.contains(namespace),
        }
    }

    /// Whether only the object's own namespace sees it.
    pub fn is_private(&self, own: &str) -> bool {
        matches!(self, Self::Namespaces(names) if names.len() == 1 && names.contains(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str], default: &[&str]) -> ExportTo {
        let default: Vec<String> = default.iter().map(|s| (*s).to_owned()).collect();
        ExportTo::parse(list, &Arc::from("shop"), &default)
    }

    #[test]
    fn lists_and_defaults() {
        assert_eq!(parse(&[], &["*"]), ExportTo::All);
        assert!(parse(&[], &["."]).is_private("shop"));
        assert_eq!(parse(&["~"], &["*"]), ExportTo::Nobody);
        assert_eq!(parse(&[".", "*"], &[]), ExportTo::All);
        assert!(parse(&[".", "west"], &[]).visible_to("west"));
        assert!(!parse(&["west"], &[]).visible_to("shop"), "the own namespace sees it only if named");
    }
}
