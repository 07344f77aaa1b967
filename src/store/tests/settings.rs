//! Which ConfigMaps configure the mesh, and which objects count in a revision.

use std::error::Error;
use std::sync::Arc;

use store::{Options, Tables};
use testkit::mesh::tables;

type Outcome = Result<(), Box<dyn Error>>;

fn config_map(name: &str, mesh: &str, networks: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: istio-system}}\n\
         data: {{mesh: '{mesh}', meshNetworks: '{networks}'}}\n"
    )
}

fn of(revision: &str, shared: &str) -> Options {
    Options { revision: Arc::from(revision), shared_mesh_config: Arc::from(shared), ..Options::default() }
}

fn fields(tables: &Tables) -> Vec<(String, String)> {
    let problems = tables.problems().values().flatten();
    problems.map(|p| (p.object.name.to_string(), p.field.clone())).collect()
}

#[test]
fn the_shared_configuration_lies_beneath_that_of_the_revision() -> Outcome {
    let shared =
        config_map("all", "{trustDomain: shared, accessLogFile: /dev/stdout}", "{networks: {a: {}}}");
    let own = config_map("istio-canary", "{trustDomain: own}", "");
    let other = config_map("istio", "{trustDomain: other}", "");
    let mut tables = tables(of("canary", "all"), &[&shared, &own, &other])?;
    let mesh = tables.next_mesh().mesh;
    assert_eq!(mesh.settings.mesh.trust_domain, "own");
    assert_eq!(mesh.settings.mesh.access_log_file, "/dev/stdout");
    assert!(mesh.settings.networks.networks.contains_key("a"));
    assert!(fields(&tables).is_empty());
    Ok(())
}

#[test]
fn a_layer_that_cannot_be_taken_leaves_the_last_good_whole() -> Outcome {
    let shared = config_map("all", "{trustDomain: shared}", "{networks: {a: {}}}");
    let own = config_map("istio", "{accessLogFile: /dev/stdout}", "");
    let mut tables = tables(of("", "all"), &[&shared, &own])?;
    tables.next_mesh();
    let broken = config_map("all", "{trustDomain: [}", "{networks: 1}");
    for document in testkit::mesh::documents(&broken)? {
        let decoded = api::decode(document)?;
        tables.apply(&decoded.object.key(), Some(&decoded.object));
    }
    let mesh = tables.next_mesh().mesh;
    assert_eq!(mesh.settings.mesh.trust_domain, "shared");
    assert_eq!(mesh.settings.mesh.access_log_file, "/dev/stdout");
    assert!(mesh.settings.networks.networks.contains_key("a"));
    let told =
        [("all", "data.mesh"), ("all", "data.meshNetworks")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(fields(&tables), told);
    Ok(())
}

/// A Sidecar, and a Service, that name a revision; the Sidecar's name says which.
fn labelled(revision: &str) -> String {
    let labels = format!("labels: {{istio.io/rev: {revision}}}");
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {revision}, namespace: shop, {labels}}}\n\
         spec: {{egress: [{{hosts: ['*/*']}}]}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: {revision}, namespace: shop, {labels}}}\n\
         spec: {{ports: [{{port: 80}}]}}\n"
    )
}

#[test]
fn objects_of_another_revision_are_not_seen() -> Outcome {
    let seen_in: [(&str, &[&str]); 3] =
        [("", &["canary", "default"]), ("default", &["default"]), ("canary", &["canary"])];
    for (own, seen) in seen_in {
        let free = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: free, namespace: a}\nspec: {}\n";
        let mut tables = tables(of(own, ""), &[&labelled("default"), &labelled("canary"), free])?;
        let mesh = tables.next_mesh().mesh;
        let mut sidecars: Vec<&str> = mesh.sidecars.iter().map(|s| &**s.name()).collect();
        sidecars.sort_unstable();
        let mut expected = [seen, &["free"]].concat();
        expected.sort_unstable();
        assert_eq!(sidecars, expected, "revision {own:?}");
        assert_eq!(mesh.services.all().len(), 2, "Services are for all revisions");
    }
    Ok(())
}

