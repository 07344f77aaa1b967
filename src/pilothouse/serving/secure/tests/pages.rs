//! Debug pages: who sees what of them, over xDS and over HTTP.

use std::future::ready;

use axum::body::to_bytes;
use axum::extract::ConnectInfo;
use debug::{Access, Ready, RootPage, Rootz, Spreadz};
use envoy::google::protobuf::value::Kind as Of;
use envoy::google::protobuf::{Any, Struct, Value};
use envoy::service::status::v3::ClientConfig;
use serde_json::Value as Json;
use testkit::ads::Response;
use tower::ServiceExt as _;

use super::*;
use crate::commands::token;

const SYNCZ: &str = "istio.io/debug/syncz";
const CONFIG_DUMP: &str = "istio.io/debug/config_dump";
const PAGE: &str = "istio.io/debug";

/// The pages of a server, without what other parts of the binary tell.
pub(super) fn surface(server: &Server, who: Arc<dyn Who>) -> Surface {
    Surface {
        ready: Ready::default(),
        access: Access { who, ..Access::loopback() },
        registry: Registry::new(),
        clients: server.clients().clone(),
        version: "test".to_owned(),
        problems: Arc::new(Vec::new),
        leaders: Arc::new(Vec::new),
        mesh: Arc::new(Arc::default),
        clusters: None,
        jwks: Arc::new(Vec::new),
        spreadz: Spreadz { counts: Arc::new(|| Box::pin(ready(None))), admits: Arc::new(|_| false) },
        rootz: Rootz { page: Arc::new(RootPage::default), admits: Arc::new(|_| false) },
        sources: Arc::new(Vec::new),
    }
}

/// A port with one proxy each of the namespaces `shop` and `bank`, and tokens for whom it may concern.
struct Pages {
    port: Port,
    state: tempfile::TempDir,
    _proxies: Vec<Stream>,
}

async fn pages() -> Result<Pages> {
    let state = tempfile::tempdir()?;
    let path = state.path().to_string_lossy().into_owned();
    let port = port_of(|_| {}, Config::default(), &["--state", &path]).await?;
    let mut pages = Pages { port, state, _proxies: Vec::new() };
    for namespace in ["shop", "bank"] {
        let mut proxy = pages.open(namespace).await?;
        proxy.send(&first(namespace, Kind::Cluster.type_url(), &[]));
        ensure!(proxy.receive().await?.is_some());
        pages._proxies.push(proxy);
    }
    Ok(pages)
}

/// The first request of a workload of a namespace.
fn first(namespace: &str, type_url: &str, names: &[&str]) -> Asked {
    let text = |text: &str| Value { kind: Some(Of::StringValue(text.to_owned())) };
    let empty = Value { kind: Some(Of::StructValue(Struct::default())) };
    let said = [("NAMESPACE", text(namespace)), ("ISTIO_VERSION", text("1.30.0")), ("PROXY_CONFIG", empty)];
    let metadata = Struct { fields: said.map(|(key, value)| (key.to_owned(), value)).into() };
    let node = Node {
        id: format!("sidecar~10.0.0.7~web-1.{namespace}~{namespace}.svc.cluster.local"),
        metadata: Some(metadata),
        ..Node::default()
    };
    Asked::Delta(DeltaDiscoveryRequest {
        node: Some(node),
        type_url: type_url.to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    })
}

impl Pages {
    fn bearer(&self, namespace: &str) -> Result<String> {
        let token = token::of(self.state.path())?;
        let token = token.sign((namespace, "web"), "istio-ca", now(), Duration::from_secs(600));
        Ok(format!("Bearer {}", token.map_err(|refused| anyhow!("{refused}"))?))
    }

    async fn open(&self, namespace: &str) -> Result<Stream> {
        let bearer = self.bearer(namespace)?;
        let connection = self.port.connect(None).await?;
        Stream::open_over(connection, Variant::Delta, &[("authorization", &bearer)]).await
    }

    /// What a workload of a namespace is answered, or the status that it is refused with.
    async fn ask(&self, namespace: &str, type_url: &str, names: &[&str]) -> Result<Result<Vec<Any>, i32>> {
        let mut stream = self.open(namespace).await?;
        stream.send(&first(namespace, type_url, names));
        let Some(Response::Delta(answer)) = stream.receive().await? else {
            return Ok(Err(stream.status().context("neither answer nor status")?.0));
        };
        ensure!(answer.type_url == type_url);
        Ok(Ok(answer.resources.into_iter().filter_map(|resource| resource.resource).collect()))
    }

    /// What HTTP answers to a workload of a namespace, or to nobody, that comes from afar.
    async fn get(&self, namespace: Option<&str>, page: &str) -> Result<(u16, String)> {
        let from: SocketAddr = "10.0.0.7:4000".parse()?;
        let mut request = http::Request::get(format!("/debug/{page}")).extension(ConnectInfo(from));
        if let Some(namespace) = namespace {
            request = request.header("authorization", self.bearer(namespace)?);
        }
        let answer = self.port.surface.http().oneshot(request.body(axum::body::Body::empty())?).await?;
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await?;
        Ok((status, String::from_utf8(body.into())?))
    }
}

