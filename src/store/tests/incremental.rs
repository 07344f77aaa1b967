//! Applying objects one by one, in whatever order, with meshes made in between, ends in the mesh that a store makes
//! which gets the same objects at once.

use std::collections::BTreeMap;
use std::error::Error;

use api::decode::decode;
use api::{AnyObject, ObjectKey};
use model::Mesh;
use store::{Options, Tables};
use testkit::mesh::documents;

type Outcome = Result<(), Box<dyn Error>>;

/// Forms of the same objects: documents of one kind, namespace and name are forms of one object.
const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {topology.istio.io/network: east}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {topology.istio.io/network: east, team: infra}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {networking.istio.io/traffic-distribution: PreferClose}}
---
apiVersion: v1
kind: Node
metadata: {name: rack-1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: a}}
---
apiVersion: v1
kind: Node
metadata: {name: rack-1, labels: {topology.kubernetes.io/region: us}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, annotations: {networking.istio.io/exportTo: '.'}}
spec: {clusterIP: None, selector: {app: cart}, ports: [{name: tcp, port: 90, targetPort: raw}]}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: cart, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: cart, nodeName: rack-1, containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: other}}
spec: {nodeName: rack-1, containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-a, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-a, namespace: shop, labels: {kubernetes.io/service-name: till}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-b, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: tcp, port: 9000}]
endpoints:
- {addresses: [10.1.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}
- {addresses: [10.1.0.3], conditions: {ready: true}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 10.9.0.1, labels: {app: cart}, serviceAccount: cart, ports: {http: 8088, raw: 9009}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, annotations: {proxy.istio.io/health-checks-enabled: 'true'}}
spec: {address: 10.9.0.2, labels: {app: cart}, network: west}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec: {hosts: [pay.example, cart.shop.svc.cluster.local], resolution: STATIC,
  ports: [{number: 443, name: tls, protocol: TLS}], endpoints: [{address: 192.0.2.1}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec: {hosts: [pay.example], resolution: STATIC, workloadSelector: {labels: {app: cart}},
  ports: [{number: 443, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec: {hosts: [pay.example], resolution: DNS, ports: [{number: 70000, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec: {hosts: [cart], http: [{match: [{sourceLabels: {tier: gold}}], route: [{destination: {host: till}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, trafficPolicy: {outlierDetection: {}}, workloadSelector: {matchLabels: {zone: blue}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, exportTo: ['.'], subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {workloadSelector: {labels: {ring: inner}}, egress: [{hosts: ['./*']}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {app: edge}, servers: [{hosts: ['*'], port: {number: 80, name: http, protocol: HTTP}}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: 'defaultServiceExportTo: [.]'
  meshNetworks: 'networks: {west: {endpoints: [{fromCidr: 10.1.0.0/24}]}}'
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'trustDomain: example.org'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    discoverySelectors: [{matchExpressions: [{key: topology.istio.io/network, operator: Exists}]}]
    serviceEntryVisibility: {defaultVisibility: NAMESPACE, applyToSidecars: true,
      policies: [{visibility: PUBLIC, matchingRules: [{namespaceSelector: {matchLabels: {team: infra}}}]}]}
";

/// Every object with its forms.
fn objects() -> Result<Vec<(ObjectKey, Vec<AnyObject>)>, Box<dyn Error>> {
    let mut forms: BTreeMap<ObjectKey, Vec<AnyObject>> = BTreeMap::new();
    for document in documents(OBJECTS)? {
        let object = decode(document)?.object;
        forms.entry(object.key()).or_default().push(object);
    }
    Ok(forms.into_iter().collect())
}

/// A row of numbers that looks like chance and is the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides
    }
}

/// All that a mesh says, section by section.
fn said(mesh: &Mesh) -> [String; 10] {
    [
        format!("{:#?}", mesh.settings),
        format!("{:#?}", mesh.services),
        format!("{:#?}", mesh.endpoints),
        format!("{:#?}", mesh.workloads),
        format!("{:#?}", mesh.virtual_services),
        format!("{:#?}", mesh.destination_rules),
        format!("{:#?}", mesh.sidecars),
        format!("{:#?}", mesh.gateways),
        format!("{:#?}", mesh.peer_authentications),
        format!("{:#?}", mesh.interest),
    ]
}

fn first_difference(left: &str, right: &str) -> String {
    let lines = left.lines().zip(right.lines()).enumerate().find(|(_, (a, b))| a != b);
    lines.map_or_else(|| "one is longer".to_owned(), |(at, (a, b))| format!("line {at}: {a} | {b}"))
}

#[test]
fn one_by_one_ends_as_all_at_once() -> Outcome {
    let objects = objects()?;
    for seed in 1..=150 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed * 0x1_0000_01b3));
        let mut tables = Tables::new(Options::default());
        let mut known: BTreeMap<&ObjectKey, &AnyObject> = BTreeMap::new();
        let mut history = Vec::new();
        for _ in 0..60 {
            let Some((key, forms)) = objects.get(dice.roll(objects.len())) else { continue };
            // One roll more than there are forms: the object goes.
            let form = dice.roll(forms.len() + 1);
            match forms.get(form) {
                Some(object) => known.insert(key, object),
                None => known.remove(key),
            };
            tables.apply(key, forms.get(form));
            history.push(format!("{key} form {form}"));
            match dice.roll(4) {
                0 => {
                    tables.next_mesh();
                    history.push("mesh".to_owned());
                }
                1 => {
                    tables.next_endpoints();
                    history.push("endpoints".to_owned());
                }
                _ => {}
            }
        }
        let grown = tables.next_mesh().mesh;
        let mut fresh = Tables::new(Options::default());
        for (key, object) in &known {
            fresh.apply(key, Some(object));
        }
        let made = fresh.next_mesh().mesh;
        for (grown, made) in said(&grown).iter().zip(&said(&made)) {
            let found = first_difference(grown, made);
            assert!(grown == made, "seed {seed}: {found}\nafter {history:#?}");
        }
        assert_eq!(tables.problems(), fresh.problems(), "seed {seed} after {history:#?}");
    }
    Ok(())
}
