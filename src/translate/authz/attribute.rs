//! Attributes of requests and connections that policies look at, each with the matcher that Envoy has for a value of it.
//!
//! Source: Istio `pilot/pkg/security/authz/model/generator.go`; `shared/spec/security.md` 8.4.

use super::node::Node;

/// An attribute.
pub(super) trait Attribute {
    /// What matchers of it are put together to.
    type Node: Node;

    /// Whether connections that do not carry HTTP lack it.
    fn is_of_http(&self) -> bool;

    /// The matcher of one value.
    ///
    /// # Errors
    /// The value has no meaning.
    fn matcher(&self, value: &str) -> Result<Self::Node, Wrong>;

    /// The matcher of a whole list, for attributes that have one; else the values are alternatives.
    fn of_list(&self, values: &[String]) -> Option<Self::Node> {
        let _ = values;
        None
    }
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl Wrong {
    pub(super) fn new(message: String, hint: &'static str) -> Self {
        Self { message, hint }
    }
}

/// An attribute with the values that it must or must not have.
#[derive(Clone, Debug)]
pub(super) struct Condition<A> {
    /// What is looked at; an error if nobody knows it.
    pub(super) attribute: Result<A, Wrong>,
    /// The field that names the attribute.
    pub(super) field: String,
    /// Values of which one must match, and the name of their list.
    pub(super) values: (Vec<String>, String),
    /// Values of which none may match, and the name of their list.
    pub(super) excluded: (Vec<String>, String),
}

/// Text in brackets.
pub(super) fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}
