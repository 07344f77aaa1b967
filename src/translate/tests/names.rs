//! The table of names that agents answer DNS queries from: what stands in it, and how little of it is made anew.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use api::decode::{decode, items};
use model::mesh::Features;
use model::{Mesh, Proxy, Ref};
use serde_json::{Value, json};
use store::{Next, Options, Tables};
use testkit::mesh::{documents, mesh, name_table, plans, proxy, tables};
use translate::names::{NamesKey, Of};
use translate::{Key, Plan, class, plan};

type Outcome = Result<(), Box<dyn Error>>;

/// A sidecar of the namespace `shop`.
fn client(metadata: &Value) -> Result<Proxy, Box<dyn Error>> {
    Ok(proxy("sidecar", "10.9.0.1", "client-1.shop", metadata)?)
}

/// The addresses that each name has.
fn addresses(mesh: &Mesh, proxy: &Proxy) -> BTreeMap<String, Vec<String>> {
    name_table(mesh, proxy).table.into_iter().map(|(name, entry)| (name, entry.ips)).collect()
}

fn of(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    pairs.iter().map(|(name, ips)| ((*name).to_owned(), owned(ips))).collect()
}

/// `UPDATE_GOLDEN=1 cargo test -p translate golden` writes the answer anew.
#[test]
fn golden_names() -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/names");
    let mesh = mesh(&[&std::fs::read_to_string(folder.join("mesh.yaml"))?])?;
    let table = name_table(&mesh, &client(&json!({"CLUSTER_ID": "Kubernetes", "DNS_CAPTURE": "true"}))?);
    let found = serde_json::to_string_pretty(&api::json::to_json(&table))? + "\n";
    let answer = folder.join("table.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&answer, &found)?;
    }
    assert_eq!(found, std::fs::read_to_string(&answer)?);
    Ok(())
}

