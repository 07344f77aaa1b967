//! What the mesh is: services, endpoints, workloads, typed configuration, the immutable Mesh, and what of a proxy matters.
