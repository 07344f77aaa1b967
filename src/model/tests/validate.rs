//! What is told of objects: the rules of each kind, and that nothing is told of what the reference takes.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use api::{AnyObject, Severity};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

/// The objects of a YAML stream.
fn objects(yaml: &str) -> Result<Vec<AnyObject>, Box<dyn Error>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    let items = documents.into_iter().filter(|d| !d.is_null()).flat_map(api::items);
    items.map(|item| Ok(api::decode::decode(item).map_err(|e| e.to_string())?.object)).collect()
}

/// An object of `kind` (`group/version/Kind`) with this `spec`, in the flow form of YAML.
fn told(kind: &str, spec: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let (version, kind) = kind.rsplit_once('/').ok_or("a kind has a group")?;
    let yaml =
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, namespace: ns}}\nspec: {spec}\n");
    let mut lines = Vec::new();
    for object in objects(&yaml)? {
        for problem in model::validate::validate(&object) {
            assert!(!problem.hint.is_empty(), "every finding says what to do: {problem}");
            assert_eq!(problem.object, object.key());
            lines.push(format!("{} {}: {}", problem.severity, problem.field, problem.message));
        }
    }
    Ok(lines)
}

/// Holds that each `spec` has just one finding, which begins so.
fn one_each(kind: &str, cases: &[(&str, &str)]) -> Outcome {
    for (spec, start) in cases {
        let lines = told(kind, spec)?;
        assert!(matches!(lines.as_slice(), [line] if line.starts_with(start)), "{spec}\n{start}\n{lines:#?}");
    }
    Ok(())
}

const NETWORKING: &str = "networking.istio.io/v1";

#[test]
fn gateways() -> Outcome {
    let server = |rest: &str| format!("{{servers: [{{{rest}}}]}}");
    let http = "port: {number: 80, name: http, protocol: HTTP}";
    let https = "port: {number: 443, name: https, protocol: HTTPS}";
    let cases = [
        ("{}".to_owned(), "error spec.servers: the Gateway has no server"),
        (server(http), "error spec.servers[0].hosts: the server has no host"),
        (server("hosts: ['*']"), "error spec.servers[0].port: the server has no port"),
        (
            server(&format!("hosts: ['a b'], {http}")),
            "error spec.servers[0].hosts[0]: \"a b\" is no host name",
        ),
        (
            server(&format!("hosts: ['-/a.b'], {http}")),
            "error spec.servers[0].hosts[0]: \"-\" is no namespace",
        ),
        (
            server(&format!("hosts: [web], {http}")),
            "warning spec.servers[0].hosts[0]: \"web\" is a short name",
        ),
        (
            server("hosts: ['*'], port: {number: 80, name: x, protocol: GOPHER}"),
            "error spec.servers[0].port.protocol: \"GOPHER\" is no protocol",
        ),
        (
            server("hosts: ['*'], port: {number: 53, name: dns, protocol: UDP}"),
            "warning spec.servers[0].port.protocol: gateways carry no UDP: the port is opened for TCP",
        ),
        (
            server("hosts: ['*'], port: {number: 80, protocol: HTTP}"),
            "error spec.servers[0].port.name: the port has no name",
        ),
        (
            server(&format!("hosts: ['*'], {https}")),
            "error spec.servers[0].tls: a server of HTTPS or TLS needs tls",
        ),
        (
            server(&format!("hosts: ['*'], {http}, tls: {{mode: SIMPLE, credentialName: c}}")),
            "error spec.servers[0].tls: a server of plain HTTP has no TLS",
        ),
        (
            server(
                "hosts: ['*'], port: {number: 80, name: tcp, protocol: TCP}, tls: {mode: SIMPLE, credentialName: c}",
            ),
            "error spec.servers[0].tls: the protocol says that there is no TLS",
        ),
        (
            server(&format!(
                "hosts: ['*'], {https}, tls: {{mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertCredentialName: r}}"
            )),
            "error spec.servers[0].tls.caCertificates: clients' certificates are asked for",
        ),
        (
            server(&format!("hosts: ['*'], {https}, tls: {{mode: ISTIO_MUTUAL, credentialName: c}}")),
            "error spec.servers[0].tls: mode ISTIO_MUTUAL has no certificates of its own",
        ),
        (
            server(&format!(
                "hosts: ['*'], {https}, tls: {{mode: SIMPLE, credentialName: c, credentialNames: [d]}}"
            )),
            "error spec.servers[0].tls: the certificate is given in more than one way",
        ),
        (
            server(&format!("hosts: ['*'], {https}, tls: {{mode: SIMPLE, serverCertificate: /c}}")),
            "error spec.servers[0].tls.privateKey: the server has no certificate to show",
        ),
        (
            server(&format!(
                "hosts: ['*'], {https}, tls: {{mode: MUTUAL, serverCertificate: /c, privateKey: /k}}"
            )),
            "error spec.servers[0].tls.caCertificates: clients' certificates are asked for",
        ),
        (
            server(&format!(
                "hosts: ['*'], {https}, tls: {{mode: SIMPLE, credentialName: c, cipherSuites: [ROT13]}}"
            )),
            "warning spec.servers[0].tls.cipherSuites[0]: Envoy has no cipher suite \"ROT13\"",
        ),
        (
            server(&format!(
                "hosts: ['*'], {https}, tls: {{mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}}"
            )),
            "warning spec.servers[0].tls.minProtocolVersion: versions of TLS before 1.2",
        ),
        (
            server(&format!("hosts: ['*'], bind: 'unix:///s', {http}")),
            "error spec.servers[0].port.number: a Unix socket has no port",
        ),
        (
            format!("{{servers: [{{hosts: [a.b], {http}}}, {{hosts: [c.d], {http}}}]}}"),
            "error spec.servers[1].port.name: port name \"http\" is used",
        ),
    ];
    for (spec, start) in &cases {
        one_each(&format!("{NETWORKING}/Gateway"), &[(spec, start)])?;
    }
    // What says nothing is no mistake.
    for tls in ["{httpsRedirect: false}", "{httpsRedirect: true}", "{mode: PASSTHROUGH}"] {
        let spec = server(&format!("hosts: ['*'], {http}, tls: {tls}"));
        assert_eq!(told(&format!("{NETWORKING}/Gateway"), &spec)?, Vec::<String>::new(), "{tls}");
    }
    Ok(())
}