#[test]
fn addresses_are_those_that_the_client_can_use() -> Outcome {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec: {clusterIP: 10.96.0.2, clusterIPs: [10.96.0.2, 'fd00::2'], ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop}
spec: {clusterIP: 10.96.0.3, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: headless-a, namespace: shop, labels: {kubernetes.io/service-name: headless}}
addressType: IPv6
ports: [{name: tcp, port: 80}]
endpoints: [{addresses: ['fd01::1'], conditions: {ready: true}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: listed, namespace: shop}
spec: {hosts: [listed.example], addresses: [192.0.2.1], resolution: DNS, ports: [{number: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: allotted, namespace: shop}
spec: {hosts: [allotted.example], resolution: DNS, ports: [{number: 80, name: http}]}
status: {addresses: [{value: 240.240.0.1, host: allotted.example}, {value: '2001:2::1', host: allotted.example}]}
";
    let mesh = mesh(&[yaml])?;
    let seen = |ips: &str, capture: &str| -> Result<_, Box<dyn Error>> {
        Ok(addresses(&mesh, &client(&json!({"INSTANCE_IPS": ips, "DNS_CAPTURE": capture}))?))
    };
    let (both, old, headless) =
        ("both.shop.svc.cluster.local", "old.shop.svc.cluster.local", "headless.shop.svc.cluster.local");
    let v4 = of(&[
        ("allotted.example", &["240.240.0.1"]),
        (both, &["10.96.0.2"]),
        (headless, &["fd01::1"]),
        ("listed.example", &["192.0.2.1"]),
        (old, &["10.96.0.3"]),
    ]);
    assert_eq!(seen("10.9.0.1", "true")?, v4);
    // What it could not reach is not there; an address that an entry lists is reached by the name alone.
    let v6 =
        of(&[("allotted.example", &["2001:2::1"]), (both, &["fd00::2"]), ("listed.example", &["192.0.2.1"])]);
    assert_eq!(seen("fd09::1", "true")?, v6);
    let dual = of(&[
        // Of the family of the first address, unless dual stack is on.
        (both, &["10.96.0.2"]),
        (headless, &["fd01::1"]),
        ("listed.example", &["192.0.2.1"]),
        (old, &["10.96.0.3"]),
    ]);
    // Automatic addresses are only for those who resolve names here.
    assert_eq!(seen("10.9.0.1,fd09::1", "false")?, dual);
    Ok(())
}

/// A headless service with one pod, which has a name of its own.
fn headless(pod: &str, ip: &str, network: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{name: tcp, port: 5432}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {pod}, namespace: shop, labels: {{app: db, topology.istio.io/network: '{network}'}}}}
spec: {{subdomain: db, containers: [{{name: app}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: db-{pod}, namespace: shop, labels: {{kubernetes.io/service-name: db}}}}
addressType: IPv4
ports: [{{name: tcp, port: 5432}}]
endpoints: [{{addresses: [{ip}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: {pod}, namespace: shop}}}}]
"
    )
}

fn clusters(options: Options, clusters: &[(&str, &str)]) -> Result<Arc<Mesh>, Box<dyn Error>> {
    let mut tables = Tables::new(options);
    for (cluster, yaml) in clusters {
        for item in documents(yaml)?.into_iter().flat_map(items) {
            let object = decode(item)?.object;
            tables.apply_in(&(*cluster).into(), &object.key(), Some(&object));
        }
    }
    Ok(tables.next_mesh().mesh)
}

#[test]
fn a_headless_service_of_several_clusters_stands_for_what_is_near() -> Outcome {
    let (home, east, west) = (
        headless("db-0", "10.1.0.1", "one"),
        headless("db-0", "10.2.0.1", "one") + "---" + &headless("db-1", "10.2.0.2", "one"),
        headless("db-2", "10.3.0.1", "two"),
    );
    let all = [("Kubernetes", &*home), ("east", &*east), ("west", &*west)];
    let mesh = clusters(Options::default(), &all)?;
    let in_cluster = |mesh: &Mesh, cluster: &str, network: &str| -> Result<_, Box<dyn Error>> {
        Ok(addresses(mesh, &client(&json!({"CLUSTER_ID": cluster, "NETWORK": network}))?))
    };
    let (db, db_0, db_1, db_2) = (
        "db.shop.svc.cluster.local",
        "db-0.db.shop.svc.cluster.local",
        "db-1.db.shop.svc.cluster.local",
        "db-2.db.shop.svc.cluster.local",
    );
    let every = ["10.1.0.1", "10.2.0.1", "10.2.0.2"];
    // Of the workloads of one name that of the client's cluster; nothing of another network.
    let home = of(&[(db, &every), (db_0, &["10.1.0.1"]), (db_1, &["10.2.0.2"])]);
    assert_eq!(in_cluster(&mesh, "Kubernetes", "one")?, home);
    let east = of(&[(db, &every), (db_0, &["10.2.0.1"]), (db_1, &["10.2.0.2"])]);
    assert_eq!(in_cluster(&mesh, "east", "one")?, east);
    assert_eq!(in_cluster(&mesh, "west", "two")?, of(&[(db, &["10.3.0.1"]), (db_2, &["10.3.0.1"])]));
    // A client of no network is in all of them.
    assert_eq!(in_cluster(&mesh, "Kubernetes", "")?[db].len(), 4);

    let features = Ref::new(Features { multicluster_headless: false, ..Features::default() });
    let mesh = clusters(Options { features: Features::clone(&features), ..Options::default() }, &all)?;
    let home = of(&[(db, &["10.1.0.1"]), (db_0, &["10.1.0.1"]), (db_1, &["10.2.0.2"])]);
    assert_eq!(in_cluster(&mesh, "Kubernetes", "one")?, home, "ENABLE_MULTICLUSTER_HEADLESS off");
    Ok(())
}

#[test]
fn a_service_has_the_address_of_the_clients_cluster() -> Outcome {
    let service = |ip: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop}}, spec: {{clusterIP: {ip}, ports: [{{name: http, port: 80}}]}}}}"
        )
    };
    let (home, east) = (service("10.96.0.1"), service("10.97.0.1"));
    let mesh = clusters(Options::default(), &[("Kubernetes", &home), ("east", &east)])?;
    for (cluster, ip) in [("Kubernetes", "10.96.0.1"), ("east", "10.97.0.1"), ("elsewhere", "10.96.0.1")] {
        let found = addresses(&mesh, &client(&json!({"CLUSTER_ID": cluster}))?);
        assert_eq!(found, of(&[("web.shop.svc.cluster.local", &[ip])]), "{cluster}");
    }
    Ok(())
}

#[test]
fn egress_listeners_say_which_names_there_are() -> Outcome {
    let yaml = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ['shop/*']}, {hosts: ['depot/*', 'shop/*']}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: other}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: stock.other.svc.cluster.local}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: shop}
