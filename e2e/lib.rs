//! Starts real things: stock Envoys in network namespaces, the built binary, traffic.
