//! What opens the door, and what does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use http::HeaderMap;
use serde_json::{Value, json};
use sources::feed::Listener as _;

use super::*;
use crate::testing::{Issuer, Scripted, claims, forged, now, pod_event, pod_gone, settings, token_for};

/// An API server that gives one answer.
#[derive(Clone, Default)]
struct Answers {
    answer: Arc<Mutex<Reviewed>>,
    asked: Arc<AtomicUsize>,
}

impl Review for Answers {
    fn review(&self, _: String, audiences: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        assert_eq!(audiences, ["istio-ca"]);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().unwrap().clone();
        async move { Ok(answer) }.boxed()
    }
}

struct Door {
    issuer: Issuer,
    presence: Arc<Presence>,
    answers: Answers,
    tokens: KubernetesTokens,
}

fn door(ask: Ask) -> Door {
    let (issuer, presence, answers) = (Issuer::new("one"), Arc::new(Presence::default()), Answers::default());
    presence.take(&[pod_event("shop", "web-1", "web-1", "web", "n1")]);
    presence.account("shop", "web", Some("web".to_owned()));
    let rules = Rules {
        audiences: vec!["istio-ca".to_owned()],
        clusters: vec!["Kubernetes".to_owned()],
        aliases: Aliases::from([("kube-1".to_owned(), "Kubernetes".to_owned())]),
        ask,
    };
    let keys = Scripted::of(&[&issuer]);
    let tokens = KubernetesTokens::new(rules, keys, Arc::clone(&presence), answers.clone(), settings());
    Door { issuer, presence, answers, tokens }
}

impl Door {
    async fn ask(&self, token: &str) -> Result<String, String> {
        self.ask_of(token, &[]).await
    }

