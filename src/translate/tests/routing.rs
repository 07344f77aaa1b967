//! What VirtualServices make of a sidecar's routes.

use std::error::Error;

use model::{Mesh, Proxy};
use serde_json::{Value, json};
use testkit::mesh::{WEB, dump, mesh, plans, proxy};

type Outcome = Result<(), Box<dyn Error>>;

const CART: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}, {name: http-admin, port: 8080}]}
";

fn rules(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
{spec}"
    )
}

fn client(namespace: &str, metadata: &Value) -> Result<Proxy, Box<dyn Error>> {
    Ok(proxy("sidecar", "10.1.0.1", &format!("client.{namespace}"), metadata)?)
}

/// The virtual hosts of a route configuration of a client in `shop`.
fn hosts(mesh: &Mesh, configuration: &str, metadata: &Value) -> Result<Vec<Value>, Box<dyn Error>> {
    let dump = dump(mesh, &client("shop", metadata)?);
    let found = dump.get("rds").and_then(|r| r.get(configuration)).ok_or("no such configuration")?;
    Ok(found["virtualHosts"].as_array().cloned().unwrap_or_default())
}

/// The routes of a virtual host on port 80.
fn routes(mesh: &Mesh, host: &str, metadata: &Value) -> Result<Vec<Value>, Box<dyn Error>> {
    let hosts = hosts(mesh, "80", metadata)?;
    let found = hosts.iter().find(|h| h["name"] == host).ok_or("no such virtual host")?;
    Ok(found["routes"].as_array().cloned().unwrap_or_default())
}

fn names(routes: &[Value]) -> Vec<&str> {
    routes.iter().map(|r| r["name"].as_str().unwrap_or_default()).collect()
}

const WEB_80: &str = "web.shop.svc.cluster.local:80";

#[test]
fn rules_come_in_order_up_to_the_first_that_takes_everything() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - name: exact
    match: [{name: a, uri: {exact: /a}}, {uri: {prefix: /b}, headers: {x-b: {}}}]
    route: [{destination: {host: cart, port: {number: 8080}}}]
  - name: all
    match: [{uri: {regex: '.*'}}, {uri: {prefix: /never}}]
    route: [{destination: {host: web}}]
  - name: never
    route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let routes = routes(&mesh, WEB_80, &json!({}))?;
    assert_eq!(names(&routes), ["exact.a", "exact", "all"]);
    assert_eq!(routes[0]["match"], json!({"path": "/a", "caseSensitive": true}));
    assert_eq!(routes[0]["route"]["cluster"], "outbound|8080||cart.shop.svc.cluster.local");
    assert_eq!(routes[0]["decorator"]["operation"], "cart.shop.svc.cluster.local:8080/a");
    assert_eq!(routes[1]["match"]["headers"], json!([{"name": "x-b", "presentMatch": true}]));
    Ok(())
}

#[test]
fn what_cannot_be_built_answers_500_and_leaves_the_rest() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - name: broken
    match: [{uri: {regex: '/users/[0-9'}}]
    route: [{destination: {host: web}}]
  - name: teapot
    match: [{uri: {prefix: /tea}}]
    redirect: {uri: /coffee, redirectCode: 418}
  - name: whole
    route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let routes = routes(&mesh, WEB_80, &json!({}))?;
    assert_eq!(names(&routes), ["broken", "teapot", "whole"]);
    assert_eq!(routes[0]["match"]["prefix"], "/users/", "what the expression surely begins with");
    for (route, name) in routes.iter().zip(["broken", "teapot"]) {
        assert_eq!(route["directResponse"]["status"], 500);
        let text = route["directResponse"]["body"]["inlineString"].as_str().unwrap_or_default();
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(routes[2]["route"]["cluster"], "outbound|80||web.shop.svc.cluster.local");
    Ok(())
}

