//! Envoy's wire types, generated from the pinned descriptor set that envoy-types ships.