#[test]
fn virtual_services() -> Outcome {
    let to = "route: [{destination: {host: a}}]";
    let rule = |rest: &str| format!("{{hosts: [a], http: [{{{rest}}}]}}");
    let cases = [
        (
            "{http: [{route: [{destination: {host: a}}]}], gateways: [g]}".to_owned(),
            "error spec.gateways: a VirtualService without hosts",
        ),
        ("{hosts: [a]}".to_owned(), "error spec: there are no routes"),
        (
            format!("{{hosts: ['*'], http: [{{{to}}}]}}"),
            "error spec.hosts[0]: the host * would take all traffic",
        ),
        (
            format!("{{hosts: [a.b, '*.b'], http: [{{{to}}}]}}"),
            "error spec.hosts[1]: \"*.b\" is covered together with \"a.b\"",
        ),
        (
            format!("{{hosts: [a], gateways: ['a/b/c'], http: [{{{to}}}]}}"),
            "error spec.gateways[0]: \"a/b/c\" names no Gateway",
        ),
        (
            format!("{{hosts: [a], gateways: ['gw.ns'], http: [{{{to}}}]}}"),
            "warning spec.gateways[0]: \"gw.ns\" is the old way",
        ),
        (rule(""), "error spec.http[0]: the rule leads nowhere"),
        (rule(&format!("{to}, redirect: {{uri: /a}}")), "error spec.http[0]: the rule has more than one end"),
        (rule("redirect: {}"), "error spec.http[0].redirect: the redirect changes nothing"),
        (
            rule("redirect: {uri: /a, redirectCode: 200}"),
            "error spec.http[0].redirect.redirectCode: 200 is no status",
        ),
        (rule("directResponse: {status: 99}"), "error spec.http[0].directResponse.status: 99 is no status"),
        (
            rule(&format!("{to}, delegate: {{name: d}}")),
            "error spec.http[0]: a rule that delegates has no route",
        ),
        (
            "{http: [{delegate: {name: d}}]}".to_owned(),
            "error spec.http[0].delegate: a delegate cannot delegate",
        ),
        (
            rule("route: [{destination: {host: a}, weight: -1}, {destination: {host: b}, weight: 1}]"),
            "error spec.http[0].route[0].weight: the weight -1 is negative",
        ),
        (
            rule("route: [{destination: {host: a}}, {destination: {host: b}}]"),
            "error spec.http[0].route: the weights of all destinations are 0",
        ),
        (
            rule("route: [{destination: {host: ''}}]"),
            "error spec.http[0].route[0].destination.host: the host is empty",
        ),
        (rule(&format!("{to}, timeout: 10us")), "error spec.http[0].timeout: the time is shorter than 1 ms"),
        (
            rule(&format!("{to}, retries: {{attempts: 1, retryOn: sometimes}}")),
            "error spec.http[0].retries.retryOn: \"sometimes\" is no condition",
        ),
        (rule(&format!("{to}, fault: {{}}")), "error spec.http[0].fault: the fault does nothing"),
        (
            rule(&format!("{to}, fault: {{abort: {{httpStatus: 700, percentage: {{value: 1}}}}}}")),
            "error spec.http[0].fault.abort.httpStatus: 700 is no status",
        ),
        (
            rule(&format!("{to}, fault: {{delay: {{fixedDelay: 1s, percentage: {{value: 101}}}}}}")),
            "error spec.http[0].fault.delay.percentage.value: 101 is no share",
        ),
        (
            rule(&format!("{to}, mirror: {{host: b}}, mirrorPercent: 5")),
            "warning spec.http[0].mirrorPercent: the field is deprecated",
        ),
        (
            rule(&format!("{to}, corsPolicy: {{maxAge: 1500ms}}")),
            "error spec.http[0].corsPolicy.maxAge: browsers count whole seconds",
        ),
        (
            rule(&format!("{to}, headers: {{request: {{set: {{'a b': x}}}}}}")),
            "error spec.http[0].headers.request.set[a b]: \"a b\" is no header name",
        ),
        (
            rule(&format!("{to}, rewrite: {{authority: x}}, headers: {{request: {{set: {{host: z}}}}}}")),
            "error spec.http[0].headers.request.set: the authority is changed",
        ),
        (
            rule(&format!("{to}, match: [{{uri: {{prefix: ''}}}}]")),
            "error spec.http[0].match[0].uri.prefix: the prefix is empty",
        ),
        (
            rule(&format!("{to}, match: [{{headers: {{'@request.auth.claims.sub': {{exact: x}}}}}}]")),
            "error spec.http[0].match[0].headers[@request.auth.claims.sub]: claims of tokens",
        ),
        (
            format!("{{hosts: [a], http: [{{{to}}}, {{{to}}}]}}"),
            "warning spec.http[1]: http[0] before it takes every request",
        ),
        (
            "{hosts: [a.b], tls: [{match: [{sniHosts: [c.d]}], route: [{destination: {host: a}}]}]}"
                .to_owned(),
            "error spec.tls[0].match[0].sniHosts[0]: \"c.d\" is not among the hosts",
        ),
        (
            "{hosts: [a], tcp: [{match: [{port: 1}]}]}".to_owned(),
            "error spec.tcp[0].route: the route leads nowhere",
        ),
        (
            format!("{{hosts: [a], exportTo: ['*', b], http: [{{{to}}}]}}"),
            "error spec.exportTo: \"*\" stands beside others",
        ),
    ];
    for (spec, start) in &cases {
        one_each(&format!("{NETWORKING}/VirtualService"), &[(spec, start)])?;
    }
    Ok(())
}

