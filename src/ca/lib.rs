//! Identity out: the authority that signs certificates of workloads, where its key and certificates come from, and proofs
//! of who has the key.
//!
//! Time is always a parameter, nothing here reads a clock. The only I/O is the state folder ([`state`]) and that of
//! plugged-in files ([`plugged`]); [`cores`] asks the system to keep keys in memory.

mod anchor;
mod authority;
mod bundle;
pub mod cores;
mod crl;
mod csr;
mod der;
mod error;
mod identity;
mod joined;
mod kept;
mod key;
mod leaf;
mod namesakes;
mod peer;
mod pem;
pub mod plugged;
mod replacement;
mod returned;
mod root;
mod rotation;
mod sign;
mod signature;
mod signer;
pub mod state;

pub use anchor::Anchor;
pub use authority::{Authority, Issued, Limits, OWN_ROOTS, Standing};
pub use csr::{Csr, MAX_CSR};
pub use error::{Error, Fault};
pub use identity::SpiffeId;
pub use joined::join_roots;
pub use kept::Kept;
pub use key::{PrivateKey, PublicKey};
pub use peer::{PROOF_LIFETIME, PeerKey};
pub use pem::{check_key_pair, check_roots};
pub use replacement::{Confirmed, Pace, Replacement, Stage, Waiting};
pub use returned::Returned;
pub use root::{Fresh, Root};
pub use rotation::Renewal;
pub use sign::{BACKDATE, DEFAULT_LIFETIME, MAX_LIFETIME, Request, ServerRequest, Signed, check_lifetime};
