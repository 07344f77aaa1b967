//! Starts real things: stock Envoys in network namespaces, the built binary, traffic.
//!
//! A test is a closure handed to [`world`]. It runs in a process of its own, inside a private network, mount and
//! process namespace, so nothing it does is visible on the host, names and ports never collide with another test's,
//! and everything it started ends with it, even after a panic.
//!
//! ```text
//!   world (private namespaces of one test process)
//!   +--------------------------------------------------------------+
//!   |  bridge 10.77.0.1/16      control plane, sniffer             |
//!   |     |             |                                          |
//!   |  veth          veth                                          |
//!   |  +-- pod --+   +-- pod --+   each pod: a network namespace,  |
//!   |  | app     |   | app     |   redirect rules, Envoy (as uid   |
//!   |  | Envoy   |   | Envoy   |   1337), app and client threads   |
//!   |  +---------+   +---------+   of the test process itself      |
//!   +--------------------------------------------------------------+
//! ```
//!
//! Clients and echo servers are threads of the test process that have entered the pod's network namespace; tests
//! see what the app saw and can change how it behaves without a protocol between them.

mod client;
mod echo;
mod envoy;
mod kubernetes;
mod mesh;
mod netns;
mod objects;
mod oracle;
mod pod;
mod process;
mod redirect;
mod relay;
mod services;
mod sniff;
mod stock;
mod tls;
mod tools;
mod wait;
mod world;

pub use agent::bootstrap::InterceptionMode;
pub use client::load::{Load, LoadReport};
pub use client::tcp::TcpSession;
pub use client::{Answer, Call};
pub use echo::{Control, Echo, Listener, Seen, Workload};
pub use envoy::Envoy;
pub use kubernetes::{Agent, Cluster, ControlPlane, Request};
pub use mesh::{Mesh, MeshOptions, PilotAgent, ServiceBuilder};
pub use pod::{Pod, PodBuilder};
pub use relay::Relay;
pub use sniff::{Capture, Sniffer};
pub use stock::Stock;
pub use tls::{Authority, Handshake, Identity, Intermediate};
pub use wait::{wait_until, within};
pub use world::{World, cluster, cluster_with_pilot_agent, world, world_with_pilot_agent};
