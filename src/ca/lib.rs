//! Identity out: the development root and the certificates that it signs.
