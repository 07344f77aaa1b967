//! One resource in the client: what it serves with, and what waits to take its place.

use bytes::Bytes;

use super::references::References;

/// A form of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) body: Bytes,
    pub(super) names: References,
}

/// A cluster or a listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Warmed {
    /// What serves.
    pub(super) active: Option<Form>,
    /// What will take its place when all that it needs has come.
    pub(super) warming: Option<Form>,
}

impl Warmed {
    /// The newest form.
    pub(super) fn newest(&self) -> Option<&Form> {
        self.warming.as_ref().or(self.active.as_ref())
    }

    /// Takes a newer form, which warms; says whether it is another than the newest.
    pub(super) fn take(&mut self, form: Form) -> bool {
        if self.newest() == Some(&form) {
            return false;
        }
        self.warming = Some(form);
        true
    }

    /// Ends warming.
    pub(super) fn activate(&mut self) {
        if let Some(form) = self.warming.take() {
            self.active = Some(form);
        }
    }

    /// The forms that live.
    pub(super) fn forms(&self) -> impl Iterator<Item = &Form> {
        self.active.iter().chain(&self.warming)
    }
}
