//! From the outside to the mesh: where objects and keys come from, and the thread that makes meshes of them.

pub(crate) mod cluster;
pub(crate) mod inputs;
pub(crate) mod intake;
pub(crate) mod jwks;
pub(crate) mod mesh_thread;
pub(crate) mod remote;
