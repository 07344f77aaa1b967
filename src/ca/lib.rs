//! Identity out: the development root kept in a state folder, the certificates that it signs, and proofs of who has it.
//!
//! Time is always a parameter, nothing here reads a clock. The only I/O is the state folder ([`state`]).

mod error;
mod identity;
mod key;
mod peer;
mod pem;
mod root;
mod sign;
pub mod state;

pub use error::Error;
pub use identity::SpiffeId;
pub use key::{PrivateKey, PublicKey};
pub use peer::{PROOF_LIFETIME, PeerKey};
pub use pem::{check_key_pair, check_roots};
pub use root::Root;
pub use sign::{BACKDATE, DEFAULT_LIFETIME, MAX_LIFETIME, Request, ServerRequest, Signed};
