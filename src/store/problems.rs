//! What the store finds wrong with objects, kept by object until the object or the finding changes.

use api::{Kind, ObjectKey, Problem};

use crate::tables::Tables;

impl Tables {
    /// Replaces the problems of one object.
    pub(crate) fn report(&mut self, key: &ObjectKey, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.problems.remove(key);
        } else {
            self.problems.insert(key.clone(), problems);
        }
    }

    /// Replaces the problems of all objects of a kind.
    pub(crate) fn report_kind(&mut self, kind: Kind, problems: Vec<Problem>) {
        self.problems.retain(|key, _| key.kind != kind);
        for problem in problems {
            self.problems.entry(problem.object.clone()).or_default().push(problem);
        }
    }
}
