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
    /// What an `exportTo` list says for a Service, ServiceEntry or VirtualService of `namespace`; an empty list says
    /// what `default` says.
    ///
    /// `*` beats everything else in the list, and `~` all that is left.
    pub fn parse<S: AsRef<str>>(list: &[S], namespace: &Arc<str>, default: &[String]) -> Self {
        let own: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
        let default: Vec<&str> = default.iter().map(String::as_str).collect();
        let words = if own.is_empty() { default } else { own };
        let hidden = words.contains(&"~") && !words.contains(&"*");
        if hidden { Self::Nobody } else { Self::named(&words, namespace) }
    }

    /// What an `exportTo` list says where `~` beside other words counts for nothing: for delegates.
    ///
    /// An empty list means everybody.
    pub fn named<S: AsRef<str>>(words: &[S], namespace: &Arc<str>) -> Self {
        if words.is_empty() || words.iter().any(|word| word.as_ref() == "*") {
            return Self::All;
        }
        let names = words.iter().map(AsRef::as_ref).filter(|word| *word != "~");
        let names = names.map(|word| if word == "." { Arc::clone(namespace) } else { Arc::from(word) });
        let names: BTreeSet<Arc<str>> = names.collect();
        if names.is_empty() { Self::Nobody } else { Self::Namespaces(names) }
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

    #[test]
    fn defaults_of_several_words_count_as_lists_do() {
        assert_eq!(parse(&[], &[".", "*"]), ExportTo::All);
        assert_eq!(parse(&[], &["~", "*"]), ExportTo::All);
        assert_eq!(
            parse(&[], &[".", "~"]),
            ExportTo::Nobody,
            "what is for nobody is for no one who is named"
        );
        assert_eq!(parse(&[], &[".", "west"]), parse(&["shop", "west"], &[]));
    }

    #[test]
    fn beside_names_nobody_may_count_for_nothing() {
        let named = |words: &[&str]| ExportTo::named(words, &Arc::from("shop"));
        assert!(named(&[".", "~"]).is_private("shop"));
        assert_eq!(named(&["~"]), ExportTo::Nobody);
        assert_eq!(named(&[]), ExportTo::All);
    }
}