#[test]
fn destination_rules() -> Outcome {
    let policy = |rest: &str| format!("{{host: a, trafficPolicy: {{{rest}}}}}");
    let balancer = |rest: &str| policy(&format!("loadBalancer: {{{rest}}}"));
    let cases = [
        ("{}".to_owned(), "error spec.host: the host is empty"),
        (policy(""), "error spec.trafficPolicy: the policy is empty"),
        (
            "{host: a, subsets: [{name: x}, {name: x}]}".to_owned(),
            "error spec.subsets[1].name: subset \"x\" is defined",
        ),
        (
            "{host: a, subsets: [{name: 'a b'}]}".to_owned(),
            "error spec.subsets[0].name: \"a b\" is no name of a subset",
        ),
        (
            policy("tunnel: {targetHost: b, targetPort: 1, protocol: GET}"),
            "error spec.trafficPolicy.tunnel.protocol: \"GET\"",
        ),
        (
            policy("tunnel: {targetHost: b, targetPort: 1}, proxyProtocol: {}"),
            "error spec.trafficPolicy.proxyProtocol: a tunnel has no PROXY protocol",
        ),
        (
            policy("connectionPool: {tcp: {maxConnections: -1}}"),
            "error spec.trafficPolicy.connectionPool.tcp.maxConnections: -1",
        ),
        (
            policy("connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}"),
            "error spec.trafficPolicy.connectionPool.http.h2UpgradePolicy: the client's protocol",
        ),
        (
            policy("outlierDetection: {maxEjectionPercent: 101}"),
            "error spec.trafficPolicy.outlierDetection.maxEjectionPercent: 101",
        ),
        (
            policy("outlierDetection: {consecutiveLocalOriginFailures: 1}"),
            "error spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: failures to connect",
        ),
        (
            balancer("consistentHash: {}"),
            "error spec.trafficPolicy.loadBalancer.consistentHash: there is nothing to hash",
        ),
        (
            balancer("consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}"),
            "error spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: 100 is not prime",
        ),
        (
            balancer("simple: RANDOM, warmup: {}"),
            "error spec.trafficPolicy.loadBalancer.warmup.duration: the time of the warm-up",
        ),
        (
            balancer("localityLbSetting: {distribute: [{from: 'a/*', to: {b: 60}}]}"),
            "error spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: the shares make 60 percent",
        ),
        (
            balancer("localityLbSetting: {failover: [{from: a, to: b}]}"),
            "warning spec.trafficPolicy.loadBalancer.localityLbSetting: without outlierDetection",
        ),
        (
            policy("tls: {mode: MUTUAL, clientCertificate: /c}"),
            "error spec.trafficPolicy.tls.privateKey: mode MUTUAL",
        ),
        (
            policy("tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: c}"),
            "error spec.trafficPolicy.tls.insecureSkipVerify: what is not verified",
        ),
        (
            policy("tls: {mode: SIMPLE, credentialName: c, caCrl: /c}"),
            "error spec.trafficPolicy.tls.credentialName: the certificate is given by a secret and by files",
        ),
        (
            policy("tls: {mode: SIMPLE, credentialName: 'configmap://c'}"),
            "error spec.trafficPolicy.tls.credentialName: \"configmap://c\" does not say the namespace",
        ),
        (
            policy("tls: {mode: DISABLE, credentialName: c, caCertificates: /c}"),
            "warning spec.trafficPolicy.tls.mode: mode DISABLE looks at no certificates",
        ),
        (
            policy("tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /c}"),
            "error spec.trafficPolicy.tls.insecureSkipVerify: what is not verified",
        ),
        (
            "{host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: ['*']}".to_owned(),
            "error spec.exportTo: a rule for some workloads",
        ),
    ];
    for (spec, start) in &cases {
        one_each(&format!("{NETWORKING}/DestinationRule"), &[(spec, start)])?;
    }
    Ok(())
}

