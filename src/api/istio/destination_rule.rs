//! DestinationRule (`networking.istio.io`): policy for traffic to a service, and its subsets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MatchLabels, TrafficPolicy};
use crate::schema::required;

/// Policy for traffic to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    /// Host in the service registry; a short name is of the object's namespace; may be a `*.` wildcard.
    #[schemars(transform = required)]
    pub host: String,
    /// Policy for all of the host's endpoints.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named subsets of the endpoints.
    pub subsets: Vec<Subset>,
    /// Namespaces that see the object: names, `.` (own), `*` (all). Empty means the mesh's default.
    pub export_to: Vec<String>,
    /// Client workloads of the own namespace to which the rule is limited.
    pub workload_selector: Option<MatchLabels>,
}

/// A named subset of a host's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Its name, used by routes.
    #[schemars(transform = required)]
    pub name: String,
    /// Labels that endpoints must have.
    pub labels: BTreeMap<String, String>,
    /// Policy that takes the place of the host's, section by section.
    pub traffic_policy: Option<TrafficPolicy>,
}
