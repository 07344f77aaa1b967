//! Keys of those who issue tokens, as a source fetched them.

use std::sync::Arc;

use model::mesh::JwksSource;

use crate::next::Pending;
use crate::tables::Tables;

impl Tables {
    /// Takes the keys that an issuer has now; none if nobody asks for them any more, or if they are too old to be trusted.
    pub fn take_keys(&mut self, source: &JwksSource, keys: Option<&Arc<str>>) -> Option<Pending> {
        if self.jwks.get(source) == keys {
            return None;
        }
        match keys {
            Some(keys) => self.jwks.insert(source.clone(), Arc::clone(keys)),
            None => self.jwks.remove(source),
        };
        self.dirty.jwks = true;
        Some(Pending::Configuration)
    }
}