#[test]
fn service_entries_and_workloads() -> Outcome {
    let tcp = "ports: [{number: 80, name: tcp, protocol: TCP}]";
    let http = "ports: [{number: 80, name: http, protocol: HTTP}]";
    let entry = |rest: &str| format!("{{hosts: [a.b], {rest}}}");
    let cases = [
        (format!("{{{http}}}"), "error spec.hosts: the ServiceEntry has no host"),
        (format!("{{hosts: ['*'], {http}}}"), "error spec.hosts[0]: the host * would be every host"),
        (
            entry(&format!(
                "{http}, resolution: STATIC, workloadSelector: {{labels: {{a: b}}}}, endpoints: [{{address: 1.2.3.4}}]"
            )),
            "error spec: the endpoints are both listed and selected",
        ),
        (entry("ports: [{number: 0, name: x}]"), "error spec.ports[0].number: 0 is no port number"),
        (
            entry("ports: [{number: 1, name: x}, {number: 1, name: z}]"),
            "error spec.ports[1].number: port 1 is listed twice",
        ),
        (
            entry(&format!("{http}, addresses: [10.0.0.0/8], resolution: DNS")),
            "error spec.addresses[0]: a range of addresses",
        ),
        (
            entry(&format!("{http}, endpoints: [{{address: 1.2.3.4}}]")),
            "error spec.endpoints: resolution NONE has no endpoints",
        ),
        (
            entry(&format!("{http}, resolution: STATIC, endpoints: [{{address: c.d}}]")),
            "error spec.endpoints[0].address: \"c.d\" is no address",
        ),
        (
            entry(&format!(
                "{http}, resolution: STATIC, endpoints: [{{address: 1.2.3.4, ports: {{grpc: 1}}}}]"
            )),
            "error spec.endpoints[0].ports: \"grpc\" is no port",
        ),
        (
            format!("{{hosts: ['*.b'], {http}, resolution: DNS}}"),
            "error spec.hosts[0]: \"*.b\" cannot be looked up",
        ),
        (
            entry(&format!(
                "{http}, resolution: DNS_ROUND_ROBIN, endpoints: [{{address: a.c}}, {{address: a.d}}]"
            )),
            "error spec.endpoints: resolution DNS_ROUND_ROBIN takes one endpoint",
        ),
        (
            entry(&format!("{http}, resolution: DYNAMIC_DNS")),
            "error spec.hosts[0]: resolution DYNAMIC_DNS is for wildcard hosts",
        ),
        (
            format!("{{hosts: [a.b, c.d], {tcp}, resolution: DNS}}"),
            "error spec.hosts: hosts with ports of opaque TCP",
        ),
    ];
    for (spec, start) in &cases {
        one_each(&format!("{NETWORKING}/ServiceEntry"), &[(spec, start)])?;
    }
    one_each(
        &format!("{NETWORKING}/WorkloadEntry"),
        &[
            ("{}", "error spec.address: the workload has no address"),
            ("{network: far}", "warning spec.address: without an address"),
            ("{address: 'a b'}", "error spec.address: \"a b\" is neither"),
            ("{address: 1.2.3.4, ports: {x: 70000}}", "error spec.ports[x]: 70000 is no port number"),
            ("{address: 1.2.3.4, labels: {'a b': c}}", "error spec.labels: a b=c is no label"),
        ],
    )?;
    one_each(
        &format!("{NETWORKING}/WorkloadGroup"),
        &[
            ("{}", "error spec.template: the WorkloadGroup has no template"),
            ("{template: {}, probe: {}}", "error spec.probe: the probe has no method"),
            (
                "{template: {}, probe: {periodSeconds: -1, exec: {command: [x]}}}",
                "error spec.probe.periodSeconds: -1 is negative",
            ),
        ],
    )
}

