//! What a builder returns: a message, the objects that it came from, and the problems met on the way.

use api::{ObjectRef, Problem};

/// A built resource. Translation is total: whatever the input, there is a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built<M> {
    /// The resource.
    pub message: M,
    /// The objects that it came from.
    pub sources: Vec<ObjectRef>,
    /// What could not be said as asked.
    pub problems: Vec<Problem>,
}

impl<M> Built<M> {
    /// A message without problems.
    pub fn new(message: M, sources: Vec<ObjectRef>) -> Self {
        Self { message, sources, problems: Vec::new() }
    }

    /// The same with another message.
    pub fn map<N>(self, f: impl FnOnce(M) -> N) -> Built<N> {
        Built { message: f(self.message), sources: self.sources, problems: self.problems }
    }
}
