//! Calls and where they go: each file of `calls/` is a mesh and what is asked of the simulator, with the answers beside
//! it.
//!
//! `make golden` writes the answers anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::Proxy;
use model::endpoint::Locality;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::mesh::{documents, mesh};
use testkit::simulator::{Authorizer, Call, ClientTls, Request, Resources, Says, Version, simulate};

/// What most meshes begin with.
const BASE: &str = include_str!("calls/base.yaml");

/// A document that asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    #[serde(rename = "kind")]
    _kind: String,
    /// Whose calls they are; the sidecar of `web` in `shop` unless said otherwise.
    #[serde(default)]
    proxy: ProxyOfCase,
    calls: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProxyOfCase {
    id: String,
    metadata: Value,
    locality: String,
    /// What its Envoy says that it has.
    extensions: Vec<String>,
}

impl Default for ProxyOfCase {
    fn default() -> Self {
        Self {
            id: "sidecar~10.1.0.9~web.shop~shop.svc.cluster.local".to_owned(),
            metadata: json!({"LABELS": {"app": "web"}}),
            locality: "r1/z1".to_owned(),
            extensions: Vec::new(),
        }
    }
}

/// One call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Where the client goes.
    to: SocketAddr,
    /// `METHOD AUTHORITY/PATH`.
    http: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    /// `1.0` or `2`; 1.1 unless said otherwise.
    version: Option<String>,
    /// Bytes.
    #[serde(default)]
    tcp: String,
    /// Server name, protocols, whether a certificate is shown.
    tls: Option<TlsOfCall>,
    /// `outbound` (redirected), `inbound` (redirected) or `direct`; redirected outbound unless said otherwise.
    way: Option<String>,
    from: Option<IpAddr>,
    /// What external authorizers say: `allows`, `away`, or the status of a refusal.
    authorizer: Option<String>,
}

/// The value of a header, or those of one that is sent as often.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Each(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct TlsOfCall {
    sni: Option<String>,
    alpn: Vec<String>,
    /// A certificate is shown.
    certificate: bool,
    /// The URI of the certificate, behind `spiffe://`.
    principal: Option<String>,
}

#[test]
fn golden_answers_are_the_simulators() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calls");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml") && !path.ends_with("base.yaml"));
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    let mut wrong = Vec::new();
    for file in files {
        let given = answers(&file).with_context(|| file.display().to_string()).unwrap();
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &given).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        let differs = wanted.lines().zip(given.lines()).find(|(a, b)| a != b);
        if wanted != given {
            wrong.push(format!("{}: {differs:#?}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "differ, look at them with UPDATE_GOLDEN=1: {wrong:#?}");
}

fn answers(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let all = documents(&text)?;
    let (asking, objects): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|doc| doc.get("kind").is_some_and(|k| k == "Calls"));
    let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let mut streams = vec![BASE];
    streams.extend(objects.iter().map(String::as_str));
    let mesh = mesh(&streams)?;
    let mut answers = String::new();
    for doc in asking {
        let Calls { proxy, calls, .. } = serde_json::from_value(doc)?;
        let [region, zone] = proxy.locality.split_once('/').map_or(["", ""], |(region, zone)| [region, zone]);
        let locality = Locality { region: region.into(), zone: zone.into(), subzone: String::new() };
        let node = Proxy::parse(&proxy.id, &proxy.metadata, locality).with_context(|| proxy.id.clone())?;
        let node = Proxy { says_extensions: !proxy.extensions.is_empty(), ..node };
        let resources = Resources::sent(&mesh, &node)?;
        writeln!(answers, "{}", proxy.id)?;
        for asked in calls {
            let call = call(serde_json::from_value(asked.clone()).with_context(|| asked.to_string())?)?;
            writeln!(answers, "  {asked}")?;
            match simulate(&resources, &call) {
                Ok(answer) => writeln!(answers, "    {answer}")?,
                Err(error) => writeln!(answers, "    ERROR {error:#}")?,
            }
        }
    }
    Ok(answers)
}

fn call(asked: Asked) -> Result<Call> {
    let says: Says = match &asked.http {
        None => asked.tcp.as_bytes().into(),
        Some(line) => {
            let (method, rest) = line.split_once(' ').context("METHOD AUTHORITY/PATH")?;
            let (authority, path) = rest.split_at(rest.find('/').context("a path")?);
            let version = match asked.version.as_deref() {
                Some("1.0") => Version::Http10,
                Some("2") => Version::Http2,
                _ => Version::Http11,
            };
            let mut request = Request { method: method.to_owned(), version, ..Request::get(authority, path) };
            for (name, values) in asked.headers {
                let values = match values {
                    Values::One(value) => vec![value],
                    Values::Each(values) => values,
                };
                request.headers.extend(values.into_iter().map(|value| (name.clone(), value)));
            }
            request.into()
        }
    };
    let mut call = match asked.way.as_deref() {
        None | Some("outbound") => Call::outbound(asked.to, says),
        Some("inbound") => Call::inbound(asked.to, says),
        Some("direct") => Call::direct(asked.to, says),
        Some(other) => bail!("{other} is no way"),
    };
    call.source.set_ip(asked.from.unwrap_or_else(|| call.source.ip()));
    call.tls = asked.tls.map(|tls| {
        let uris: Vec<String> = tls.principal.iter().map(|name| format!("spiffe://{name}")).collect();
        let certificate = (tls.certificate || !uris.is_empty()).then_some(uris);
        ClientTls { sni: tls.sni, alpn: tls.alpn, certificate }
    });
    call.authorizer = match asked.authorizer.as_deref() {
        None | Some("allows") => Authorizer::Allows,
        Some("away") => Authorizer::Away,
        Some(status) => Authorizer::Denies(status.parse().with_context(|| format!("status {status}"))?),
    };
    Ok(call)
}