#[test]
fn problems_name_the_field() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - match: [{uri: {prefix: /a}}, {headers: {x-a: {regex: '('}}}]
    route: [{destination: {host: web, subset: v9}}, {destination: {host: gone}, weight: 1}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let mut told: Vec<String> = Vec::new();
    for plan in plans(&mesh, &client("shop", &json!({}))?) {
        for (_, key) in plan.routes.iter() {
            let translate::Key::Route(key) = key else { continue };
            for host in &key.virtual_hosts {
                let built = translate::routes::build_virtual_host(host);
                told.extend(built.problems.into_iter().map(|p| format!("{} {}", p.severity, p.field)));
            }
        }
    }
    told.sort();
    told.dedup();
    let expected = [
        "error spec.http[0].match[1].headers.x-a",
        "warning spec.http[0].route[0].destination.subset",
        "warning spec.http[0].route[1].destination.host",
    ];
    assert_eq!(told, expected);
    Ok(())
}

#[test]
fn the_client_and_the_listener_decide_which_matches_there_are() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - name: canary
    match: [{sourceLabels: {version: v2}, uri: {prefix: /x}}]
    route: [{destination: {host: web}}]
  - name: elsewhere
    match: [{sourceNamespace: other, uri: {prefix: /x}}, {port: 81}, {gateways: [edge]}]
    route: [{destination: {host: web}}]
  - name: mesh
    match: [{gateways: [mesh, edge], sourceLabels: {version: v9}, uri: {prefix: /y}}]
    route: [{destination: {host: web}}]
  - name: rest
    route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let second = json!({"LABELS": {"version": "v2"}});
    assert_eq!(names(&routes(&mesh, WEB_80, &second)?), ["canary", "mesh", "rest"]);
    assert_eq!(names(&routes(&mesh, WEB_80, &json!({}))?), ["mesh", "rest"]);
    Ok(())
}

#[test]
fn hosts_that_no_service_has_are_known_on_port_80() -> Outcome {
    let spec = "
  hosts: [www.outside.example, cart]
  http: [{name: out, route: [{destination: {host: web}}]}]";
    let mesh = mesh(&[WEB, CART, &rules("out", spec)])?;
    let domains = |configuration: &str| -> Result<Vec<Value>, Box<dyn Error>> {
        let hosts = hosts(&mesh, configuration, &json!({}))?;
        Ok(hosts
            .iter()
            .filter(|h| h["routes"][0]["name"] == "out")
            .map(|h| h["domains"][0].clone())
            .collect())
    };
    assert_eq!(domains("80")?, ["cart.shop.svc.cluster.local", "www.outside.example"]);
    // They ride along where the VirtualService has a service.
    assert_eq!(domains("8080")?, ["cart.shop.svc.cluster.local", "www.outside.example"]);
    Ok(())
}

#[test]
fn the_most_specific_then_the_oldest_rule_has_a_host() -> Outcome {
    let to = |host: &str, name: &str| {
        let spec = format!(
            "
  hosts: ['{host}']
  http: [{{name: {name}, route: [{{destination: {{host: web}}}}]}}]"
        );
        rules(name, &spec)
    };
    let wide = to("*.cluster.local", "wide");
    let narrow = to("*.shop.svc.cluster.local", "narrow");
    let exact = to("web", "exact");
    let late = to("web", "late");
    let mesh = mesh(&[WEB, CART, &wide, &narrow, &exact, &late])?;
    assert_eq!(names(&routes(&mesh, WEB_80, &json!({}))?), ["exact"]);
    assert_eq!(names(&routes(&mesh, "cart.shop.svc.cluster.local:80", &json!({}))?), ["narrow"]);
    assert_eq!(hosts(&mesh, "80", &json!({}))?.len(), 3, "wildcards that cover services are no hosts");
    Ok(())
}

