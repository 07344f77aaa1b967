//! The rim: ADS over HTTP/2, with one engine thread behind it.
//!
//! ```text
//! listen      sockets -> connections: keepalive, limits, graceful shutdown; paths that are not ADS go to a router
//! places      for how many connections there is room, and for how many of one address
//! service     a request for one of the two ADS methods -> a response with an `AdsBody`
//! body        one stream as an HTTP/2 body: reads requests, waits for sets, makes the next response when asked
//! engine      the thread that owns the engine: connects, disconnects, updates
//! mailbox     the newest sets for one stream, or the order to end
//! gate        who opens a stream: a trait
//! registrar   what is done elsewhere for clients that are registered: a trait
//! clients     all streams, for `/debug`
//! view        all streams, for how far objects have come
//! ```

mod backend;
mod body;
mod clients;
mod clock;
mod codec;
mod config;
mod debug_types;
mod doubts;
mod engine;
mod gate;
mod listen;
mod mailbox;
mod places;
mod rate;
mod recent;
mod registrar;
mod request;
mod requests;
mod service;
mod status;
mod view;

pub use clients::{Client, ClientStatus, Clients};
pub use config::Config;
pub use debug_types::{Answering, DebugAnswer, DebugTypes};
pub use engine::EngineHandle;
pub use gate::{Admitting, Gate};
pub use listen::{Hooks, Server};
pub use places::{Full, Place, Places};
pub use registrar::{Health, Registered, Registering, Registrar};
pub use requests::{ReadRequest, read_requests};
pub use status::Status;
pub use view::spread_now;