#[test]
fn sidecars() -> Outcome {
    one_each(
        &format!("{NETWORKING}/Sidecar"),
        &[
            ("{}", "error spec: the Sidecar says nothing"),
            (
                "{workloadSelector: {}, egress: [{hosts: ['*/*']}]}",
                "warning spec.workloadSelector.labels: the selector has no labels",
            ),
            ("{egress: [{}]}", "error spec.egress[0].hosts: the listener sees no host"),
            (
                "{egress: [{hosts: [a.b]}]}",
                "error spec.egress[0].hosts[0]: \"a.b\" does not say of which namespace",
            ),
            (
                "{egress: [{hosts: ['./*']}, {hosts: ['*/*'], port: {number: 80, protocol: HTTP, name: x}}]}",
                "error spec.egress[0]: only the last listener",
            ),
            (
                "{ingress: [{defaultEndpoint: '127.0.0.1:80'}]}",
                "error spec.ingress[0].port: the listener has no port",
            ),
            (
                "{ingress: [{port: {number: 80, protocol: HTTP, name: x}, defaultEndpoint: '10.0.0.1:80'}]}",
                "error spec.ingress[0].defaultEndpoint: \"10.0.0.1:80\" is no address of the workload itself",
            ),
            (
                "{ingress: [{port: {number: 80, protocol: HTTP, name: x}}, {port: {number: 80, protocol: HTTP, name: z}}]}",
                "error spec.ingress[1]: a listener before this one",
            ),
            (
                "{egress: [{bind: 'unix:///s', captureMode: IPTABLES, hosts: ['*/*']}]}",
                "error spec.egress[0].captureMode: nothing is redirected",
            ),
            (
                "{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a, port: {number: 80}}}}",
                "error spec.outboundTrafficPolicy.egressProxy: traffic to unknown hosts",
            ),
        ],
    )
}

