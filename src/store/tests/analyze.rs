//! What objects make together: told of an object before it is stored, and of all objects of a mesh.

use std::error::Error;

use api::{AnyObject, Problem};
use model::Mesh;
use model::analyze;
use testkit::mesh::{documents, mesh};

type Outcome = Result<(), Box<dyn Error>>;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 90, targetPort: admin}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: depot, annotations: {networking.istio.io/exportTo: '.'}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in, namespace: shop}
spec: {selector: {istio: in}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['./*.shop.example', 'west/*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
";

fn object(kind: &str, name: &str, spec: &str) -> String {
    let group = match kind {
        "PeerAuthentication" | "AuthorizationPolicy" => "security",
        _ => "networking",
    };
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: '2026-02-01T00:00:00Z'}}\nspec: {spec}\n"
    )
}

fn lines(problems: impl IntoIterator<Item = Problem>) -> Vec<String> {
    problems
        .into_iter()
        .inspect(|problem| assert!(!problem.hint.is_empty(), "every finding says what to do: {problem}"))
        .map(|problem| format!("{}: {}", problem.field, problem.message))
        .collect()
}

/// What is told of an object that the mesh does not have, and of the same object when it has.
fn told(mesh_of: &[&str], object: &str) -> Result<[Vec<String>; 2], Box<dyn Error>> {
    let document = documents(object)?.pop().ok_or("a document")?;
    let decoded: AnyObject = api::decode::decode(document)?.object;
    let before: std::sync::Arc<Mesh> = mesh(mesh_of)?;
    let with: Vec<&str> = mesh_of.iter().copied().chain([object]).collect();
    let mut after = analyze::all(&*mesh(&with)?);
    Ok([lines(analyze::analyze(&decoded, &before)), lines(after.remove(&decoded.key()).unwrap_or_default())])
}

/// Holds that an object has just this finding, before it is stored and after.
fn both(object: &str, finding: &str) -> Outcome {
    let [before, after] = told(&[SHOP], object)?;
    assert_eq!(before, [finding], "{object}");
    assert_eq!(after, [finding], "stored: {object}");
    Ok(())
}

fn rule(destination: &str) -> String {
    object(
        "VirtualService",
        "rule",
        &format!("{{hosts: [a.example], http: [{{route: [{{destination: {destination}}}]}}]}}"),
    )
}

#[test]
fn a_destination_that_is_not_there_is_told_with_what_is() -> Outcome {
    let field = "spec.http[0].route[0].destination";
    both(
        &rule("{host: wob}"),
        &format!(
            "{field}.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; requests to it fail"
        ),
    )?;
    both(
        &rule("{host: hidden.depot.svc.cluster.local}"),
        &format!(
            "{field}.host: Service/depot/hidden has host \"hidden.depot.svc.cluster.local\", but is not exported to namespace shop; requests to it fail"
        ),
    )?;
    both(
        &rule("{host: web, port: {number: 8080}}"),
        &format!("{field}.port.number: Service/shop/web has no port 8080; requests to it fail"),
    )?;
    both(
        &rule("{host: web, subset: v9}"),
        &format!(
            "{field}.subset: DestinationRule/shop/web, which is in force for web.shop.svc.cluster.local, has no subset \"v9\"; requests to it fail"
        ),
    )?;
    for fine in
        ["{host: web}", "{host: web, port: {number: 90}, subset: v1}", "{host: web.shop.svc.cluster.local}"]
    {
        assert_eq!(told(&[SHOP], &rule(fine))?, [vec![""; 0], vec![""; 0]], "{fine}");
    }
    Ok(())
}

#[test]
fn what_to_write_instead_is_said() -> Outcome {
    let hint = |destination: &str| -> Result<String, Box<dyn Error>> {
        let document = documents(&rule(destination))?.pop().ok_or("a document")?;
        let decoded = api::decode::decode(document)?.object;
        let found = analyze::analyze(&decoded, &*mesh(&[SHOP])?);
        Ok(found.into_iter().map(|problem| problem.hint).collect())
    };
    assert_eq!(
        hint("{host: web.shop}")?,
        "define it, or write the full name: is web.shop.svc.cluster.local meant?"
    );
    assert_eq!(
        hint("{host: web, port: {number: 8080}}")?,
        "8080 is where its workloads listen: write the service's port, 80"
    );
    assert_eq!(hint("{host: web, port: {number: 7}}")?, "its ports are 80 and 90");
    Ok(())
}

