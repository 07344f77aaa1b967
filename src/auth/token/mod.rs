//! Tokens (RFC 7519): claims, and whether they hold. Which issuer is believed, and what a token is bound to, others decide.

mod claims;
mod keys;
mod own;
mod verified;

pub(crate) use claims::{Bound, Claims, account, issuer};
pub use keys::{FetchKeys, Published};
pub(crate) use keys::{Keys, Unverified};
pub use own::OwnTokens;
pub(crate) use verified::{Hash, Verified};

/// Longer tokens are not looked at; those of Kubernetes have about 1,000 bytes.
pub(crate) const LONGEST: usize = 16 * 1024;