#[test]
fn security_policies() -> Outcome {
    let security = "security.istio.io/v1";
    one_each(
        &format!("{security}/AuthorizationPolicy"),
        &[
            ("{action: DENY}", "error spec.rules: DENY without rules"),
            ("{action: CUSTOM, rules: [{}]}", "error spec.provider.name: CUSTOM needs a provider"),
            ("{action: ALLOW, provider: {name: p}}", "error spec.provider: only the action CUSTOM"),
            ("{rules: [{from: [{}]}]}", "error spec.rules[0].from[0].source: the source is missing"),
            ("{rules: [{from: [{source: {}}]}]}", "error spec.rules[0].from[0].source: the source is empty"),
            (
                "{rules: [{from: [{source: {ipBlocks: [x]}}]}]}",
                "error spec.rules[0].from[0].source.ipBlocks[0]: \"x\" is no address",
            ),
            (
                "{rules: [{to: [{operation: {ports: ['0']}}]}]}",
                "error spec.rules[0].to[0].operation.ports[0]: \"0\" is no port",
            ),
            (
                "{rules: [{to: [{operation: {paths: ['/a{*}']}}]}]}",
                "error spec.rules[0].to[0].operation.paths[0]: \"/a{*}\" is no template",
            ),
            (
                "{rules: [{when: [{key: sun, values: [x]}]}]}",
                "error spec.rules[0].when[0].key: \"sun\" is no attribute",
            ),
            (
                "{rules: [{when: [{key: 'request.headers[a]'}]}]}",
                "error spec.rules[0].when[0].values: the condition has no values",
            ),
            (
                "{rules: [{when: [{key: 'request.headers[]', values: [a]}]}]}",
                "error spec.rules[0].when[0].key: \"request.headers[]\" names nothing",
            ),
            (
                "{rules: [{when: [{key: source.serviceAccount, values: ['a*']}]}]}",
                "error spec.rules[0].when[0].values[0]: \"a*\" is no service account",
            ),
            (
                "{rules: [{when: [{key: source.trustDomain, values: ['a*b']}]}]}",
                "error spec.rules[0].when[0].values[0]: \"a*b\" has a * in its middle",
            ),
            (
                "{rules: [{from: [{source: {trustDomains: [a/b]}}]}]}",
                "error spec.rules[0].from[0].source.trustDomains[0]: \"a/b\" is no trust domain",
            ),
            (
                "{rules: [{from: [{source: {serviceAccounts: [/a]}}]}]}",
                "error spec.rules[0].from[0].source.serviceAccounts[0]: \"/a\" is no service account",
            ),
            (
                "{rules: [{from: [{source: {trustDomains: ['*.a', 'a.*', '*', 'a*b']}}]}]}",
                "error spec.rules[0].from[0].source.trustDomains[3]: \"a*b\" has a * in its middle",
            ),
            (
                "{rules: [{from: [{source: {trustDomains: ['*a*']}}]}]}",
                "error spec.rules[0].from[0].source.trustDomains[0]: \"*a*\" has a * in its middle, or several",
            ),
            (
                "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}",
                "warning spec.rules[0].to: on ports of opaque TCP",
            ),
            (
                "{action: CUSTOM, provider: {name: p}, rules: [{from: [{source: {principals: [a]}}]}]}",
                "error spec.rules[0].from[0].source.principals: the action CUSTOM",
            ),
            (
                "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}",
                "error spec: the policy says in more than one way",
            ),
            (
                "{targetRefs: [{kind: Pod, name: s}]}",
                "error spec.targetRefs[0].kind: a policy cannot be attached",
            ),
        ],
    )?;
    one_each(
        &format!("{security}/RequestAuthentication"),
        &[
            ("{jwtRules: [{}]}", "error spec.jwtRules[0].issuer: nothing says whose tokens"),
            (
                "{jwtRules: [{issuer: i, jwksUri: 'ftp://x'}]}",
                "error spec.jwtRules[0].jwksUri: \"ftp://x\" is no address",
            ),
            ("{jwtRules: [{issuer: i, jwks: '{}'}]}", "error spec.jwtRules[0].jwks: the keys cannot be read"),
            (
                "{jwtRules: [{issuer: i, jwks: '{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}, {\"kty\": \"EC\", \"x\": \"a\", \"y\": \"AQAB\"}]}'}]}",
                "error spec.jwtRules[0].jwks: key 1 is none",
            ),
            (
                "{jwtRules: [{issuer: i, jwks: '{\"keys\": [{\"kty\": \"XX\"}]}'}]}",
                "error spec.jwtRules[0].jwks: key 0 is none",
            ),
            (
                "{jwtRules: [{issuer: i, jwks: '{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\", \"d\": \"x\"}]}'}]}",
                "warning spec.jwtRules[0].jwks: a private key",
            ),
        ],
    )?;
    one_each(
        &format!("{security}/PeerAuthentication"),
        &[
            ("{portLevelMtls: {80: {mode: STRICT}}}", "error spec.portLevelMtls: modes of single ports"),
            (
                "{selector: {matchLabels: {a: b}}, portLevelMtls: {70000: {mode: STRICT}}}",
                "error spec.portLevelMtls[70000]: 70000 is no port",
            ),
            ("{selector: {matchLabels: {a: '*'}}}", "error spec.selector.matchLabels: label a=*"),
        ],
    )
}

#[test]
fn telemetry_and_extensions() -> Outcome {
    one_each(
        "telemetry.istio.io/v1/Telemetry",
        &[
            (
                "{tracing: [{providers: [{name: ''}]}]}",
                "error spec.tracing[0].providers[0].name: the provider has no name",
            ),
            (
                "{tracing: [{randomSamplingPercentage: 200}]}",
                "error spec.tracing[0].randomSamplingPercentage: 200 is no share",
            ),
            (
                "{tracing: [{customTags: {a: {}}}]}",
                "error spec.tracing[0].customTags[a]: the tag has no value",
            ),
            (
                "{metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]}",
                "error spec.metrics[0].overrides[0].tagOverrides[a].value: UPSERT needs a value",
            ),
            (
                "{metrics: [{overrides: [{tagOverrides: {a: {value: 'request.'}}}]}]}",
                "warning spec.metrics[0].overrides[0].tagOverrides[a].value: \"request.\" is no CEL expression: ",
            ),
            (
                "{accessLogging: [{filter: {expression: 'response.code >='}}]}",
                "error spec.accessLogging[0].filter.expression: \"response.code >=\" is no CEL expression: ",
            ),
            (
                "{accessLogging: [{filter: {expression: ' '}}]}",
                "error spec.accessLogging[0].filter.expression: the expression is empty",
            ),
        ],
    )?;
    one_each(
        "extensions.istio.io/v1alpha1/WasmPlugin",
        &[
            ("{}", "error spec.url: nothing says where the module is"),
            ("{url: 'ftp://x'}", "error spec.url: \"ftp\" is no scheme"),
            ("{url: x, sha256: abc}", "error spec.sha256: the checksum is not a SHA-256"),
            (
                "{url: x, vmConfig: {env: [{name: a, valueFrom: HOST, value: b}]}}",
                "error spec.vmConfig.env[0].value: the value comes",
            ),
        ],
    )?;
    one_each(
        "extensions.istio.io/v1alpha1/TrafficExtension",
        &[
            ("{}", "error spec: the extension needs exactly one program"),
            ("{lua: {}}", "error spec.lua.inlineCode: the script is empty"),
        ],
    )?;
    one_each(
        &format!("{NETWORKING}beta1/ProxyConfig"),
        &[("{concurrency: -1}", "error spec.concurrency: -1 is negative")],
    )?;
    let lines =
        told("networking.istio.io/v1alpha3/EnvoyFilter", "{configPatches: [{patch: {operation: ADD}}]}")?;
    assert!(lines.iter().any(|line| line.starts_with("error spec.configPatches[0].applyTo:")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.starts_with("error spec.configPatches[0].patch.value:")),
        "{lines:#?}"
    );
    Ok(())
}

