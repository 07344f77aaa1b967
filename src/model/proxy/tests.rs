//! Tests of node parsing.

use serde_json::json;

use super::*;

fn parse(id: &str, metadata: Value) -> Result<Proxy, NodeError> {
    Proxy::parse(id, &metadata, Locality::default())
}

#[test]
fn a_sidecar() {
    let p = parse(
        "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
        json!({"NAMESPACE": "shop", "INSTANCE_IPS": "10.0.0.1,fd00::1", "DNS_CAPTURE": "true", "LABELS": {"app": "web"},
               "ENVOY_STATUS_PORT": 15021.0, "POD_PORTS": "[{\"name\":\"web\",\"containerPort\":8080}]"}),
    )
    .unwrap();
    assert_eq!(
        (p.kind, &*p.pod, &*p.namespace, p.families()),
        (ProxyKind::Sidecar, "web-1", "shop", IpFamilies::Dual)
    );
    assert!(p.metadata.dns_capture);
    assert_eq!(p.metadata.reserved_ports, [15021]);
    assert_eq!(p.metadata.pod_ports, [("web".to_owned(), 8080)]);
}

#[test]
fn the_namespace_comes_from_the_domain_if_metadata_name_none() {
    let p = parse("router~10.0.0.1~gw.edge~edge.svc.cluster.local", Value::Null).unwrap();
    assert_eq!(&*p.namespace, "edge");
    assert_eq!(p.metadata.version, Version::NEWEST);
}

#[test]
fn one_bad_instance_ip_discards_the_list() {
    let p = parse("sidecar~10.0.0.9~a.b~b.svc.x", json!({"INSTANCE_IPS": "10.0.0.1,nonsense"})).unwrap();
    assert_eq!(p.addresses, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
}

#[test]
fn refusals() {
    assert!(matches!(parse("sidecar~1.1.1.1~a", Value::Null), Err(NodeError::Parts(_))));
    assert!(matches!(parse("boat~1.1.1.1~a~b", Value::Null), Err(NodeError::Kind(_))));
    assert!(matches!(parse("ztunnel~1.1.1.1~a~b", Value::Null), Err(NodeError::NotServed(_))));
    assert!(matches!(parse("sidecar~no~a~b", Value::Null), Err(NodeError::Address(_))));
}

#[test]
fn what_is_repeated_of_a_nodes_words_is_short() {
    let long = "a".repeat(1 << 20);
    let address = format!("sidecar~{long}~a~b");
    for id in [long.as_str(), &format!("{long}~1.1.1.1~a~b"), &address] {
        assert!(parse(id, Value::Null).unwrap_err().to_string().len() < 1000);
    }
    let config = json!({"PROXY_CONFIG": {"concurrency": long}});
    assert!(parse("sidecar~1.1.1.1~a~b", config).unwrap_err().to_string().len() < 1000);
}

/// The names of the files say what becomes of the node, which comes as it comes over the wire.
#[test]
fn the_corpus_of_the_fuzz_target_is_taken_and_refused_as_its_names_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/node");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let node = serde_json::from_str::<Value>(&text).ok().and_then(|node| {
            let node: api::envoy::config::core::v3::Node = api::json::from_json_as(&node, true).ok()?;
            let metadata = node.metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
            Some(parse(&node.id, metadata).is_ok())
        });
        let kind = match node {
            Some(true) => "taken",
            Some(false) => "refused",
            None => "unread",
        };
        assert!(name.starts_with(kind), "{name} is {kind}");
        count += 1;
    }
    assert!(count >= 24, "{count} files");
}
