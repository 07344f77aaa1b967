//! What peers trust, as it was put together.

use std::sync::Arc;

use model::Ref;

use crate::next::Pending;
use crate::tables::Tables;

impl Tables {
    /// Takes what peers trust from now on: certificates in PEM, one each.
    pub fn trust(&mut self, certificates: Vec<Arc<str>>) -> Option<Pending> {
        let trusted = Ref::new(certificates);
        if trusted == self.trusted {
            return None;
        }
        self.trusted = trusted;
        self.dirty.trusted = true;
        Some(Pending::Configuration)
    }
}
