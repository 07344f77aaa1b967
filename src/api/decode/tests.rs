//! Errors, warnings and leniency of decoding; the kinds' fields are held against their schemas in `tests/`.

use serde_json::{Value, json};

use super::*;
use crate::istio::{MutualTlsMode, ServiceEntryAddress};
use crate::kind::Kind;
use crate::kubernetes::{IntOrString, ServiceType};
use crate::scalar::Duration;

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn object(text: &str) -> AnyObject {
    let decoded = decode(yaml(text)).unwrap();
    assert_eq!(decoded.warnings, []);
    decoded.object
}

/// A VirtualService with this specification.
fn virtual_service(spec: Value) -> Result<Decoded, DecodeError> {
    decode(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": spec,
    }))
}

#[test]
fn a_virtual_service_is_read_with_its_metadata() {
    let object = object(
        r#"
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: reviews
  labels: {app: reviews}
  creationTimestamp: "2024-01-02T03:04:05Z"
  generation: 7
  resourceVersion: "123"
  managedFields: [{manager: kubectl}]
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /a}
      headers: {x-user: {}}
    route:
    - destination: {host: reviews, subset: v1, port: {number: 80}}
      weight: 90
    - destination: {host: reviews, subset: v2}
      weight: "10"
    timeout: 1h1m1.5s
    mirror_percent: 5
    retries: {attempts: 0}
status: {conditions: []}
"#,
    );
    assert_eq!(object.key().to_string(), "VirtualService/default/reviews");
    assert_eq!(object.reference().generation, 7);
    assert_eq!(object.meta().creation, Some(1_704_164_645));
    let AnyObject::VirtualService(service) = object else { panic!("another kind") };
    let rule = service.spec.http.first().unwrap();
    assert_eq!(rule.timeout, Some(Duration::from_millis(3_661_500)));
    assert_eq!(rule.route.iter().map(|to| to.weight).collect::<Vec<_>>(), [90, 10]);
    assert_eq!(rule.mirror_percent, Some(5));
    assert_eq!(rule.retries.as_ref().map(|retries| retries.attempts), Some(0));
    assert!(rule.r#match.first().unwrap().headers.contains_key("x-user"));
}

#[test]
fn unknown_fields_of_istio_kinds_are_told_with_their_place() {
    let decoded =
        virtual_service(json!({"hosts": ["a"], "http": [{}, {"route": [{"wieght": 1}]}], "x_y": 1})).unwrap();
    let paths: Vec<String> = decoded.warnings.into_iter().map(|warning| warning.path).collect();
    assert_eq!(paths, ["spec.http[1].route[0].wieght", "spec.x_y"]);
}

#[test]
fn wrong_values_are_errors_with_object_and_place() {
    for (spec, expected) in [
        (json!({"hosts": "a"}), "spec.hosts: invalid type: string \"a\", expected a list"),
        (json!([]), "spec: must be a mapping"),
        (json!({"http": [{"route": [{"weight": "ten"}]}]}), "spec.http[0].route[0].weight: invalid type"),
        (json!({"http": [{"timeout": "-1s"}]}), "spec.http[0].timeout: `-1s` is negative"),
        (
            json!({"http": [{"match": [{"port": -1}]}]}),
            "spec.http[0].match[0].port: invalid value: integer `-1`",
        ),
        (json!({"http": [["a"]]}), "spec.http[0]: invalid type: a list, expected a mapping"),
        (
            json!({"http": [{"redirect": {"derivePort": "MAYBE"}}]}),
            "spec.http[0].redirect.derivePort: unknown variant",
        ),
        (
            json!({"http": [{"match": [{"headers": {"a": null}}]}]}),
            "spec.http[0].match[0].headers.a: invalid type: null",
        ),
    ] {
        let error = virtual_service(spec).unwrap_err().to_string();
        assert!(error.starts_with(&format!("VirtualService/shop/reviews: {expected}")), "{error}");
    }
}

#[test]
fn null_is_absent_and_numbers_may_be_strings_or_whole_doubles() {
    let decoded = virtual_service(json!({"hosts": null, "http": [{"timeout": null, "route": [
        {"weight": 50.0, "destination": {"host": "a", "port": {"number": "80"}}},
    ]}]}))
    .unwrap();
    let AnyObject::VirtualService(service) = decoded.object else { panic!("another kind") };
    let to = service.spec.http.first().unwrap().route.first().unwrap();
    assert_eq!((to.weight, to.destination.port.as_ref().unwrap().number), (50, 80));
    assert_eq!(service.spec.hosts, Vec::<String>::new());
}

#[test]
fn documents_that_are_no_objects_say_why() {
    let error = |document: Value| decode(document).unwrap_err().to_string();
    assert_eq!(error(json!("x")), "a document must be a mapping with apiVersion, kind and metadata");
    assert_eq!(
        error(json!({"apiVersion": "networking.istio.io/v9", "kind": "VirtualService"})),
        "unknown kind \"VirtualService\" of apiVersion \"networking.istio.io/v9\": check the spelling of both"
    );
    assert_eq!(
        error(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a"}})),
        "Service in namespace \"a\": metadata.name is missing: every object needs a name"
    );
    assert!(
        error(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"version": 1}}})
        )
        .starts_with("Pod/p: metadata.labels.version: invalid type: integer `1`")
    );
    assert!(
        error(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "creationTimestamp": "now"}})
        )
        .starts_with("Pod/p: metadata.creationTimestamp: ")
    );
}

#[test]
fn scopes_decide_the_namespace() {
    let node =
        decode(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "x"}}))
            .unwrap();
    assert_eq!(node.object.key().to_string(), "Node/n");
    assert_eq!(node.warnings.first().unwrap().path, "metadata.namespace");
}

