//! Collects what is wrong with one object, each at the path of its field.

use std::fmt::Display;

use api::{ObjectKey, Problem, Severity};

/// The findings of one object, and where in it the rules look at present.
pub(crate) struct Check {
    object: ObjectKey,
    path: String,
    found: Vec<Problem>,
}

impl Check {
    /// At the object's `spec`, with nothing found.
    pub(crate) fn new(object: ObjectKey) -> Self {
        Self { object, path: "spec".to_owned(), found: Vec::new() }
    }

    /// What was found, in the order of the rules.
    pub(crate) fn done(self) -> Vec<Problem> {
        self.found
    }

    /// Looks at the document as a whole instead of its `spec`.
    pub(crate) fn document<R>(&mut self, look: impl FnOnce(&mut Self) -> R) -> R {
        let spec = std::mem::take(&mut self.path);
        let result = look(self);
        self.path = spec;
        result
    }

    /// Looks at a field of where it is now; an empty name stays there.
    pub(crate) fn at<R>(&mut self, field: impl Display, look: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.enter(&field.to_string());
        let result = look(self);
        self.path.truncate(length);
        result
    }

    /// Looks at each item of a list.
    pub(crate) fn each<'i, T: 'i>(
        &mut self,
        field: &str,
        items: impl IntoIterator<Item = &'i T>,
        mut look: impl FnMut(&mut Self, &'i T),
    ) {
        for (index, item) in items.into_iter().enumerate() {
            self.at(format_args!("{field}[{index}]"), |check| look(check, item));
        }
    }

    /// Looks at a message that may be absent.
    pub(crate) fn some<T>(&mut self, field: &str, message: Option<&T>, look: impl FnOnce(&mut Self, &T)) {
        if let Some(message) = message {
            self.at(field, |check| look(check, message));
        }
    }

    /// Something that the object must not say; `field` is relative to where it looks now, empty for just there.
    pub(crate) fn error(&mut self, field: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.tell(Severity::Error, field, message.into(), hint.into());
    }

    /// Something that is in effect, but perhaps not as meant.
    pub(crate) fn warning(&mut self, field: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.tell(Severity::Warning, field, message.into(), hint.into());
    }

    fn tell(&mut self, severity: Severity, field: &str, message: String, hint: String) {
        let field = self.at(field, |check| check.path.clone());
        self.found.push(Problem { severity, object: self.object.clone(), field, message, hint });
    }

    fn enter(&mut self, field: &str) {
        if !field.is_empty() {
            if !self.path.is_empty() && !field.starts_with('[') {
                self.path.push('.');
            }
            self.path.push_str(field);
        }
    }
}
