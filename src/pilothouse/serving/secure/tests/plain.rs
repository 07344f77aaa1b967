//! The port without TLS: configuration for whoever asks, and nothing of what is for those who are known.

use envoy::google::protobuf::value::Kind as Of;
use envoy::google::protobuf::{Struct, Value};
use model::mesh::{Access, Account};
use store::Options;
use testkit::ads::Response;
use testkit::mesh::tables;

use super::*;

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const NAMES: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";

/// A gateway that runs as `web` with a certificate in its own namespace, and a service behind it.
const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: shown, namespace: shop}
stringData: {tls.crt: CHAIN, tls.key: KEY, ca.crt: ROOTS}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec:
  selector: {app: door}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: MUTUAL, credentialName: shown}}
  - {port: {number: 444, name: tls, protocol: HTTPS}, hosts: [b.example], tls: {mode: MUTUAL, credentialName: 'kubernetes-gateway://shop/shown'}}
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: door, namespace: shop}
spec: {hosts: [a.example], gateways: [door], http: [{route: [{destination: {host: web}}]}]}
";

/// All names by which a gateway may ask for that certificate.
const SECRETS: [&str; 6] = [
    "kubernetes://shown",
    "kubernetes://shown-cacert",
    "kubernetes://shop/shown",
    "kubernetes-gateway://shop/shown",
    "kubernetes-gateway://shop/shown-cacert",
    "default",
];

async fn shop() -> Result<Port> {
    let mut tables = tables(Options::default(), &[MESH])?;
    let web = Account { cluster: "".into(), namespace: "shop".into(), name: "web".into() };
    tables.admit(&web, Some(Access::Granted));
    port_with(|_| {}, Config::default(), &[], tables.next_mesh().mesh).await
}

/// A request of the gateway, or of one that says so, for these names of a type.
fn asked(variant: Variant, first: bool, type_url: &str, names: &[&str]) -> Asked {
    let text = |text: &str| Value { kind: Some(Of::StringValue(text.to_owned())) };
    let labels = Struct { fields: [("app".to_owned(), text("door"))].into() };
    let labels = Value { kind: Some(Of::StructValue(labels)) };
    let fields = [
        ("LABELS".to_owned(), labels),
        ("NAMESPACE".to_owned(), text("shop")),
        ("SERVICE_ACCOUNT".to_owned(), text("web")),
    ];
    let node = first.then(|| Node {
        id: "router~10.0.0.7~door-1.shop~shop.svc.cluster.local".to_owned(),
        metadata: Some(Struct { fields: fields.into() }),
        ..Node::default()
    });
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let type_url = type_url.to_owned();
    match variant {
        Variant::Delta => Asked::Delta(DeltaDiscoveryRequest {
            node,
            type_url,
            resource_names_subscribe: names,
            ..DeltaDiscoveryRequest::default()
        }),
        Variant::Sotw => Asked::Sotw(DiscoveryRequest {
            node,
            type_url,
            resource_names: names,
            ..DiscoveryRequest::default()
        }),
    }
}

/// The type of the next answer, and how much is in it.
async fn next(stream: &mut Stream) -> Result<(String, usize)> {
    match stream.receive().await?.with_context(|| format!("the stream ended: {:?}", stream.status()))? {
        Response::Delta(answer) => Ok((answer.type_url, answer.resources.len())),
        Response::Sotw(answer) => Ok((answer.type_url, answer.resources.len())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_in_plain_text_has_configuration_and_no_secret() -> Result<()> {
    let port = shop().await?;
    for variant in [Variant::Delta, Variant::Sotw] {
        // Who is known has them at once.
        let web = Some((&*port.root, "cluster.local"));
        let mut known = Stream::open_over(port.connect(web).await?, variant, &[]).await?;
        known.send(&asked(variant, true, SECRET, &SECRETS));
        assert_eq!(next(&mut known).await?, (SECRET.to_owned(), 5));

        // Tokens and forwarded certificates make nobody known here, nor does the name of the gateway.
        let headers = [
            ("authorization", "Bearer a.b.c"),
            ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/web"),
        ];
        let socket = TcpStream::connect(port.plain).await?;
        let mut stream = Stream::open_over(socket, variant, &headers).await?;
        stream.send(&asked(variant, true, SECRET, &SECRETS));
        for (kind, names) in [
            (Kind::Listener.type_url(), &[][..]),
            (Kind::Cluster.type_url(), &[]),
            (Kind::Endpoints.type_url(), &["outbound|80||web.shop.svc.cluster.local"]),
            (Kind::Route.type_url(), &["http.80"]),
            (NAMES, &[]),
        ] {
            stream.send(&asked(variant, false, kind, names));
            let (came, count) = next(&mut stream).await?;
            assert!(came == kind && count > 0, "{variant:?}: {count} of {came}, not of {kind}");
        }
        // Types of the reference's that show all of a mesh are empty here, and pages refused.
        for kind in ["api", "mcp/x"] {
            stream.send(&asked(variant, false, kind, &["door-1.shop"]));
            assert_eq!(next(&mut stream).await?, (kind.to_owned(), 0));
        }
        for kind in ["istio.io/debug", "istio.io/debug/config_dump", "istio.io/debug/syncz"] {
            let mut stream =
                Stream::open_over(TcpStream::connect(port.plain).await?, variant, &headers).await?;
            stream.send(&asked(variant, true, kind, &["door-1.shop"]));
            assert_eq!(stream.receive().await?, None, "{kind}");
            assert_eq!(stream.status(), Some((16, "authentication required")), "{kind}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_certified_in_plain_text() -> Result<()> {
    let port = shop().await?;
    let io = TokioIo::new(TcpStream::connect(port.plain).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    for service in ["istio.v1.auth.IstioCertificateService/CreateCertificate", "debug/config_dump", "metrics"]
    {
        let request = http::Request::post(format!("http://istiod/{service}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(&[0; 5])))?;
        let response = sender.send_request(request).await?;
        assert_eq!(response.status(), 404, "{service}");
        assert!(response.into_body().collect().await?.to_bytes().is_empty(), "{service}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_over_xds_show_certificates_and_no_private_key() -> Result<()> {
    let port = shop().await?;
    let web = Some((&*port.root, "cluster.local"));
    let mut gateway = Stream::open_over(port.connect(web).await?, Variant::Delta, &[]).await?;
    gateway.send(&asked(Variant::Delta, true, SECRET, &SECRETS));
    assert_eq!(next(&mut gateway).await?, (SECRET.to_owned(), 5));
    // As they are, and as JSON has them.
    let (certificate, key) = (["CHAIN", "Q0hBSU4="], ["KEY", "S0VZ"]);
    for (kind, name) in [
        ("istio.io/debug/config_dump", "door-1.shop"),
        ("istio.io/debug", "config_dump?proxyID=door-1.shop"),
        ("istio.io/debug", "config_dump?proxyID=door-1.shop&types=sds"),
    ] {
        let mut stream = Stream::open_over(port.connect(web).await?, Variant::Delta, &[]).await?;
        stream.send(&asked(Variant::Delta, true, kind, &[name]));
        let Some(Response::Delta(answer)) = stream.receive().await? else {
            anyhow::bail!("{name}: {:?}", stream.status())
        };
        let answer = answer.encode_to_vec();
        let shown = String::from_utf8_lossy(&answer);
        assert!(certificate.iter().any(|text| shown.contains(text)), "{kind} {name}: {shown}");
        assert!(!key.iter().any(|text| shown.contains(text)), "{kind} {name}: {shown}");
    }
    Ok(())
}