    async fn ask_of(&self, token: &str, clusters: &[&'static str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers
            .insert("authorization", format!("Bearer {token}").parse().map_err(|_| "no header".to_owned())?);
        for cluster in clusters {
            headers.append("clusterid", cluster.parse().unwrap());
        }
        let answer = self.tokens.authenticate(&Credentials::of(None, &[], &headers), now()).await;
        let answer = answer.ok_or("no token")?;
        answer.map(|caller| caller.identity.to_string()).map_err(|refused| refused.to_string())
    }

    fn good(&self) -> String {
        token_for(&self.issuer, "shop", "web", now())
    }

    fn with(&self, changed: &Value) -> String {
        let mut all = claims("shop", "web", now());
        for (key, value) in changed.as_object().unwrap() {
            all[key] = value.clone();
        }
        self.issuer.sign(&all)
    }

    fn asked(&self) -> usize {
        self.answers.asked.load(Ordering::Relaxed)
    }
}

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

#[tokio::test]
async fn a_token_of_a_pod_that_is_there_is_taken_without_a_question() {
    let door = door(Ask::Unproven);
    for _ in 0..2 {
        assert_eq!(door.ask(&door.good()).await, Ok(WEB.to_owned()));
    }
    assert_eq!(door.asked(), 0);
}

#[tokio::test]
async fn what_is_false_is_refused_without_a_question() {
    let door = door(Ask::Unproven);
    let past = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 1;
    for (token, reason) in [
        (door.with(&json!({"aud": ["https://kubernetes.default.svc"]})), "audiences"),
        (door.with(&json!({"exp": past})), "expired"),
        (door.with(&json!({"iss": "https://elsewhere"})), "issuer"),
        (door.with(&json!({"sub": "system:serviceaccount:shop"})), "no service account"),
        (door.with(&json!({"sub": "system:node:n1"})), "no service account"),
    ] {
        let refused = door.ask(&token).await.unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
    for (what, token) in forged(&door.issuer, &door.good()) {
        assert!(door.ask(&token).await.is_err(), "{what}");
    }
    assert_eq!(door.asked(), 0);
}

#[tokio::test]
async fn who_is_gone_is_refused_even_if_the_token_was_taken_before() {
    let door = door(Ask::Unproven);
    let token = door.good();
    assert!(door.ask(&token).await.is_ok());
    door.presence.take(&[pod_gone("shop", "web-1")]);
    assert!(door.ask(&token).await.unwrap_err().contains("does not know it"));
    assert_eq!(door.asked(), 1);
    // Another pod of that name.
    door.presence.take(&[pod_event("shop", "web-1", "later", "web", "n1")]);
    assert!(door.ask(&token).await.is_err());
    door.presence.take(&[pod_event("shop", "web-1", "web-1", "web", "n1")]);
    assert!(door.ask(&token).await.is_ok());
    door.presence.account("shop", "web", Some("later".to_owned()));
    assert!(door.ask(&token).await.is_err());
    door.presence.account("shop", "web", None);
    assert!(door.ask(&token).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_proven_here_the_api_server_decides() {
    let door = door(Ask::Unproven);
    *door.answers.answer.lock().unwrap() = Reviewed {
        authenticated: true,
        audiences: vec!["istio-ca".to_owned()],
        user: "system:serviceaccount:shop:other".to_owned(),
        groups: vec!["system:serviceaccounts".to_owned()],
        ..Reviewed::default()
    };
    let other = Ok("spiffe://cluster.local/ns/shop/sa/other".to_owned());
    let unbound = door.with(&json!({"kubernetes.io": null}));
    let stranger = token_for(&Issuer::new("two"), "shop", "web", now());
    for token in [unbound, stranger] {
        assert_eq!(door.ask(&token).await, other);
    }
    assert_eq!(door.asked(), 2);
}

#[tokio::test]
async fn parts_of_a_token_must_agree() {
    let door = door(Ask::Unproven);
    // Signed by the right key, but about another account than it is bound to: no such token is ever made.
    let token = door.with(&json!({"sub": "system:serviceaccount:istio-system:admin"}));
    assert!(door.ask(&token).await.is_err());
    assert_eq!(door.asked(), 1);
}

#[tokio::test]
async fn the_api_server_can_be_asked_always() {
    let door = door(Ask::Always);
    for _ in 0..2 {
        assert!(door.ask(&door.good()).await.is_err());
    }
    assert_eq!(door.asked(), 2);
}

/// An API server that does not answer.
#[derive(Clone, Default)]
struct Silent(Arc<AtomicUsize>);

impl Review for Silent {
    fn review(&self, _: String, _: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn who_shows_many_tokens_keeps_nobody_else_from_being_asked_about() {
    let (silent, issuer) = (Silent::default(), Issuer::new("one"));
    let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
    let keys = Scripted::of(&[&issuer]);
    let tokens = KubernetesTokens::new(rules, keys, Arc::default(), silent.clone(), settings());
    let stranger = token_for(&Issuer::new("two"), "shop", "web", now());
    let from = |last: u8| Credentials {
        address: Some(([10, 0, 0, last], 1).into()),
        tokens: vec![stranger.clone()],
        ..Credentials::default()
    };
    let [greedy, modest] = [from(1), from(2)];
    let mut many: Vec<_> = (0..200).map(|_| tokens.authenticate(&greedy, now()).boxed()).collect();
    for one in &mut many {
        assert!(one.now_or_never().is_none());
    }
    assert_eq!(silent.0.load(Ordering::Relaxed), QUESTIONS / 2);
    let answer = tokens.authenticate(&modest, now()).await.expect("there is a token");
    assert_eq!(silent.0.load(Ordering::Relaxed), QUESTIONS / 2 + 1, "it had its turn at once");
    let refused = answer.map(|caller| caller.identity).unwrap_err().to_string();
    assert!(refused.contains("the API server does not answer"), "{refused}");
}

#[tokio::test]
async fn an_unknown_cluster_is_not_taken_for_the_home_cluster() {
    let door = door(Ask::Unproven);
    let good = door.good();
    for clusters in
        [&[][..], &["Kubernetes"], &["Kubernetes", "elsewhere"], &["elsewhere", "elsewhere"], &["kube-1"]]
    {
        assert_eq!(door.ask_of(&good, clusters).await, Ok(WEB.to_owned()), "{clusters:?}");
    }
    for clusters in [&["elsewhere"][..], &["kubernetes"], &["Kubernetes,elsewhere"]] {
        assert!(door.ask_of(&good, clusters).await.unwrap_err().contains("cluster"), "{clusters:?}");
    }
    assert_eq!(door.asked(), 0);
}

#[tokio::test]
async fn our_own_tokens_are_bound_to_nothing() {
    let issuer = Issuer::new("own");
    let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
    let tokens = KubernetesTokens::of_our_own(rules, Scripted::of(&[&issuer]), settings());
    let mut all = claims("shop", "web", now());
    all["kubernetes.io"] = Value::Null;
    let credentials = Credentials { tokens: vec![issuer.sign(&all)], ..Credentials::default() };
    let caller = tokens.authenticate(&credentials, now()).await.unwrap().unwrap();
    assert_eq!((caller.identity.to_string().as_str(), caller.pod), (WEB, None));
    let later = now() + Duration::from_secs(3600);
    assert!(tokens.authenticate(&credentials, later).await.unwrap().is_err());
}

/// The names of the files say what becomes of them. Claims, which begin with a brace, are signed by the issuer; everything else
/// is a token as it comes.
#[tokio::test]
async fn the_corpus_of_the_fuzz_target_is_taken_and_refused_as_its_names_say() {
    let door = door(Ask::Unproven);
    door.answers.answer.lock().unwrap().error = "it is away".to_owned();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/token");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let signed = text.starts_with('{');
        let answer = door.ask(&if signed { door.issuer.sign_text(&text) } else { text }).await;
        match answer {
            Ok(identity) => assert!(name.starts_with("taken-") && signed && identity == WEB, "{name}"),
            Err(reason) => assert!(name.starts_with("refused-"), "{name}: {reason}"),
        }
        count += 1;
    }
    assert!(count >= 55, "{count} files");
}
