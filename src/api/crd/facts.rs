//! What a kind's definition says beside its schema: short name, storage version, columns of `kubectl get`.

use schemars::JsonSchema;
use serde_json::Value;

use crate::istio;
use crate::kind::Kind;
use crate::schema::structural;

/// The facts of one kind.
pub(super) struct Facts {
    pub(super) short_name: Option<&'static str>,
    /// The version in which objects are stored.
    pub(super) storage: &'static str,
    pub(super) columns: Vec<Column>,
    /// Whether an object without `spec` is refused.
    pub(super) spec_required: bool,
    /// Makes the schema of `spec`.
    pub(super) spec: fn() -> Value,
}

/// A column of `kubectl get`.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// How the value is shown: `string`, or `date` for the time that passed.
    pub(super) shown_as: &'static str,
    pub(super) path: &'static str,
    pub(super) description: &'static str,
}

const fn text(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, shown_as: "string", path, description }
}

const AGE: Column = Column {
    name: "Age",
    shown_as: "date",
    path: ".metadata.creationTimestamp",
    description: "Time since the object was created.",
};

impl Facts {
    /// The facts of a kind; `None` when Istio does not define it.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::VirtualService => Self::new::<istio::VirtualService>("v1").short("vs").columns([
                text("Gateways", ".spec.gateways", "Gateways that apply the rules."),
                text("Hosts", ".spec.hosts", "Hosts that the rules are for."),
                AGE,
            ]),
            Kind::DestinationRule => Self::new::<istio::DestinationRule>("v1")
                .short("dr")
                .columns([text("Host", ".spec.host", "Host in the service registry."), AGE]),
            Kind::Gateway => Self::new::<istio::Gateway>("v1").short("gw"),
            Kind::ServiceEntry => {
                Self::new::<istio::ServiceEntry>("v1").short("se").spec_required().columns([
                    text("Hosts", ".spec.hosts", "Host names of the services."),
                    text("Location", ".spec.location", "Whether the services are part of the mesh."),
                    text("Resolution", ".spec.resolution", "How endpoints are found."),
                    AGE,
                ])
            }
            Kind::Sidecar => Self::new::<istio::Sidecar>("v1"),
            Kind::WorkloadEntry => Self::new::<istio::WorkloadEntry>("v1")
                .short("we")
                .spec_required()
                .columns([AGE, text("Address", ".spec.address", "Address of the workload.")]),
            Kind::WorkloadGroup => {
                Self::new::<istio::WorkloadGroup>("v1").short("wg").spec_required().columns([AGE])
            }
            Kind::EnvoyFilter => Self::new::<istio::EnvoyFilter>("v1alpha3"),
            Kind::ProxyConfig => Self::new::<istio::ProxyConfig>("v1beta1"),
            Kind::PeerAuthentication => Self::new::<istio::PeerAuthentication>("v1")
                .short("pa")
                .columns([text("Mode", ".spec.mtls.mode", "Mode of mutual TLS for all ports."), AGE]),
            Kind::RequestAuthentication => Self::new::<istio::RequestAuthentication>("v1").short("ra"),
            Kind::AuthorizationPolicy => Self::new::<istio::AuthorizationPolicy>("v1")
                .short("ap")
                .columns([text("Action", ".spec.action", "What becomes of requests that match."), AGE]),
            Kind::Telemetry => Self::new::<istio::Telemetry>("v1alpha1").short("telemetry").columns([AGE]),
            Kind::WasmPlugin => Self::new::<istio::WasmPlugin>("v1alpha1").spec_required().columns([AGE]),
            Kind::TrafficExtension => {
                Self::new::<istio::TrafficExtension>("v1alpha1").spec_required().columns([AGE])
            }
            _ => return None,
        })
    }

    fn new<T: JsonSchema>(storage: &'static str) -> Self {
        Self { short_name: None, storage, columns: Vec::new(), spec_required: false, spec: structural::<T> }
    }

    fn short(self, name: &'static str) -> Self {
        Self { short_name: Some(name), ..self }
    }

    fn spec_required(self) -> Self {
        Self { spec_required: true, ..self }
    }

    fn columns<const N: usize>(self, columns: [Column; N]) -> Self {
        Self { columns: columns.into(), ..self }
    }
}
