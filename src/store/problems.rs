//! What the store finds wrong with objects, kept by object until the object or the finding changes.

use api::{ObjectKey, Problem};

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
}
