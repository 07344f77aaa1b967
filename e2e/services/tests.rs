//! The stand-in for DNS, the endpoint controller and kube-proxy.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::json;

use super::{Backend, Services};

fn key(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

fn pod(last: u8, ready: bool) -> Backend {
    Backend {
        ip: Ipv4Addr::new(10, 77, 1, last),
        node: "node-1".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        named_ports: BTreeMap::from([("http".to_owned(), 8080)]),
        ready,
    }
}

fn shop() -> Services {
    let services = Services::default();
    services.put_pod(key("shop", "web-1"), pod(1, true));
    services.put_pod(key("shop", "web-2"), pod(2, true));
    services.put_pod(key("shop", "web-3"), pod(3, false));
    services.put_pod(key("elsewhere", "web-4"), pod(4, true));
    let web = json!({"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
    services.put_service(key("shop", "web"), web).unwrap();
    services
}

#[test]
fn a_service_is_found_by_all_its_names() {
    let services = shop();
    let expected = services.resolve("web", "shop").unwrap();
    assert_eq!(expected.to_string(), "10.96.1.1");
    for host in ["web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
        assert_eq!(services.resolve(host, "elsewhere").unwrap(), expected);
    }
    assert!(services.resolve("web", "elsewhere").is_err());
}

#[test]
fn an_update_keeps_the_virtual_address() {
    let services = shop();
    let again = services.put_service(key("shop", "web"), json!({"spec": {"ports": []}})).unwrap();
    assert_eq!(again["spec"]["clusterIP"], "10.96.1.1");
}

#[test]
fn a_headless_service_stands_for_its_ready_pods() {
    let services = shop();
    let headless =
        json!({"spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]}});
    services.put_service(key("shop", "web"), headless).unwrap();
    assert_eq!(services.resolve("web", "shop").unwrap().to_string(), "10.77.1.1");
}

#[test]
fn slices_hold_the_namespaces_selected_pods_with_their_readiness() {
    let slices = shop().endpoint_slices();
    let [(_, slice)] = slices.as_slice() else { panic!("{slices:?}") };
    let ready: Vec<_> = slice["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| {
            (endpoint["addresses"][0].as_str().unwrap(), endpoint["conditions"]["ready"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(ready, [("10.77.1.1", true), ("10.77.1.2", true), ("10.77.1.3", false)]);
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
}

#[test]
fn the_virtual_address_is_shared_evenly_by_ready_pods() {
    let rules = shop().address_rules();
    let lines: Vec<&str> = rules.lines().filter(|line| line.starts_with("-A")).collect();
    assert_eq!(
        lines,
        [
            "-A E2E_SERVICES -d 10.96.1.1/32 -p tcp --dport 80 -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.77.1.1:8080",
            "-A E2E_SERVICES -d 10.96.1.1/32 -p tcp --dport 80 -j DNAT --to-destination 10.77.1.2:8080",
        ]
    );
}
