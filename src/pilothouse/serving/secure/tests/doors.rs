//! Doors that must stay shut: tokens of others, what is too much, who says nothing, who comes in thousands.

use envoy::google::protobuf::value::Kind as Of;
use envoy::google::protobuf::{ListValue, Struct, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::commands::token;

const PATIENCE: Duration = Duration::from_secs(20);

/// Words of a header that shows a token.
fn bearer(state: &std::path::Path, audience: &str, made: SystemTime) -> Result<String> {
    let token = token::of(state)?.sign(("shop", "web"), audience, made, Duration::from_secs(60));
    Ok(format!("Bearer {}", token.map_err(|refused| anyhow!("{refused}"))?))
}

fn csr() -> Result<String> {
    Ok(PrivateKey::generate()?.request(&SpiffeId::new("cluster.local", "bank", "admin")?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_its_own_door_and_others_open_none() -> Result<()> {
    let (state, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let path = state.path().to_string_lossy().into_owned();
    let port = port_of(|_| {}, Config::default(), &["--state", &path]).await?;
    let good = bearer(state.path(), "istio-ca", now())?;
    let headers = [("authorization", good.as_str())];
    assert_eq!(port.ask(None, &headers, SHOP[0]).await?, None);
    assert_eq!(port.ask(None, &headers, (Variant::Sotw, "bank")).await?.map(|(code, _)| code), Some(7));
    let chain = port.certificate_for(None, &headers, &csr()?).await?.map_err(anyhow::Error::msg)?;
    let leaf = CertificateDer::from_pem_slice(chain[0].as_bytes())?;
    assert_eq!(auth::certificate::identity(&leaf).expect("an identity").to_string(), WEB);

    let hour = Duration::from_secs(3600);
    for (what, bad) in [
        ("of another audience", bearer(state.path(), "https://kubernetes.default.svc", now())?),
        ("expired", bearer(state.path(), "istio-ca", now() - hour)?),
        ("not valid yet", bearer(state.path(), "istio-ca", now() + hour)?),
        ("of another mesh", bearer(other.path(), "istio-ca", now())?),
        ("cut", good[..good.len() - 4].to_owned()),
        ("long", format!("Bearer {}", "a.".repeat(6_000))),
        ("without its word", good.replace("Bearer ", "bearer ")),
    ] {
        let headers = [("authorization", bad.as_str())];
        assert_eq!(port.certificate_for(None, &headers, &csr()?).await?, Err("16".to_owned()), "{what}");
        let refused = port.ask(None, &headers, SHOP[0]).await?;
        assert_eq!(refused, Some((16, "authentication failure".to_owned())), "{what}");
    }
    // The token of another cluster is never taken for one of this.
    let headers = [("authorization", good.as_str()), ("clusterid", "elsewhere")];
    assert_eq!(port.certificate_for(None, &headers, &csr()?).await?, Err("16".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_or_nonsense_harms_nobody_else() -> Result<()> {
    let port = port(|_| {}).await?;
    let web = Some((&*port.root, "cluster.local"));
    let long = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}", "A".repeat(100 * 1024));
    assert_eq!(port.certificate(web, &long).await?, Err("3".to_owned()));
    for csr in ["", "\0", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        assert_eq!(port.certificate(web, csr).await?, Err("3".to_owned()), "{csr:?}");
    }
    let huge = port.certificate(web, &"A".repeat(5 << 20)).await?;
    assert!(huge.is_err_and(|code| code != "0"), "a request of 5 MiB");

    let text = |text: &str| Value { kind: Some(Of::StringValue(text.to_owned())) };
    let mut deep = text("end");
    for _ in 0..40 {
        deep = Value { kind: Some(Of::ListValue(ListValue { values: vec![deep] })) };
    }
    let struct_of = |name: &str, value: Value| Struct { fields: [(name.to_owned(), value)].into() };
    let id = "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local";
    for (what, id, metadata) in [
        ("no parts", "sidecar", Struct::default()),
        ("empty parts", "~~~", Struct::default()),
        ("too many parts", "sidecar~10.0.0.7~a.shop~shop.svc~x~y", Struct::default()),
        ("no address", "sidecar~here~a.shop~shop.svc.cluster.local", Struct::default()),
        ("an unknown kind", "ship~10.0.0.7~a.shop~shop.svc.cluster.local", Struct::default()),
        ("control characters", "sidecar~10.0.0.7~a\0\n.shop~shop.svc.cluster.local", Struct::default()),
        ("deep metadata", id, struct_of("PROXY_CONFIG", deep)),
        ("a number for a name", id, struct_of("NAMESPACE", Value { kind: Some(Of::NumberValue(f64::NAN)) })),
        ("another's namespace", id, struct_of("NAMESPACE", text("bank"))),
        ("long metadata", id, struct_of("LABELS", text(&"a".repeat(5 << 20)))),
        ("a value of no kind", id, struct_of("LABELS", Value { kind: None })),
    ] {
        let mut stream = Stream::open_over(port.connect(web).await?, Variant::Delta, &[]).await?;
        let node = Some(Node { id: id.to_owned(), metadata: Some(metadata), ..Node::default() });
        let type_url = Kind::Cluster.type_url().to_owned();
        stream.send(&Asked::Delta(DeltaDiscoveryRequest {
            node,
            type_url,
            ..DeltaDiscoveryRequest::default()
        }));
        // Served or refused, but never as somebody else and never without an end.
        let served = timeout(PATIENCE, stream.receive()).await.with_context(|| what.to_owned())?;
        if what == "another's namespace" {
            assert!(!matches!(served, Ok(Some(_))), "{what}");
        }
        assert_eq!(port.ask(web, &[], SHOP[0]).await?, None, "after {what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_sent_away() -> Result<()> {
    let config = Config { first_request: Duration::from_millis(300), ..Config::default() };
    let port = port_of(|_| {}, config, &[]).await?;
    let web = Some((&*port.root, "cluster.local"));
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI *", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = port.connect(web).await?;
        stream.write_all(said).await?;
        let mut heard = Vec::new();
        // It ends, by a close or by an error.
        drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.context("it is still open")?);
    }
    // Who asks stays.
    let mut stream = Stream::open_over(port.connect(web).await?, Variant::Delta, &[]).await?;
    stream.send(&first_request(Variant::Delta, Kind::Cluster.type_url()));
    assert!(stream.receive().await?.is_some());
    tokio::time::sleep(Duration::from_millis(600)).await;
    stream.send(&first_request(Variant::Delta, Kind::Listener.type_url()));
    assert!(stream.receive().await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_room_for_so_many_connections_and_no_address_takes_all() -> Result<()> {
    let mut port = port_of(|_| {}, Config { max_connections: 20, ..Config::default() }, &[]).await?;
    let mut kept = Vec::new();
    for _ in 0..10 {
        let web = Some((&*port.root, "cluster.local"));
        let mut stream = Stream::open_over(port.connect(web).await?, Variant::Delta, &[]).await?;
        stream.send(&first_request(Variant::Delta, Kind::Cluster.type_url()));
        assert!(stream.receive().await?.is_some());
        kept.push(stream);
    }
    let is_served = async |port: &Port| {
        let web = Some((&*port.root, "cluster.local"));
        matches!(port.ask(web, &[], SHOP[0]).await, Ok(None))
    };
    assert!(!is_served(&port).await, "half of the places are for others");
    port.client = ELSEWHERE;
    assert!(is_served(&port).await);
    port.client = Ipv4Addr::LOCALHOST.into();
    kept.pop();
    let again = async {
        while !is_served(&port).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.context("there is room again")?;
    Ok(())
}
