//! The ADS protocol of one stream as pure state: requests and sets in, responses in their order out.
//!
//! Nothing here knows a socket, a task or a clock: time comes in as the [`std::time::Duration`] since a start
//! that the caller chose. [`Stream`] is the whole of it; the other files are its parts:
//!
//! ```text
//! subscription  which names of a type the client wants
//! watch         what the client is taken to hold of a type: a set, and the names that it is still owed
//! ledger        nonces: what was sent, acknowledged, rejected
//! order         what waits for what (make before break)
//! delta, sotw   what a request of either variant does to a watch
//! answer        the next response that may go out
//! ```

mod answer;
mod delta;
mod ledger;
mod message;
mod needs;
mod order;
mod sotw;
mod status;
mod stream;
mod subscription;
mod watch;

pub use ledger::Rejection;
pub use message::{DeltaRequest, Response, SotwRequest, Variant};
pub use order::{Limits, Step};
pub use status::{SentState, Standing, StreamStatus, WatchStatus};
pub use stream::{Context, Event, NameLists, Stream, assignments};