#[test]
fn mirrors_and_connections_lead_somewhere_too() -> Outcome {
    let spec = "{hosts: [a.example], http: [{route: [{destination: {host: web}}], mirror: {host: m}, mirrors: [{destination: {host: o}}]}, {redirect: {uri: /}}], tcp: [{route: [{destination: {host: t}}]}], tls: [{match: [{sniHosts: [a.example]}], route: [{destination: {host: s}}]}]}";
    let [before, mut after] = told(&[SHOP], &object("VirtualService", "rule", spec))?;
    after.sort();
    let fields = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect()
    };
    let expected = [
        "spec.http[0].mirror.host",
        "spec.http[0].mirrors[0].destination.host",
        "spec.tcp[0].route[0].destination.host",
        "spec.tls[0].route[0].destination.host",
    ];
    let mut before = fields(before);
    before.sort();
    assert_eq!(before, expected);
    assert_eq!(fields(after), expected);
    Ok(())
}

#[test]
fn a_rule_of_a_delegate_is_told_at_the_delegate() -> Outcome {
    let root = object(
        "VirtualService",
        "root",
        "{hosts: [a.example], http: [{match: [{uri: {prefix: /a}}], delegate: {name: leaf}}]}",
    );
    let leaf = object(
        "VirtualService",
        "leaf",
        "{http: [{match: [{uri: {prefix: /a/b}}], redirect: {uri: /}}, {route: [{destination: {host: wob}}]}]}",
    );
    let [_, of_leaf] = told(&[SHOP, &root], &leaf)?;
    assert_eq!(
        of_leaf,
        [
            "spec.http[1].route[0].destination.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; requests to it fail"
        ]
    );
    let [_, of_root] = told(&[SHOP, &leaf], &root)?;
    assert_eq!(of_root, [""; 0]);
    Ok(())
}

#[test]
fn gateways_are_there_and_serve_the_hosts() -> Outcome {
    let bound = |gateway: &str, host: &str| {
        object(
            "VirtualService",
            "rule",
            &format!(
                "{{hosts: [{host}], gateways: [{gateway}], http: [{{route: [{{destination: {{host: web}}}}]}}]}}"
            ),
        )
    };
    both(&bound("out", "a.shop.example"), "spec.gateways[0]: there is no Gateway shop/out")?;
    both(&bound("west/in", "a.shop.example"), "spec.gateways[0]: there is no Gateway west/in")?;
    both(
        &bound("in", "a.example"),
        "spec.hosts[0]: no server of Gateway/shop/in has a host that covers \"a.example\"",
    )?;
    for fine in
        [bound("in", "a.shop.example"), bound("shop/in", "'*.shop.example'"), bound("in, mesh", "a.example")]
    {
        assert_eq!(told(&[SHOP], &fine)?, [vec![""; 0], vec![""; 0]], "{fine}");
    }
    Ok(())
}

#[test]
fn an_older_virtual_service_for_the_host_is_named() -> Outcome {
    let late =
        object("VirtualService", "late", "{hosts: [web], http: [{route: [{destination: {host: web}}]}]}");
    let [before, _] = told(&[SHOP], &late)?;
    assert_eq!(
        before,
        [
            "spec.hosts[0]: sidecars apply the rules of the older VirtualService shop/first to host web.shop.svc.cluster.local, and not these"
        ]
    );
    // For others it may be meant to take the older one's place.
    let [before, _] = told(&[SHOP], &late.replace("{hosts", "{exportTo: [west], hosts"))?;
    assert_eq!(before, [""; 0]);
    // The object itself is no conflict when it is written again.
    let [before, _] = told(
        &[SHOP, &late.replace("late", "other")],
        &late.replace("late", "first").replace("2026-02", "2026-01"),
    )?;
    assert_eq!(before, [""; 0]);
    Ok(())
}