#[test]
fn weights_and_mirrors_without_a_share_are_left_out() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - route:
    - {destination: {host: web}, weight: 100}
    - {destination: {host: cart}, weight: 0}
    mirror: {host: cart}
    mirrorPercentage: {value: 0.0}
    mirrors: [{destination: {host: cart}, percentage: {value: 12.5}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let routes = routes(&mesh, WEB_80, &json!({}))?;
    let action = &routes[0]["route"];
    let web = json!([{"name": "outbound|80||web.shop.svc.cluster.local", "weight": 100}]);
    assert_eq!(action["weightedClusters"]["clusters"], web);
    let share = json!({"numerator": 125_000, "denominator": "MILLION"});
    assert_eq!(action["requestMirrorPolicies"][0]["runtimeFraction"]["defaultValue"], share);
    assert_eq!(action["requestMirrorPolicies"].as_array().map(Vec::len), Some(1));
    assert_eq!(routes[0]["decorator"]["operation"], "web:80/*");
    Ok(())
}

/// Clients of other namespaces have the same virtual host where the output is the same, and pay for it once.
#[test]
fn classes_share_the_virtual_hosts_that_do_not_differ() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - match: [{sourceLabels: {app: nobody}}]
    fault: {abort: {httpStatus: 503}}
    route: [{destination: {host: cart}}]
  - route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let keys = |namespace: &str| -> Result<Vec<_>, Box<dyn Error>> {
        let plans = plans(&mesh, &client(namespace, &json!({}))?);
        let routes = plans.iter().flat_map(|p| p.routes.iter()).filter(|(name, _)| &**name == "80");
        Ok(routes
            .filter_map(|(_, key)| match key {
                translate::Key::Route(key) => Some(key.virtual_hosts.clone()),
                _ => None,
            })
            .flatten()
            .collect())
    };
    let (east, west) = (keys("east")?, keys("west")?);
    assert_eq!(east.len(), 3);
    assert_eq!(east, west);
    assert_ne!(east, keys("shop")?, "a client of the same namespace has a shorter name for the service");
    Ok(())
}

/// Envoy refuses a configuration with two virtual hosts of one name.
#[test]
fn of_several_services_of_a_host_the_last_has_the_port() -> Outcome {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart-more, namespace: shop}
spec:
  hosts: [cart.shop.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: tcp, protocol: TCP}]
  endpoints: [{address: 172.22.0.1}]";
    let mesh = mesh(&[WEB, CART, entry])?;
    let of_cart = |hosts: &[Value]| -> Vec<Value> {
        let named = hosts.iter().filter(|h| h["name"].as_str().is_some_and(|n| n.starts_with("cart.")));
        named.map(|h| h["domains"].clone()).collect()
    };
    let found = of_cart(&hosts(&mesh, "80", &json!({}))?);
    assert_eq!(found.len(), 1);
    assert!(!found[0].as_array().is_some_and(|d| d.contains(&json!("10.96.0.2"))), "{found:?}");
    Ok(())
}

#[test]
fn commands_that_envoy_does_not_know_are_kept_from_it() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - name: wrong
    match: [{uri: {prefix: /wrong}}]
    headers: {response: {set: {x-a: '100%'}}}
    route: [{destination: {host: web}}]
  - name: right
    headers: {request: {set: {x-path: '%REQ(:path)%', host: other.example}}}
    route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let routes = routes(&mesh, WEB_80, &json!({}))?;
    assert_eq!(routes[0]["directResponse"]["status"], 500);
    assert_eq!(routes[0]["responseHeadersToAdd"], Value::Null);
    assert_eq!(routes[1]["requestHeadersToAdd"][0]["header"]["value"], "%REQ(:path)%");
    assert_eq!(routes[1]["requestHeadersToAdd"].as_array().map(Vec::len), Some(1));
    assert_eq!(routes[1]["route"]["hostRewriteLiteral"], "other.example");
    Ok(())
}

/// One wrong match must not answer for the whole host.
#[test]
fn a_match_of_which_nothing_is_left_matches_nothing() -> Outcome {
    let spec = "
  hosts: [web]
  http:
  - name: lost
    match: [{uri: {regex: '['}}, {uri: {prefix: ''}, headers: {x: {regex: '('}}}]
    route: [{destination: {host: web}}]
  - name: rest
    route: [{destination: {host: web}}]";
    let mesh = mesh(&[WEB, CART, &rules("web", spec)])?;
    let routes = routes(&mesh, WEB_80, &json!({}))?;
    assert_eq!(names(&routes), ["lost", "lost", "rest"]);
    for lost in routes.iter().take(2) {
        assert_eq!(lost["directResponse"]["status"], 500);
        let never = json!([{"name": ":path", "presentMatch": true, "invertMatch": true}]);
        assert_eq!(lost["match"]["headers"], never);
    }
    Ok(())
}