#[test]
fn an_object_that_is_given_to_another_revision_is_gone() -> Outcome {
    let mut tables = tables(Options::default(), &[&labelled("default")])?;
    assert_eq!(tables.next_mesh().mesh.sidecars.iter().count(), 1);
    let moved = labelled("default").replace("istio.io/rev: default", "istio.io/rev: canary");
    for document in testkit::mesh::documents(&moved)? {
        let decoded = api::decode(document)?;
        tables.apply(&decoded.object.key(), Some(&decoded.object));
    }
    assert_eq!(tables.next_mesh().mesh.sidecars.iter().count(), 0);
    Ok(())
}

#[test]
fn a_configuration_with_a_wrong_field_is_not_taken_at_all() -> Outcome {
    let taken = |mesh: &str| -> Result<(bool, Vec<(String, String)>), Box<dyn Error>> {
        let yaml = config_map("istio", &format!("{{accessLogFile: /dev/stdout, {mesh}}}"), "");
        let mut tables = tables(Options::default(), &[&yaml])?;
        let mesh = tables.next_mesh().mesh;
        Ok((mesh.settings.mesh.access_log_file == "/dev/stdout", fields(&tables)))
    };
    let fine = "connectTimeout: 3s, tlsDefaults: {ecdhCurves: [odd]}, localityLbSetting: {failover: [{from: a, to: b}]}, \
                defaultConfig: {discoveryAddress: \"[2001:db8::1]:15012\", tracing: {datadog: {address: \"$(HOST_IP):8126\"}}}";
    assert_eq!(taken(fine)?, (true, Vec::new()));
    for (mesh, field) in [
        ("proxyListenPort: 70000", "proxyListenPort"),
        ("connectTimeout: 2h", "connectTimeout"),
        ("connectTimeout: 1500us", "connectTimeout"),
        ("protocolDetectionTimeout: 1500us", "protocolDetectionTimeout"),
        ("defaultConfig: {statusPort: 0}", "defaultConfig.statusPort"),
        ("defaultConfig: {discoveryAddress: \"\"}", "defaultConfig.discoveryAddress"),
        ("defaultConfig: {drainDuration: 1500ms}", "defaultConfig.drainDuration"),
        ("defaultConfig: {discoveryAddress: istiod}", "defaultConfig.discoveryAddress"),
        ("defaultConfig: {configPath: \"\"}", "defaultConfig.configPath"),
        ("defaultConfig: {statsdUdpAddress: \"a b:1\"}", "defaultConfig.statsdUdpAddress"),
        ("defaultConfig: {envoyMetricsService: {address: a}}", "defaultConfig.envoyMetricsService.address"),
        ("defaultConfig: {tracing: {zipkin: {}}}", "defaultConfig.tracing.zipkin.address"),
        (
            "defaultConfig: {tracing: {lightstep: {address: \"a:1\"}}}",
            "defaultConfig.tracing.lightstep.accessToken",
        ),
        (
            "defaultConfig: {tracing: {tlsSettings: {mode: MUTUAL, clientCertificate: /c}}}",
            "defaultConfig.tracing.tlsSettings.privateKey",
        ),
        (
            "defaultConfig: {privateKeyProvider: {cryptomb: {}}}",
            "defaultConfig.privateKeyProvider.cryptomb.pollDelay",
        ),
        ("defaultConfig: {privateKeyProvider: {}}", "defaultConfig.privateKeyProvider"),
        (
            "defaultConfig: {connectionSettings: {http2InitialStreamWindowSize: 1024}}",
            "defaultConfig.connectionSettings.http2InitialStreamWindowSize",
        ),
        (
            "defaultConfig: {connectionSettings: {httpMaxConcurrentStreams: 0}}",
            "defaultConfig.connectionSettings.httpMaxConcurrentStreams",
        ),
        (
            "defaultConfig: {connectionSettings: {listenerPerConnectionBufferLimitBytes: -1}}",
            "defaultConfig.connectionSettings.listenerPerConnectionBufferLimitBytes",
        ),
        ("trustDomain: \"a b\"", "trustDomain"),
        ("trustDomainAliases: [\"\"]", "trustDomainAliases[0]"),
        ("meshMTLS: {ecdhCurves: [P-256]}", "meshMTLS.ecdhCurves"),
        ("localityLbSetting: {distribute: [{from: a, to: {a: 90}}]}", "localityLbSetting.distribute[0].to"),
        (
            "localityLbSetting: {failover: [{from: a, to: b}], failoverPriority: [topology.kubernetes.io/zone]}",
            "localityLbSetting.failoverPriority[0]",
        ),
        ("zoneAwareLbSetting: {failover: [{from: a, to: a}]}", "zoneAwareLbSetting.failover[0].to"),
        ("serviceSettings: [{hosts: [\"a b\"]}]", "serviceSettings[0].hosts[0]"),
        ("defaultTrafficPolicy: {connectionPool: {}}", "defaultTrafficPolicy.connectionPool"),
        (
            "defaultInboundHttpRetryPolicy: {attempts: 0, backoff: 1s}",
            "defaultInboundHttpRetryPolicy.backoff",
        ),
    ] {
        assert_eq!(taken(mesh)?, (false, vec![("istio".to_owned(), format!("data.mesh.{field}"))]), "{mesh}");
    }
    Ok(())
}