#[test]
fn gateway_api_kinds_are_known_but_not_served() {
    let object = object(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {a: 1}}",
    );
    assert!(matches!(object, AnyObject::NotServed(Kind::KubernetesGateway, _)));
    assert_eq!(object.key().to_string(), "Gateway/default/g");
}

#[test]
fn lists_are_flattened() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}});
    assert_eq!(items(json!({"apiVersion": "v1", "kind": "List", "items": [service, service]})).len(), 2);
    assert_eq!(items(json!({"apiVersion": "v1", "kind": "ServiceList", "items": [service]})).len(), 1);
    assert_eq!(items(service.clone()), [service]);
    assert_eq!(items(Value::Null), Vec::<Value>::new());
}

#[test]
fn a_status_that_is_read_back_stands_beside_the_specification() {
    let decoded = decode(yaml(
        r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: data}
spec:
  hosts: [db.example.com]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: DNS_ROUND_ROBIN
  status: {addresses: [{value: 9.9.9.9}]}
status:
  addresses: [{value: 240.240.0.1, host: db.example.com}]
  conditions: [{type: Reconciled, status: "True"}]
"#,
    ))
    .unwrap();
    let paths: Vec<String> = decoded.warnings.into_iter().map(|warning| warning.path).collect();
    assert_eq!(paths, ["spec.status"]);
    let AnyObject::ServiceEntry(entry) = decoded.object else { panic!("another kind") };
    let allotted = ServiceEntryAddress { value: "240.240.0.1".to_owned(), host: "db.example.com".to_owned() };
    assert_eq!(entry.spec.status.addresses, [allotted]);
}

#[test]
fn kubernetes_kinds_are_trimmed_in_silence() {
    let object = object(
        r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1, "fd00::1"]
  sessionAffinity: None
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
  - {name: https, port: 443, targetPort: https}
status: {loadBalancer: {ingress: [{ip: 1.2.3.4}, {hostname: lb.example.com}]}}
"#,
    );
    let AnyObject::Service(service) = object else { panic!("another kind") };
    assert_eq!(service.spec.r#type, ServiceType::LoadBalancer);
    assert_eq!(service.spec.cluster_ips, ["10.0.0.1", "fd00::1"]);
    let targets: Vec<_> = service.spec.ports.iter().map(|port| port.target_port.clone().unwrap()).collect();
    assert_eq!(targets, [IntOrString::Int(8080), IntOrString::String("https".to_owned())]);
    assert_eq!(service.spec.status.load_balancer.ingress.len(), 2);
}

#[test]
fn endpoint_slices_keep_the_difference_of_absent_and_false() {
    let object = object(
        r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- addresses: [10.1.0.1]
  conditions: {ready: false, terminating: true}
  targetRef: {kind: Pod, name: web-a, namespace: default, uid: x}
- addresses: [10.1.0.2]
ports: [{name: http, port: 8080}]
"#,
    );
    let AnyObject::EndpointSlice(slice) = object else { panic!("another kind") };
    let conditions: Vec<_> = slice
        .spec
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.conditions.ready, endpoint.conditions.serving))
        .collect();
    assert_eq!(conditions, [(Some(false), None), (None, None)]);
}

#[test]
fn pods_tell_addresses_and_readiness() {
    let object = object(
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: web-a
  deletionTimestamp: "2024-01-01T00:00:00Z"
  ownerReferences:
  - {apiVersion: v1, kind: Other, name: x}
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web, controller: true}
spec: {containers: [{name: app, ports: [{name: http, containerPort: 8080}]}], nodeName: n1}
status:
  phase: Running
  podIP: 10.1.0.1
  conditions: [{type: Ready, status: "True"}]
"#,
    );
    assert!(object.meta().deletion);
    assert_eq!(object.meta().controller.as_ref().unwrap().kind, "ReplicaSet");
    let AnyObject::Pod(pod) = object else { panic!("another kind") };
    assert_eq!(pod.spec.ips().collect::<Vec<_>>(), ["10.1.0.1"]);
    assert!(pod.spec.ready());
}

#[test]
fn secrets_are_decoded_and_their_errors_do_not_tell_them() {
    let object = object(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: aGk=}, stringData: {b: plain}}",
    );
    let AnyObject::Secret(secret) = object else { panic!("another kind") };
    assert_eq!(secret.spec.data.get("a").unwrap().expose(), b"hi");
    assert_eq!(secret.spec.data.get("b").unwrap().expose(), b"plain");
    for data in ["{key: '*private*'}", "{key: 4711}", "[private]", "private"] {
        let document = format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, data: {data}}}");
        let error = decode(yaml(&document)).unwrap_err().to_string();
        assert!(error.starts_with("Secret/default/s: data"), "{error}");
        assert!(!error.contains("private") && !error.contains("4711"), "{error}");
    }
}

#[test]
fn keys_of_maps_may_be_numbers() {
    let object = object(
        "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: p}, \
         spec: {portLevelMtls: {'8080': {mode: DISABLE}}}}",
    );
    let AnyObject::PeerAuthentication(policy) = object else { panic!("another kind") };
    assert_eq!(policy.spec.mtls, None);
    assert_eq!(policy.spec.port_level_mtls.get(&8080).unwrap().mode, MutualTlsMode::Disable);
}

#[test]
fn free_form_values_keep_their_nulls() {
    let object = object(
        "{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: f}, \
         spec: {configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {a: null, b: [1.5]}}}]}}",
    );
    let AnyObject::EnvoyFilter(filter) = object else { panic!("another kind") };
    let patch = filter.spec.config_patches.first().unwrap().patch.clone().unwrap();
    assert_eq!(patch.value.unwrap().0, json!({"a": null, "b": [1.5]}));
}