fn proxies(states: &[Any]) -> Result<Vec<String>> {
    let id = |state: &Any| -> Result<String> {
        Ok(ClientConfig::decode(&*state.value)?.node.context("no node")?.id)
    };
    let mut ids: Vec<String> = states.iter().map(id).collect::<Result<_>>()?;
    ids.dedup();
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_is_shown_the_proxies_of_its_namespace() -> Result<()> {
    let pages = pages().await?;
    let states = pages.ask("shop", SYNCZ, &[]).await?.map_err(|code| anyhow!("{code}"))?;
    assert_eq!(proxies(&states)?, ["web-1.shop"]);
    let clusters = Kind::Cluster.type_url();
    let state = ClientConfig::decode(&*states[0].value)?;
    let state =
        state.generic_xds_configs.iter().find(|state| state.type_url == clusters).context("clusters")?;
    assert_eq!(state.config_status().as_str_name(), "STALE", "it has acknowledged nothing");
    assert!(state.last_updated.is_some());

    let dump = pages.ask("shop", CONFIG_DUMP, &["web-1.shop"]).await?.map_err(|code| anyhow!("{code}"))?;
    let parts: Vec<&str> = dump.iter().filter_map(|part| part.type_url.rsplit('.').next()).collect();
    let whole = ["Bootstrap", "Clusters", "Listeners", "ScopedRoutes", "Routes", "Secrets"];
    assert_eq!(parts, whole.map(|part| format!("{part}ConfigDump")));
    for names in [&["web-1.bank"][..], &["nobody.shop"], &[], &["web-1.shop", "web-1.shop"]] {
        assert_eq!(pages.ask("shop", CONFIG_DUMP, names).await?, Ok(Vec::new()), "{names:?}");
    }

    let page =
        pages.ask("shop", PAGE, &["edsz?proxyID=web-1.shop"]).await?.map_err(|code| anyhow!("{code}"))?;
    assert_eq!((page.len(), &*page[0].type_url), (1, PAGE));
    assert!(serde_json::from_slice::<Json>(&page[0].value)?["configs"].is_array());
    let other = pages.ask("shop", PAGE, &["config_dump?proxyID=web-1.bank"]).await?;
    let other = other.map_err(|code| anyhow!("{code}"))?;
    assert!(other[0].value.starts_with(b"Proxy not connected"), "{other:?}");
    for page in ["configz", "syncz", "adsz", "list", "rootz", "../config_dump", "nowhere"] {
        assert_eq!(pages.ask("shop", PAGE, &[page]).await?, Err(7), "{page}");
    }
    assert_eq!(pages.ask("shop", PAGE, &["edsz", "edsz"]).await?, Err(3));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_meshs_own_namespace_is_shown_everything() -> Result<()> {
    let pages = pages().await?;
    let states = pages.ask("istio-system", SYNCZ, &[]).await?.map_err(|code| anyhow!("{code}"))?;
    let mut shown = proxies(&states)?;
    shown.retain(|proxy| !proxy.ends_with("istio-system"));
    shown.sort();
    assert_eq!(shown, ["web-1.bank", "web-1.shop"]);
    let dump = pages.ask("istio-system", CONFIG_DUMP, &["web-1.bank"]).await?;
    assert_eq!(dump.map(|parts| parts.len()), Ok(6));
    let missing = pages.ask("istio-system", PAGE, &["nowhere"]).await?.map_err(|code| anyhow!("{code}"))?;
    assert_eq!(&*missing[0].value, b"404 page not found\n");
    for page in ["configz", "list", "connections"] {
        let shown = pages.ask("istio-system", PAGE, &[page]).await?.map_err(|code| anyhow!("{code}"))?;
        serde_json::from_slice::<Json>(&shown[0].value).with_context(|| page.to_owned())?;
    }
    assert_eq!(pages.ask("istio-system", PAGE, &["no page\n"]).await?, Err(3));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_from_afar_are_shown_the_same() -> Result<()> {
    let pages = pages().await?;
    let (own, others) = ("config_dump?proxyID=web-1.shop", "config_dump?proxyID=web-1.bank");
    for page in [own, "syncz", "list", "nowhere"] {
        let refused = pages.get(None, page).await?;
        assert_eq!(refused, (if page == "nowhere" { 404 } else { 401 }, refused.1.clone()), "{page}");
    }
    assert_eq!(pages.get(Some("shop"), own).await?.0, 200);
    assert_eq!(pages.get(Some("shop"), others).await?.0, 404);
    assert_eq!(pages.get(Some("shop"), "syncz").await?, (403, String::new()));
    for page in [own, others, "syncz", "adsz"] {
        assert_eq!(pages.get(Some("istio-system"), page).await?.0, 200, "{page}");
    }
    Ok(())
}
