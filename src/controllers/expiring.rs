//! Events about certificates of the mesh's authority, such as that they end soon, at the Secret that they come from.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, PostParams};
use sources::kube::Connection;
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use crate::event::{Note, Reporter, event};
use crate::write::{Write, WriteError, Writer};

/// Who reports.
const CONTROLLER: &str = "pilothouse.io/certificate-authority";

/// The reason of Events about certificates that end soon.
pub const EXPIRING: &str = "CertificateExpiring";

/// The reason of Events about a signing certificate whose root proxies have not confirmed.
pub const UNCONFIRMED: &str = "RootNotConfirmed";

/// What is still so is told again.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Time between two looks for what is to be told again, or could not be told.
const LOOK: Duration = Duration::from_secs(60);

/// What is wrong, by the name of the certificate.
pub type Warnings = Arc<BTreeMap<String, String>>;

/// Writes the Events.
#[derive(Debug)]
pub struct Expiring {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// The namespace of the control plane.
    pub namespace: String,
    /// The name of this replica's pod.
    pub instance: String,
    /// The reason of the Events.
    pub reason: &'static str,
    /// What is to be told.
    pub warnings: watch::Receiver<Warnings>,
    /// The Secret of the authority; not set if there is none, or while it is not known: then nothing is told.
    pub secret: Arc<OnceLock<&'static str>>,
}

impl Expiring {
    /// Tells what is wrong, until `leading` ends.
    pub async fn run(&self, leading: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = leading.cancelled() => {}
        }
    }

    async fn work(&self) {
        let (mut warnings, mut pace) = (self.warnings.clone(), interval(LOOK));
        let mut told: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                Ok(()) = warnings.changed() => {}
            }
            let Some(&secret) = self.secret.get() else { continue };
            let now: Warnings = warnings.borrow_and_update().clone();
            told.retain(|name, at| now.contains_key(name) && at.elapsed() < AGAIN);
            for (name, problem) in now.iter() {
                if !told.contains_key(name) && self.tell(secret, name, problem).await.is_ok() {
                    told.insert(name.clone(), Instant::now());
                }
            }
        }
    }

    async fn tell(&self, secret: &str, name: &str, problem: &str) -> Result<(), WriteError> {
        let about = |verb, resource| Write::new(verb, resource, &self.namespace, secret);
        let client = self.connection.client();
        let secrets = Api::<Secret>::namespaced(client.clone(), &self.namespace);
        let get = about("get", "secrets");
        let found = self.writer.write(&get, || secrets.get_metadata_opt(secret)).await?;
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(secret.to_owned()),
            uid: found.and_then(|secret| secret.metadata.uid),
            ..ObjectReference::default()
        };
        let note = Note { warning: true, reason: self.reason, text: format!("{name}: {problem}") };
        let reporter = Reporter { controller: CONTROLLER, instance: &self.instance, action: "Watch" };
        let event = event(regarding, &note, reporter);
        let (create, post) = (about("create", "events.events.k8s.io"), PostParams::default());
        let events = Api::<Event>::namespaced(client.clone(), &self.namespace);
        let done = self.writer.write(&create, || events.create(&post, &event)).await;
        if let Err(error @ WriteError::Refused(_)) = &done {
            self.writer.tell(&create, error);
        }
        done.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::kubernetes::FakeServer;
    use tokio::time::timeout;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::testing::{SYSTEM, cluster};

    const SECRETS: &str = "/api/v1/secrets";
    const EVENTS: &str = "/apis/events.k8s.io/v1/events";

    #[tokio::test]
    async fn each_certificate_that_ends_is_told_once_at_its_secret() {
        let server = FakeServer::start(&[SECRETS, EVENTS]).await;
        server.put(SECRETS, json!({"metadata": {"name": "cacerts", "namespace": SYSTEM, "uid": "1-2"}}));
        let cluster = cluster(&server);
        let (sender, warnings) = watch::channel(Warnings::default());
        let expiring = Expiring {
            writer: cluster.writers.of("ends of certificates"),
            connection: cluster.connection,
            namespace: SYSTEM.to_owned(),
            instance: "istiod-1".to_owned(),
            reason: EXPIRING,
            warnings,
            secret: Arc::new(OnceLock::from("cacerts")),
        };
        let _task =
            AbortOnDropHandle::new(tokio::spawn(async move { expiring.run(CancellationToken::new()).await }));
        let warn = |names: &[&str]| {
            let all = names.iter().map(|name| ((*name).to_owned(), "ends".to_owned())).collect();
            sender.send_replace(Arc::new(all));
        };
        let until = async |count: usize| {
            let told = async {
                while server.all(EVENTS).len() < count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(10), told).await.expect("Events");
        };
        warn(&["CN=root"]);
        until(1).await;
        warn(&["CN=between", "CN=root"]);
        until(2).await;
        let mut notes: Vec<String> = server
            .all(EVENTS)
            .iter()
            .map(|event| event["note"].as_str().expect("a note").to_owned())
            .collect();
        notes.sort();
        assert_eq!(notes, ["CN=between: ends", "CN=root: ends"], "the root is not told a second time");
        let event = &server.all(EVENTS)[0];
        assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!(EXPIRING)));
        assert_eq!(
            (&event["regarding"]["name"], &event["regarding"]["uid"]),
            (&json!("cacerts"), &json!("1-2"))
        );
    }
}
