//! Identity out: the development root kept in a state folder and the certificates that it signs.
//!
//! Time is always a parameter, nothing here reads a clock. The only I/O is the state folder ([`state`]).

mod error;
mod identity;
mod key;
mod pem;
mod root;
mod sign;
pub mod state;

pub use error::Error;
pub use identity::SpiffeId;
pub use key::{PrivateKey, PublicKey};
pub use pem::{check_key_pair, check_roots};
pub use root::Root;
pub use sign::{BACKDATE, DEFAULT_LIFETIME, MAX_LIFETIME, Request, ServerRequest, Signed};
