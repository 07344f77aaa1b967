//! Tokens of pods, whose pod or service account goes: they open no door any more.

use api::{Kind as Objects, ObjectKey};
use auth::kubernetes::{Review, Reviewed};
use auth::token::{FetchKeys, Published};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use sources::event::Event;
use sources::feed::Listener as _;
use testkit::tokens::Issuer;

use super::*;

const ISSUER: &str = "https://kubernetes.default.svc";

/// What an API server publishes.
struct Keys(String);

impl FetchKeys for Keys {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        let published = Published { issuer: ISSUER.to_owned(), keys: self.0.clone() };
        std::future::ready(Ok(published)).boxed()
    }
}

/// An API server to which what is gone is gone, too.
struct Knows;

impl Review for Knows {
    fn review(&self, _: String, _: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        std::future::ready(Ok(Reviewed::default())).boxed()
    }
}

/// The pod `web-1` of the account `web`; terminating, or gone without a UID.
fn pod(uid: Option<&str>, terminating: bool) -> Result<Event> {
    let key = ObjectKey { kind: Objects::Pod, namespace: "shop".into(), name: "web-1".into() };
    let object = uid.map(|uid| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "shop", "name": "web-1", "uid": uid},
            "spec": {"serviceAccountName": "web", "nodeName": "n1"},
        });
        if terminating {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        api::decode::decode(pod)
    });
    let object = object.transpose()?.map(|decoded| Arc::new(decoded.object));
    Ok(Event { key, object })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_a_pod_is_good_as_long_as_its_pod_and_its_account_are_there() -> Result<()> {
    let (issuer, presence) = (Issuer::new()?, Arc::new(Presence::default()));
    let keys = Keys(issuer.jwks().to_string());
    let watched = Arc::clone(&presence);
    let port =
        port_judged(move |rules, settings| KubernetesTokens::new(rules, keys, watched, Knows, settings))
            .await?;
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let token = issuer.sign(&json!({
        "iss": ISSUER, "aud": ["istio-ca"], "iat": seconds, "nbf": seconds, "exp": seconds + 3600,
        "sub": "system:serviceaccount:shop:web",
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "web", "uid": "account-1"},
            "pod": {"name": "web-1", "uid": "pod-1"}, "node": {"name": "n1", "uid": "n1"},
        },
    }))?;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let csr = PrivateKey::generate()?.request(&SpiffeId::new("cluster.local", "shop", "web")?)?;
    let account = |uid: Option<&str>| presence.account("shop", "web", uid.map(str::to_owned));

    let mut open = Vec::new();
    // Gone, terminating, replaced by one of the same name; and the same of the account.
    let same = Some("account-1");
    let ways = [
        (None, false, same),
        (Some("pod-1"), true, same),
        (Some("pod-2"), false, same),
        (Some("pod-1"), false, None),
        (Some("pod-1"), false, Some("account-2")),
    ];
    for (number, (uid, terminating, of)) in ways.into_iter().enumerate() {
        presence.take(&[pod(Some("pod-1"), false)?]);
        account(same);
        assert_eq!(port.ask(None, &headers, SHOP[0]).await?, None, "{number}");
        assert!(port.certificate_for(None, &headers, &csr).await?.is_ok(), "{number}");
        let mut stream = Stream::open_over(port.connect(None).await?, Variant::Delta, &headers).await?;
        stream.send(&first_request(Variant::Delta, Kind::Cluster.type_url()));
        assert!(stream.receive().await?.is_some());
        open.push(stream);

        presence.take(&[pod(uid, terminating)?]);
        account(of);
        for asked in SHOP {
            let refused = port.ask(None, &headers, asked).await?;
            assert_eq!(refused, Some((16, "authentication failure".to_owned())), "{number}");
        }
        assert_eq!(port.certificate_for(None, &headers, &csr).await?, Err("16".to_owned()), "{number}");
    }
    // A stream was let in when it was opened, as in the reference; its process is gone with its pod.
    for mut stream in open {
        stream.send(&first_request(Variant::Delta, Kind::Listener.type_url()));
        assert!(stream.receive().await?.is_some());
    }
    Ok(())
}