#[test]
fn annotations_that_are_not_the_users() -> Outcome {
    let object = |annotations: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let yaml = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a, namespace: ns, annotations: {{{annotations}}}}}\nspec: {{}}\n"
        );
        let found = objects(&yaml)?.iter().flat_map(model::validate::validate).collect::<Vec<_>>();
        Ok(found.into_iter().map(|p| p.field).collect())
    };
    assert_eq!(object("istio.io/dry-run: 'true'")?, [""; 0]);
    assert_eq!(object("istio.io/dry-run: perhaps")?, ["metadata.annotations[istio.io/dry-run]"]);
    let rejected = "internal.istio.io/webhook-always-reject";
    assert_eq!(object(&format!("{rejected}: 'true'"))?, [format!("metadata.annotations[{rejected}]")]);
    Ok(())
}

/// The YAML files of objects below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "yaml")
            && path.file_name() != Some("proxies.yaml".as_ref())
        {
            found.push(path);
        }
    }
    Ok(())
}

/// What the reference's webhook refuses and its folder source, which the cases were taken from, does not look at.
const TAKEN_FROM_A_FOLDER: [&str; 2] = [
    "Gateway/istio-ingress/main spec.servers[1].port.name",
    "AuthorizationPolicy/tower/quiet-deny spec.rules",
];

