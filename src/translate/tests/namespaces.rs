//! What a namespace has is planned as a difference from what all share: the result is that of a plan from nothing, and
//! costs what is its own.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;

use model::endpoint::Locality;
use model::mesh::Changes;
use model::{Mesh, Proxy, Ref};
use serde_json::json;
use store::{Next, Options, Tables};
use testkit::large::{self, Size};
use testkit::mesh::{documents, tables};
use translate::routes::VirtualHostKey;
use translate::{Class, Key, Plan, class, plan};

type Outcome = Result<(), Box<dyn Error>>;

/// What clients of namespaces may see in different ways, each by itself.
const INGREDIENTS: [&str; 28] = [
    // Whom a service is exported to.
    "{apiVersion: v1, kind: Service, metadata: {name: own, namespace: a, annotations: {networking.istio.io/exportTo: .}}, spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 8080}, {name: http-more, port: 7070}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: lent, namespace: a, annotations: {networking.istio.io/exportTo: b}}, spec: {clusterIP: 10.96.1.2, ports: [{name: http, port: 8080}, {port: 9090}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: none, namespace: a, annotations: {networking.istio.io/exportTo: '~'}}, spec: {clusterIP: 10.96.1.3, ports: [{name: http, port: 8080}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: eighty, namespace: c, annotations: {networking.istio.io/exportTo: .}}, spec: {clusterIP: 10.96.1.4, ports: [{name: http, port: 80}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: eighty, namespace: a}, spec: {clusterIP: 10.96.1.5, ports: [{name: http, port: 80}]}}",
    // Services of one host, of one address, and hosts that are others' short names.
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: partner, namespace: a}, spec: {hosts: [partner.example], resolution: STATIC, ports: [{number: 8080, name: http}], endpoints: [{address: 192.0.2.1}]}}",
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: partner, namespace: b}, spec: {hosts: [partner.example], resolution: STATIC, ports: [{number: 8081, name: http}, {number: 8080, name: http-too}], endpoints: [{address: 192.0.2.1}]}}",
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: piece, namespace: a}, spec: {hosts: [partner.example], exportTo: [.], resolution: STATIC, ports: [{number: 8082, name: http}], endpoints: [{address: 192.0.2.1}]}}",
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: wide, namespace: b}, spec: {hosts: ['*.example.org'], ports: [{number: 8080, name: http}]}}",
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: short, namespace: b}, spec: {hosts: [web, web.a], addresses: [10.96.0.1], resolution: STATIC, ports: [{number: 8080, name: http}], endpoints: [{address: 192.0.2.2}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: other, namespace: b}, spec: {type: ExternalName, externalName: web.a.svc.cluster.local, ports: [{name: http, port: 8080}]}}",
    // VirtualServices: for some clients, seen by some, of wildcards, of hosts that no service has.
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web, namespace: a}, spec: {hosts: [web], http: [{match: [{sourceNamespace: b}], route: [{destination: {host: api, subset: one}}]}, {route: [{destination: {host: web, subset: one}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: for-b, namespace: a}, spec: {hosts: [api, far.example.org], http: [{match: [{sourceNamespace: b}], route: [{destination: {host: own}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: mine, namespace: b}, spec: {hosts: [web.a.svc.cluster.local], exportTo: [.], http: [{timeout: 3s, route: [{destination: {host: web.a.svc.cluster.local}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: yours, namespace: b}, spec: {hosts: [api.a.svc.cluster.local, unheard.example], exportTo: [c], http: [{timeout: 4s, route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: wild, namespace: a}, spec: {hosts: ['*.a.svc.cluster.local', beside.example], http: [{timeout: 5s, route: [{destination: {host: api}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: wilder, namespace: c}, spec: {hosts: ['*.svc.cluster.local'], exportTo: [.], http: [{timeout: 6s, route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: called, namespace: c}, spec: {hosts: [web.b, api.b.svc, shop.example.com], http: [{timeout: 7s, route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: called, namespace: a}, spec: {hosts: [web.b, shop.example.com], exportTo: [., b], http: [{match: [{port: 80}], route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: parent, namespace: b, annotations: {internal.istio.io/route-semantics: gateway}}, spec: {hosts: [web], http: [{timeout: 8s, route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: aside, namespace: a}, spec: {hosts: [web.b.svc.cluster.local], http: [{timeout: 9s, route: [{destination: {host: web}}]}]}}",
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: root, namespace: c}, spec: {hosts: [web.c.svc.cluster.local], http: [{match: [{uri: {prefix: /x}, sourceNamespace: a}], delegate: {name: leaf}}]}}\n---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: leaf, namespace: c}, spec: {http: [{route: [{destination: {host: web}}]}]}}",
    // DestinationRules: what subsets there are and what requests are hashed by, for whom.
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: one, namespace: a}, spec: {host: web, subsets: [{name: one, labels: {v: one}}]}}",
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: one, namespace: b}, spec: {host: '*.a.svc.cluster.local', exportTo: [.], subsets: [{name: one, labels: {v: one}}]}}",
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: hash, namespace: a}, spec: {host: api, exportTo: [c], trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}}",
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: hash, namespace: b}, spec: {host: web, workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}}}",
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: all, namespace: istio-system}, spec: {host: '*.cluster.local', exportTo: [.], subsets: [{name: one, labels: {v: one}}]}}",
    // One namespace says what it imports.
    "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: default, namespace: e}, spec: {egress: [{hosts: ['a/*', './*']}]}}",
];

/// Two services in each of three namespaces, of which one has a port whose protocol is told by inspection.
fn plain() -> String {
    let service = |name: &str, namespace: &str, at: usize| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{clusterIP: 10.96.0.{at}, ports: [{{name: http, port: 8080}}, {{port: 9090}}, {{name: tcp, port: 5432}}]}}}}\n---\n"
        )
    };
    let all = ["a", "b", "c"].into_iter().zip(1..);
    all.map(|(ns, at)| service("web", ns, at) + &service("api", ns, at + 10)).collect()
}

/// One client of each namespace, and some that are called otherwise than they are.
fn clients() -> Result<Vec<Proxy>, Box<dyn Error>> {
    let proxy = |namespace: &str, domain: &str, metadata: serde_json::Value| {
        Proxy::parse(&format!("sidecar~10.1.0.1~web.{namespace}~{domain}"), &metadata, Locality::default())
    };
    let labeled = || json!({"LABELS": {"app": "web"}});
    let mut clients = Vec::new();
    for namespace in ["a", "b", "c", "d", "e", "istio-system"] {
        clients.push(proxy(namespace, &format!("{namespace}.svc.cluster.local"), labeled())?);
    }
    clients.push(proxy("c", "b.svc.cluster.local", json!({}))?);
    clients.push(proxy("b", "b.svc.elsewhere", json!({}))?);
    clients.push(proxy("a", "example.org", json!({}))?);
    clients.push(proxy("b", "b.svc.cluster.local", json!({"HTTP_PROXY_PORT": "15007"}))?);
    Ok(clients)
}

/// The classes of a proxy that others may be of as well, lowest first.
fn shared(mesh: &Mesh, proxy: &Proxy) -> Vec<Class> {
    class::classes(mesh, proxy).into_iter().filter(|c| matches!(c, Class::Shared(_))).collect()
}

fn assert_equal(plan: &Plan, whole: &Plan, what: &str) {
    let lists = |p: &Plan| [&p.clusters, &p.endpoints, &p.listeners, &p.routes].map(Arc::clone);
    let hidden =
        |p: &Plan| [&p.hidden_clusters, &p.hidden_endpoints, &p.hidden_listeners].map(|names| names.to_vec());
    assert_eq!(plan.scope(), whole.scope(), "{what}");
    assert_eq!(lists(plan), lists(whole), "{what}");
    assert_eq!(hidden(plan), hidden(whole), "{what}");
}

/// What the clients were last planned as.
struct Followed {
    class: Class,
    common: Arc<Plan>,
    upper: Arc<Plan>,
}

/// Plans each client upon what all share, from nothing and after `last`, and compares that with a plan in one piece.
fn follow(
    mesh: &Mesh,
    changes: &Changes,
    last: Vec<Followed>,
    what: &str,
) -> Result<Vec<Followed>, Box<dyn Error>> {
    let mut now = Vec::new();
    let mut last: Vec<Option<Followed>> = last.into_iter().map(Some).collect();
    let clients = clients()?;
    last.resize_with(clients.len(), || None);
    for (client, last) in clients.into_iter().zip(last) {
        let what = format!("{} of {} in {what}", client.dns_domain, client.namespace);
        let classes = shared(mesh, &client);
        let Some(class) = classes.last() else { return Err("no class".into()) };
        let fresh = |class: &Class, beside: Option<&Plan>| plan::plan(mesh, class, None, false, beside);
        let whole = fresh(class, None);
        let Some(below) = class.below() else {
            assert_eq!(classes.len(), 1);
            continue;
        };
        assert_eq!(classes.first(), Some(&below));
        let common = fresh(&below, None);
        assert_equal(&fresh(class, Some(&common)), &whole, &what);
        let followed = match last.filter(|last| last.class == *class) {
            Some(last) => {
                let common = plan::plan(mesh, &below, Some((&last.common, changes)), false, None);
                let upper = plan::plan(mesh, class, Some((&last.upper, changes)), false, Some(&common));
                Followed { common, upper, ..last }
            }
            None => Followed { upper: fresh(class, Some(&common)), common, class: class.clone() },
        };
        assert_equal(&followed.upper, &whole, &format!("{what}, after a change"));
        let own = [&followed.upper.names, &followed.common.names].into_iter().find(|names| !names.is_empty());
        assert_eq!(own, Some(&whole.names), "names for {what}, after a change");
        now.push(followed);
    }
    Ok(now)
}

fn apply(tables: &mut Tables, yaml: &str, there: bool) -> Result<Next, Box<dyn Error>> {
    for doc in documents(yaml)? {
        let object = api::decode::decode(doc)?.object;
        tables.apply(&object.key(), there.then_some(&object));
    }
    Ok(tables.next_mesh())
}

#[test]
fn a_namespace_differs_by_what_a_plan_in_one_piece_says() -> Outcome {
    for (at, one) in INGREDIENTS.iter().enumerate() {
        for other in INGREDIENTS.iter().skip(at) {
            let mut tables = tables(Options::default(), &[&plain(), one, other])?;
            let Next { mesh, changes } = tables.next_mesh();
            follow(&mesh, &changes, Vec::new(), &format!("{one}\n{other}"))?;
        }
    }
    Ok(())
}

#[test]
fn it_does_so_after_every_change() -> Outcome {
    let mut tables = tables(Options::default(), &[&plain()])?;
    let Next { mesh, changes } = tables.next_mesh();
    let mut last = follow(&mesh, &changes, Vec::new(), "the plain mesh")?;
    let steps = INGREDIENTS.iter().map(|one| (one, true));
    for (one, there) in steps.clone().chain(steps.map(|(one, _)| (one, false))) {
        let Next { mesh, changes } = apply(&mut tables, one, there)?;
        last = follow(&mesh, &changes, last, &format!("many, {there}: {one}"))?;
    }
    Ok(())
}

/// The virtual hosts of a plan.
fn hosts(plan: &Plan) -> Vec<Ref<VirtualHostKey>> {
    let routes =
        plan.routes.iter().filter_map(|(_, key)| if let Key::Route(key) = key { Some(key) } else { None });
    routes.flat_map(|key| key.virtual_hosts.iter().cloned()).collect()
}

/// How many virtual hosts were planned: those that are kept once are counted once.
fn planned(plans: &[Arc<Plan>]) -> usize {
    let all: Vec<_> = plans.iter().flat_map(|plan| hosts(plan)).collect();
    all.iter().map(|host| std::ptr::from_ref(&**host)).collect::<HashSet<_>>().len()
}

/// Many namespaces cost what is there plus what is each one's own, not their product; so does a change.
#[test]
fn what_namespaces_have_in_common_is_planned_once() -> Outcome {
    const SIZE: Size = Size { namespaces: 12, services: 6, pods: 1 };
    // Ports that carry HTTP.
    const PORTS: usize = 2;
    let mut tables = Tables::new(Options::default());
    for (key, object) in large::objects(SIZE)? {
        tables.apply(&key, Some(&object));
    }
    let before = tables.next_mesh().mesh;
    let classes = |n: usize| -> Result<[Class; 2], Box<dyn Error>> {
        let classes = shared(&before, &large::sidecar(SIZE, n)?);
        classes.try_into().map_err(|_| "not two layers".into())
    };
    let [below, _] = classes(0)?;
    let common = plan::plan(&before, &below, None, false, None);
    let uppers: Vec<Class> =
        (0..SIZE.namespaces).map(|n| classes(n).map(|[_, upper]| upper)).collect::<Result<_, _>>()?;
    let first: Vec<_> =
        uppers.iter().map(|upper| plan::plan(&before, upper, None, false, Some(&common))).collect();
    let all = SIZE.namespaces * SIZE.services * PORTS;
    assert_eq!(hosts(&first[0]).len(), all + PORTS, "with one for all other hosts");
    // The catch-all, the hosts as most clients call them, and as their neighbours do.
    assert_eq!(planned(&first), 1 + all + all);

    let (key, object) = large::object(large::virtual_service(0, 0, "gamma"))?;
    tables.apply(&key, Some(&object));
    let Next { mesh, changes } = tables.next_mesh();
    let common = plan::plan(&mesh, &below, Some((&common, &changes)), false, None);
    let next: Vec<_> = uppers
        .iter()
        .zip(&first)
        .map(|(upper, last)| plan::plan(&mesh, upper, Some((last, &changes)), false, Some(&common)))
        .collect();
    let both: Vec<_> = first.iter().chain(&next).cloned().collect();
    let anew = planned(&both) - planned(&first);
    assert_eq!(anew, PORTS + all, "the changed host, and those of each namespace's own");
    Ok(())
}
