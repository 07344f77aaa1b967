//! How the mesh changes: events in, the next Mesh and a ChangeSet out.
