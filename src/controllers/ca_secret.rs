//! The Secret in which the self-signed root is kept: read, or made once for all replicas, and followed.
//!
//! Source: `shared/spec/security.md` 1.2, `shared/spec/kubernetes.md` 1.4; Istio `security/pkg/pki/ca/ca.go`.

mod pair;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use sources::kube::{Connection, Following, Selection, jittered};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::write::{Write, WriteError, Writer};
pub use pair::CaPair;
use pair::{is_generated, texts};

/// Its name.
pub const NAME: &str = "istio-ca-secret";

/// The Secret of a certificate authority that is plugged in. A mesh that has one must not get another root, least of all
/// from a process outside of the pods into which it is mounted.
pub const PLUGGED: &str = "cacerts";

/// Time between two looks at a Secret that cannot be used or read.
const AGAIN: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };

/// Where the Secret is.
#[derive(Clone, Debug)]
pub struct CaSecret {
    /// The cluster.
    pub connection: Connection,
    /// How it is written.
    pub writer: Writer,
    /// The namespace of the control plane.
    pub namespace: String,
    /// Whether a root that is made goes into `cacerts` (`USE_CACERTS_FOR_SELF_SIGNED_CA`), and one that was made there is used
    /// unless there is one in [`NAME`].
    pub in_cacerts: bool,
}

/// The Secret as it was read.
pub struct Kept {
    /// What is in it.
    pub pair: CaPair,
    secret: Secret,
}

/// The texts of a Secret by name. They hold keys: do not log them.
pub type Texts = BTreeMap<String, Zeroizing<String>>;

/// The operator has been told why there is nothing.
struct Told;

impl CaSecret {
    /// The root of the Secret, as `read` makes it from what is there. If there is no such Secret, it is made of what `make`
    /// gives. Replicas that do this at once get the same root: only one of them makes the Secret.
    ///
    /// If a certificate authority is plugged in instead, there is no root, as long as its Secret is there.
    ///
    /// Waits for as long as it takes. What `read` or `make` finds wrong, and that the Secret may not be read or made, is told
    /// to the operator and tried again; a Secret that is there is never replaced.
    pub async fn load_or_create<T, F>(
        &self,
        read: impl Fn(&CaPair) -> Result<T, String>,
        make: impl Fn() -> F,
    ) -> T
    where
        F: Future<Output = Result<CaPair, String>>,
    {
        loop {
            match self.look(&read).await {
                Ok(Some(root)) => return root,
                Ok(None) => match make().await {
                    Ok(pair) if self.create(&pair).await => continue,
                    Ok(_) => {}
                    Err(problem) => self.unusable(NAME, problem),
                },
                Err(Told) => {}
            }
            sleep(jittered(AGAIN)).await;
        }
    }

    /// Reads the Secret that there is. None if there is none or it cannot be read, which the operator is told.
    pub async fn read(&self) -> Option<Kept> {
        let secret = self.find().await.ok()??;
        match CaPair::of(&secret) {
            Ok(pair) => Some(Kept { pair, secret }),
            Err(problem) => {
                self.unusable(name(&secret), problem);
                None
            }
        }
    }

    /// Puts another pair in the place of what was read. False if somebody else wrote in between, or it may not be written,
    /// which the operator is told: what was read before still holds then.
    pub async fn replace(&self, kept: Kept, pair: &CaPair) -> bool {
        let mut secret = kept.secret;
        pair.put(&mut secret);
        let name = name(&secret).to_owned();
        let what = self.about("update", &name);
        // The version that was read goes along: whoever was faster wins.
        let put = PostParams::default();
        let api = self.api();
        match self.writer.write(&what, || api.replace(&name, &put, &secret)).await {
            Ok(_) => {
                self.writer.well(&what);
                true
            }
            Err(WriteError::Conflict) => false,
            Err(error) => {
                self.writer.tell(&what, &error);
                false
            }
        }
    }

    /// What is in the Secret of a plugged-in authority, as text; nothing if there is no such Secret, or a self-signed root was
    /// made in it. None if it cannot be read, which the operator is told.
    pub async fn plugged(&self) -> Option<Option<Texts>> {
        let found = self.get(PLUGGED).await.ok()?;
        Some(found.filter(|secret| !(self.in_cacerts && is_generated(secret))).map(texts))
    }

    /// Tells when somebody may have written the Secret; what it holds is to be read then.
    pub fn follow(&self) -> Following<()> {
        let name = if self.in_cacerts { PLUGGED } else { NAME };
        let what = format!("secrets {}/{name}", self.namespace);
        self.connection.follow(&what, self.api(), &Selection::named(name), |_: Secret| ())
    }

    /// The root that is kept; none if there is none and one may be made.
    async fn look<T>(&self, read: impl Fn(&CaPair) -> Result<T, String>) -> Result<Option<T>, Told> {
        let Some(secret) = self.find().await? else { return Ok(None) };
        let name = name(&secret);
        match CaPair::of(&secret).and_then(|pair| read(&pair)) {
            Ok(root) => {
                self.writer.well(&self.about("use", name));
                Ok(Some(root))
            }
            Err(problem) => {
                let cure = "mend it, or delete it to get a new root, which every workload has to learn";
                self.unusable(name, format!("{problem}; {cure}"));
                Err(Told)
            }
        }
    }

    /// The Secret of the root; none if there is none and one may be made.
    async fn find(&self) -> Result<Option<Secret>, Told> {
        let plugged = self.get(PLUGGED).await?;
        let generated = plugged.as_ref().is_some_and(|secret| self.in_cacerts && is_generated(secret));
        if plugged.is_some() && !generated {
            let problem = "a certificate authority is plugged in, but its files are not where this process looks \
                           (ROOT_CA_DIR): mount the Secret there and restart, or delete it to get a self-signed root";
            self.unusable(PLUGGED, problem.to_owned());
            return Err(Told);
        }
        Ok(self.get(NAME).await?.or(plugged))
    }

    /// Makes the Secret; whether there is one now, by whomever.
    async fn create(&self, pair: &CaPair) -> bool {
        let name = if self.in_cacerts { PLUGGED } else { NAME };
        let secret = pair.secret(&self.namespace, name, self.in_cacerts);
        let (api, post, what) = (self.api(), PostParams::default(), self.about("create", name));
        match self.writer.write(&what, || api.create(&post, &secret)).await {
            Ok(_) => tracing::info!(namespace = self.namespace, secret = name, "made a self-signed root"),
            Err(WriteError::Exists | WriteError::Conflict) => {}
            Err(error) => {
                self.writer.tell(&what, &error);
                return false;
            }
        }
        true
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, Told> {
        let api = self.api();
        self.writer.write(&self.about("get", name), || api.get_opt(name)).await.map_err(|_| Told)
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.connection.client().clone(), &self.namespace)
    }

    fn unusable(&self, name: &str, problem: String) {
        self.writer.tell(&self.about("use", name), &WriteError::Refused(problem));
    }

    fn about(&self, verb: &'static str, name: &str) -> Write {
        Write::new(verb, "secrets", &self.namespace, name)
    }
}

fn name(secret: &Secret) -> &str {
    secret.metadata.name.as_deref().unwrap_or(NAME)
}

#[cfg(test)]
mod tests;