#[test]
fn a_destination_rule_is_for_a_host_that_is_there() -> Outcome {
    let of = |host: &str| {
        object(
            "DestinationRule",
            "rule",
            &format!("{{host: {host}, trafficPolicy: {{tls: {{mode: DISABLE}}}}}}"),
        )
    };
    both(
        &of("wob"),
        "spec.host: no Service or ServiceEntry has host \"wob.shop.svc.cluster.local\"; the rule has no effect",
    )?;
    assert_eq!(told(&[SHOP], &of("'*.example'"))?, [vec![""; 0], vec![""; 0]]);
    Ok(())
}

#[test]
fn of_two_for_the_same_workloads_the_older_one_is_named() -> Outcome {
    for (kind, field, all, some) in [
        (
            "Sidecar",
            "workloadSelector",
            "{egress: [{hosts: ['*/*']}]}",
            "{workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/*']}]}",
        ),
        (
            "PeerAuthentication",
            "selector",
            "{mtls: {mode: STRICT}}",
            "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}",
        ),
    ] {
        let what = if kind == "Sidecar" { "Sidecar" } else { "policy" };
        for (spec, expected) in [
            (
                all,
                format!(
                    "spec: {kind}/shop/a is older and for {} too: this {what} has no effect",
                    if kind == "Sidecar" { "all workloads of the namespace" } else { "the whole namespace" }
                ),
            ),
            (
                some,
                format!(
                    "spec.{field}: {kind}/shop/a is older and for workloads with these labels too: this {what} has no effect"
                ),
            ),
        ] {
            let older = object(kind, "a", spec).replace("2026-02", "2026-01");
            let [before, after] = told(&[SHOP, &older], &object(kind, "b", spec))?;
            assert_eq!(
                (before.as_slice(), after.as_slice()),
                ([expected.clone()].as_slice(), [expected].as_slice())
            );
            let [before, after] = told(&[SHOP, &object(kind, "b", spec)], &older)?;
            assert_eq!((before.len(), after.len()), (0, 0), "the older one stays in force");
        }
    }
    Ok(())
}

#[test]
fn policies_are_for_the_ports_of_workloads() -> Outcome {
    let selector = "selector: {matchLabels: {app: web}}";
    let peer = |port: u16| {
        object(
            "PeerAuthentication",
            "p",
            &format!("{{{selector}, portLevelMtls: {{{port}: {{mode: STRICT}}}}}}"),
        )
    };
    let told_of = "policies are for the ports of workloads; 80 is a port of Service/shop/web, whose workloads listen on 8080";
    let alone = SHOP.replace(", {name: admin, port: 90, targetPort: admin}", "");
    let [before, after] = told(&[&alone], &peer(80))?;
    let expected = format!("spec.portLevelMtls[80]: {told_of}");
    assert_eq!((before, after), (vec![expected.clone()], vec![expected]));
    assert_eq!(told(&[&alone], &peer(8080))?, [vec![""; 0], vec![""; 0]]);
    // A named port may be any.
    assert_eq!(told(&[SHOP], &peer(80))?, [vec![""; 0], vec![""; 0]]);
    let access = object(
        "AuthorizationPolicy",
        "p",
        &format!("{{{selector}, rules: [{{to: [{{operation: {{ports: ['8080', '80']}}}}]}}]}}"),
    );
    let [before, _] = told(&[&alone], &access)?;
    assert_eq!(before, [format!("spec.rules[0].to[0].operation.ports[1]: {told_of}")]);
    let sidecar = object(
        "Sidecar",
        "s",
        "{workloadSelector: {labels: {app: web}}, ingress: [{port: {number: 80, name: http, protocol: HTTP}}]}",
    );
    let [before, after] = told(&[&alone], &sidecar)?;
    let expected =
        "spec.ingress[0].port.number: 80 is a port of Service/shop/web, whose workloads listen on 8080";
    assert_eq!(
        (before.as_slice(), after.as_slice()),
        ([expected.to_owned()].as_slice(), [expected.to_owned()].as_slice())
    );
    Ok(())
}
