//! The mesh said in Envoy's words: plans and the resources built from them.
