//! What tests of controllers share: a connection to the API server in memory, and its writers.

use kube::{Client, Config};
use prometheus::Registry;
use sources::kube::{Connection, Health};
use testkit::kubernetes::FakeServer;

use crate::write::{Rate, Writers};

/// The namespace of the control plane.
pub(crate) const SYSTEM: &str = "istio-system";

/// A cluster as one replica sees it.
pub(crate) struct Cluster {
    pub(crate) connection: Connection,
    pub(crate) writers: Writers,
    pub(crate) registry: Registry,
}

/// What a server in memory is to a replica.
pub(crate) fn cluster(server: &FakeServer) -> Cluster {
    let uri = format!("http://{}", server.address).parse().expect("a URI");
    let client = Client::try_from(Config::new(uri)).expect("a client");
    let connection = Connection::new(client, Health::new("home"));
    let registry = Registry::new();
    let rate = Rate { per_second: 1000.0, burst: 1000.0 };
    let writers = Writers::new(&connection, rate, &registry).expect("metrics");
    Cluster { connection, writers, registry }
}