#[test]
fn what_the_reference_has_taken_is_not_refused() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = Vec::new();
    for folder in ["e2e/conformance/cases", "examples"] {
        files(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let (mut seen, mut refused) = (0, Vec::new());
    for path in paths {
        for object in objects(&fs::read_to_string(&path)?)? {
            seen += 1;
            let found = model::validate::validate(&object);
            let errors = found.iter().filter(|problem| problem.severity == Severity::Error);
            let errors = errors.filter(|problem| {
                let at = format!("{} {}", problem.object, problem.field);
                !TAKEN_FROM_A_FOLDER.contains(&at.as_str())
            });
            let place = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
            refused.extend(errors.map(|problem| format!("{place}: {problem}")));
        }
    }
    assert!(seen > 500, "{seen} objects");
    assert!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

#[test]
fn expressions_that_envoy_would_refuse_are_told_wherever_they_stand() -> Outcome {
    let rule = |rest: &str| {
        format!("{{hosts: [a], http: [{{match: [{{{rest}}}], route: [{{destination: {{host: a}}}}]}}]}}")
    };
    for field in ["uri", "method", "authority", "headers: {h", "queryParams: {q", "withoutHeaders: {w"] {
        let close = if field.contains('{') { "}" } else { "" };
        for (expression, wrong) in [("a(b)?", false), ("a(?=b)", true), ("(", true)] {
            let lines = told(
                "networking.istio.io/v1/VirtualService",
                &rule(&format!("{field}: {{regex: '{expression}'}}{close}")),
            )?;
            let found = lines.iter().filter(|line| line.contains("is no RE2 expression: ")).count();
            assert_eq!((found, lines.len()), (usize::from(wrong), usize::from(wrong)), "{field}: {lines:?}");
        }
    }
    let route = "route: [{destination: {host: a}}]";
    for rest in
        ["corsPolicy: {allowOrigins: [{regex: '['}]}", "rewrite: {uriRegexRewrite: {match: '*', rewrite: /}}"]
    {
        let lines = told(
            "networking.istio.io/v1/VirtualService",
            &format!("{{hosts: [a], http: [{{{route}, {rest}}}]}}"),
        )?;
        assert!(matches!(lines.as_slice(), [line] if line.contains("is no RE2 expression")), "{lines:?}");
    }
    Ok(())
}

#[test]
fn expressions_that_are_too_long_are_refused() -> Outcome {
    let route = |regex: &str| {
        format!(
            "{{hosts: [a], http: [{{match: [{{uri: {{regex: {regex}}}}}], route: [{{destination: {{host: a}}}}]}}]}}"
        )
    };
    let filter = |regex: &str| {
        format!(
            "{{configPatches: [{{applyTo: CLUSTER, match: {{proxy: {{proxyVersion: {regex}}}}}, patch: {{operation: REMOVE}}}}]}}"
        )
    };
    for length in [1024, 1025] {
        let regex = "a".repeat(length);
        for (kind, spec) in [
            ("networking.istio.io/v1/VirtualService", route(&regex)),
            ("networking.istio.io/v1alpha3/EnvoyFilter", filter(&regex)),
        ] {
            let found = told(kind, &spec)?
                .iter()
                .filter(|line| line.contains("the expression has 1025 bytes"))
                .count();
            assert_eq!(found, length - 1024, "{kind}");
        }
    }
    Ok(())
}

#[test]
fn ingresses() -> Outcome {
    let backend = "backend: {service: {name: web, port: {number: 80}}}";
    let rule = |rest: &str| format!("{{rules: [{{{rest}}}]}}");
    let path = |rest: &str| rule(&format!("http: {{paths: [{{{rest}}}]}}"));
    let to = |backend: &str| path(&format!("path: /, pathType: Prefix, backend: {{{backend}}}"));
    let cases = [
        ("{}".to_owned(), "error spec.rules: the Ingress has no rules"),
        (rule("host: a_b"), "error spec.rules[0].host: \"a_b\" is no host name"),
        (rule("host: A.example"), "error spec.rules[0].host: \"A.example\" is no host name"),
        (rule("host: 10.0.0.1"), "error spec.rules[0].host: \"10.0.0.1\" is no host name"),
        (rule("host: '*'"), "error spec.rules[0].host: \"*\" is no host name"),
        (rule("host: a.*.example"), "error spec.rules[0].host: \"a.*.example\" is no host name"),
        (rule("http: {}"), "error spec.rules[0].http.paths: the rule has no paths"),
        (
            "{defaultBackend: {service: {name: web, port: {number: 80}}}, tls: [{hosts: [a b]}]}".to_owned(),
            "error spec.tls[0].hosts[0]: \"a b\" is no host name",
        ),
        (
            path(&format!("path: /, {backend}")),
            "error spec.rules[0].http.paths[0].pathType: the path has no type",
        ),
        (
            path(&format!("path: /, pathType: Regex, {backend}")),
            "error spec.rules[0].http.paths[0].pathType: \"Regex\" is no type",
        ),
        (
            path(&format!("path: a, pathType: Prefix, {backend}")),
            "error spec.rules[0].http.paths[0].path: \"a\" is no path from the root",
        ),
        (
            path(&format!("pathType: Exact, {backend}")),
            "error spec.rules[0].http.paths[0].path: \"\" is no path from the root",
        ),
        (
            path(&format!("path: /a/../b, pathType: Exact, {backend}")),
            "error spec.rules[0].http.paths[0].path: \"/a/../b\" is not the shortest form",
        ),
        (path("path: /, pathType: Prefix"), "error spec.rules[0].http.paths[0].backend: there is no backend"),
        (
            to("service: {name: web, port: {number: 80}}, resource: {kind: Bucket, name: a}"),
            "error spec.rules[0].http.paths[0].backend: there are both service and resource",
        ),
        (
            to("service: {name: web}"),
            "error spec.rules[0].http.paths[0].backend.service.port: there is no port",
        ),
        (
            to("service: {name: web, port: {name: http, number: 80}}"),
            "error spec.rules[0].http.paths[0].backend.service.port.name: the port has both name and number",
        ),
        (
            to("service: {name: web, port: {number: 65536}}"),
            "error spec.rules[0].http.paths[0].backend.service.port.number: 65536 is no port number",
        ),
        (
            to("service: {port: {number: 80}}"),
            "error spec.rules[0].http.paths[0].backend.service.name: \"\" is no name of a Service",
        ),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(spec, start)| (spec.as_str(), *start)).collect();
    one_each("networking.k8s.io/v1/Ingress", &cases)?;
    for taken in [
        rule("host: '*.example'"),
        path(&format!("pathType: ImplementationSpecific, {backend}")),
        path(&format!("path: /a.*, pathType: ImplementationSpecific, {backend}")),
        to("resource: {kind: Bucket, name: a}"),
    ] {
        assert_eq!(told("networking.k8s.io/v1/Ingress", &taken)?, [] as [String; 0], "{taken}");
    }
    Ok(())
}