spec: {hosts: [partner.example], addresses: [192.0.2.1], resolution: DNS, ports: [{number: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: depot}
spec: {hosts: [partner.example], addresses: [192.0.2.2], resolution: DNS, ports: [{number: 81, name: http}]}
";
    // A destination has a cluster, but nobody asks for its name. Within a listener the client's namespace owns a host;
    // what several listeners import adds up, each address once.
    let expected = of(&[("partner.example", &["192.0.2.1"]), ("web.shop.svc.cluster.local", &["10.96.0.1"])]);
    assert_eq!(addresses(&*mesh(&[yaml])?, &client(&json!({}))?), expected);
    let apart = yaml.replace("'depot/*', 'shop/*'", "'depot/*'");
    let expected = of(&[
        ("partner.example", &["192.0.2.1", "192.0.2.2"]),
        ("web.shop.svc.cluster.local", &["10.96.0.1"]),
    ]);
    assert_eq!(addresses(&*mesh(&[&apart])?, &client(&json!({}))?), expected);
    Ok(())
}

#[test]
fn a_router_has_a_table_without_names() -> Outcome {
    let mesh = mesh(&[&headless("db-0", "10.1.0.1", "")])?;
    let router = proxy("router", "10.9.0.2", "gateway-1.shop", &json!({"DNS_CAPTURE": "true"}))?;
    let entries: Vec<_> = plans(&mesh, &router).iter().flat_map(|plan| plan.names.to_vec()).collect();
    // Its agent waits until it has one.
    let [(name, Key::Names(key))] = entries.as_slice() else { return Err(format!("{entries:?}").into()) };
    assert_eq!((&**name, key.parts.len()), ("", 0));
    Ok(())
}

/// The parts of the first of these plans that has any, by namespace.
fn parts(plan: &Plan) -> BTreeMap<(Of, Arc<str>), Ref<NamesKey>> {
    let Some((_, Key::Names(key))) = plan.names.first() else { return BTreeMap::new() };
    key.parts.iter().map(|part| ((part.of, Arc::clone(&part.namespace)), part.clone())).collect()
}

/// A change makes the parts anew that it is in, and those only; what is no part of a table makes nothing anew.
#[test]
fn a_change_touches_its_namespace_only() -> Outcome {
    let service = |namespace: &str, ip: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: {namespace}}}, spec: {{clusterIP: {ip}, selector: {{app: web}}, ports: [{{name: http, port: 80}}]}}}}\n---\n"
        )
    };
    let slice = |ip: &str| {
        format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-a, namespace: depot, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, ports: [{{name: http, port: 80}}], endpoints: [{{addresses: [{ip}]}}]}}"
        )
    };
    let yaml =
        service("depot", "10.96.0.1") + &service("other", "10.96.0.2") + &headless("db-0", "10.1.0.1", "");
    let mut tables = tables(Options::default(), &[&yaml, &slice("10.1.1.1")])?;
    let mut mesh = tables.next_mesh().mesh;
    let views = class::classes(&mesh, &client(&json!({}))?);
    let [common, upper, _] = views.as_slice() else { return Err("not three layers".into()) };
    let mut last = plan::plan(&mesh, common, None, false, None);
    let mut above = plan::plan(&mesh, upper, None, false, Some(&last));
    assert_eq!(parts(&last).len(), 4, "three namespaces, and one with named workloads");
    let mut change = |yaml: &str| -> Result<Vec<(Of, String)>, Box<dyn Error>> {
        for doc in documents(yaml)? {
            let object = decode(doc)?.object;
            tables.apply(&object.key(), Some(&object));
        }
        let Next { mesh: next, changes } = tables.next_mesh();
        let planned = plan::plan(&next, common, Some((&last, &changes)), false, None);
        above = plan::plan(&next, upper, Some((&above, &changes)), false, Some(&planned));
        assert!(
            above.names.is_empty(),
            "a namespace without anything of its own has the table that all share"
        );
        assert_eq!(planned.names, plan::plan(&next, common, None, false, None).names);
        let before = parts(&last);
        let now = parts(&planned).into_iter().filter(|(name, key)| before.get(name) != Some(key));
        let anew = now.map(|((of, namespace), _)| (of, namespace.to_string())).collect();
        (mesh, last) = (next, planned);
        Ok(anew)
    };
    assert_eq!(change(&slice("10.1.1.2"))?, []);
    let rule = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web, namespace: depot}, spec: {hosts: [web], tcp: [{route: [{destination: {host: web}}]}]}}";
    assert_eq!(change(rule)?, []);
    assert_eq!(change(&service("other", "10.96.0.3"))?, [(Of::Services, "other".to_owned())]);
    let both = [(Of::Services, "shop".to_owned()), (Of::Workloads, "shop".to_owned())];
    assert_eq!(change(&headless("db-0", "10.1.0.9", ""))?, both);
    let hidden = "{apiVersion: v1, kind: Service, metadata: {name: own, namespace: other, annotations: {networking.istio.io/exportTo: .}}, spec: {clusterIP: 10.96.0.4, ports: [{name: http, port: 80}]}}";
    assert_eq!(change(hidden)?, [], "for others there is nothing new");
    let owner = proxy("sidecar", "10.9.0.3", "client-1.other", &json!({}))?;
    let [_, upper, _] = &*class::classes(&mesh, &owner) else { return Err("not three layers".into()) };
    let owners = parts(&plan::plan(&mesh, upper, None, false, Some(&last)));
    let shared: Vec<_> =
        parts(&last).into_iter().filter(|(name, key)| owners.get(name) == Some(key)).collect();
    assert_eq!((owners.len(), shared.len()), (4, 3), "the owner has one part for itself");
    Ok(())
}