#[test]
fn networks_of_which_one_is_wrong_are_not_taken_at_all() -> Outcome {
    let taken = |networks: &str| -> Result<(usize, Vec<(String, String)>), Box<dyn Error>> {
        let yaml = config_map("istio", "{}", &format!("{{networks: {{a: {{}}, b: {networks}}}}}"));
        let mut tables = tables(Options::default(), &[&yaml])?;
        let mesh = tables.next_mesh().mesh;
        Ok((mesh.settings.networks.networks.len(), fields(&tables)))
    };
    let fine = "{endpoints: [{fromCidr: 10.0.0.0/8}, {fromRegistry: east}], gateways: [{address: a.example, port: 1}]}";
    assert_eq!(taken(fine)?, (2, Vec::new()));
    for (network, field) in [
        ("{endpoints: [{fromCidr: 10.0.0.0}]}", "endpoints[0].fromCidr"),
        ("{endpoints: [{fromRegistry: \"\"}]}", "endpoints[0].fromRegistry"),
        ("{gateways: [{address: a.example, port: 0}]}", "gateways[0].port"),
        ("{gateways: [{registryServiceName: \"a b\", port: 1}]}", "gateways[0].registryServiceName"),
        ("{gateways: [{port: 1}]}", "gateways[0]"),
    ] {
        let told = vec![("istio".to_owned(), format!("data.meshNetworks.networks[b].{field}"))];
        assert_eq!(taken(network)?, (0, told), "{network}");
    }
    Ok(())
}

#[test]
fn networks_that_claim_the_same_are_told_and_taken() -> Result<(), Box<dyn Error>> {
    let told = |networks: &str| -> Result<Vec<(String, String)>, Box<dyn Error>> {
        let yaml = config_map("istio", "{}", &format!("{{networks: {networks}}}"));
        let mut tables = tables(Options::default(), &[&yaml])?;
        assert_eq!(tables.next_mesh().mesh.settings.networks.networks.len(), 2);
        let found = tables.problems().values().flatten();
        let found = found.filter(|p| p.severity == api::Severity::Warning);
        Ok(found.map(|p| (p.field.replace("data.meshNetworks.networks", ""), p.message.clone())).collect())
    };
    let of = |field: &str, message: &str| vec![(field.to_owned(), message.to_owned())];
    let networks = "{a: {endpoints: [{fromCidr: 10.1.0.0/16}]}, b: {endpoints: [{fromRegistry: x}, {fromCidr: 10.0.0.0/8}]}}";
    let message = "10.1.0.0/16 lies in 10.0.0.0/8 of network b, which all of it counts as";
    assert_eq!(told(networks)?, of("[a].endpoints[0].fromCidr", message));
    let networks = "{a: {endpoints: [{fromCidr: 10.0.0.0/8}]}, b: {endpoints: [{fromCidr: 10.0.0.1/8}]}}";
    let message = "10.0.0.1/8 lies in 10.0.0.0/8 of network a, which all of it counts as";
    assert_eq!(told(networks)?, of("[b].endpoints[0].fromCidr", message));
    let networks = "{a: {endpoints: [{fromRegistry: x}]}, b: {endpoints: [{fromRegistry: x}]}}";
    let message = "cluster x is of network a already, and counts as of that one";
    assert_eq!(told(networks)?, of("[b].endpoints[0].fromRegistry", message));
    let networks = "{a: {endpoints: [{fromCidr: 10.1.0.0/16}, {fromCidr: 10.0.0.0/8}]}, b: {endpoints: [{fromCidr: 11.0.0.0/8}]}}";
    assert_eq!(told(networks)?, []);
    Ok(())
}
