//! What is served now: secrets by name, and which files some proxy wants to be watched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret::Type,
};
use envoy::google::protobuf::Any;
use tokio::sync::watch;
use tracing::{info, warn};

use super::files::FileSecret;

/// One secret, encoded. `Debug` prints its version only.
#[derive(Clone, PartialEq)]
pub(super) struct Entry {
    /// Hash of the public part: a key is replaced together with its certificate, and a version is shown in dumps.
    pub(super) version: String,
    pub(super) body: Any,
}

impl Entry {
    /// A key pair, both PEM.
    pub(super) fn certificate(name: &str, chain: Vec<u8>, key: Vec<u8>) -> Self {
        let version = hash(&chain);
        let certificate = TlsCertificate {
            certificate_chain: Some(inline(chain)),
            private_key: Some(inline(key)),
            ..Default::default()
        };
        Self::pack(name, version, Type::TlsCertificate(certificate))
    }

    /// Trust anchors, PEM.
    pub(super) fn trusted_ca(name: &str, roots: Vec<u8>) -> Self {
        let version = hash(&roots);
        let context = CertificateValidationContext { trusted_ca: Some(inline(roots)), ..Default::default() };
        Self::pack(name, version, Type::ValidationContext(context))
    }

    fn pack(name: &str, version: String, secret: Type) -> Self {
        Self { version, body: envoy::pack_any(&Secret { name: name.to_owned(), r#type: Some(secret) }) }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("version", &self.version).finish_non_exhaustive()
    }
}

fn inline(bytes: Vec<u8>) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes)), ..Default::default() }
}

/// 128 bits in hexadecimal; the same in every process.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

/// Secrets by name.
pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Debug)]
struct Watched {
    file: FileSecret,
    streams: usize,
    problem: Option<String>,
}

/// The table, with a signal at every change.
#[derive(Debug)]
pub(super) struct Store {
    table: watch::Sender<Arc<Table>>,
    files: Mutex<BTreeMap<String, Watched>>,
}

impl Store {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { table: watch::Sender::new(Arc::default()), files: Mutex::default() })
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.table.subscribe()
    }

    /// Puts secrets in place, all at once. Equal content wakes nobody.
    pub(super) fn put(&self, entries: impl IntoIterator<Item = (String, Entry)>) {
        let entries: Vec<_> = entries.into_iter().collect();
        self.table.send_if_modified(|table| {
            let changed = entries.into_iter().filter(|(name, entry)| table.get(name) != Some(entry));
            let changed: Vec<_> = changed.collect();
            let modified = !changed.is_empty();
            if modified {
                Arc::make_mut(table).extend(changed);
            }
            modified
        });
    }

    /// Reads every watched file again. What cannot be used is logged once and leaves the last good secret in place:
    /// Envoy does the same.
    pub(super) async fn poll(self: &Arc<Self>) {
        let watched: Vec<(String, FileSecret)> =
            self.files().iter().map(|(name, w)| (name.clone(), w.file.clone())).collect();
        for (name, file) in watched {
            self.read(name, file).await;
        }
    }

    async fn read(self: &Arc<Self>, name: String, file: FileSecret) {
        let task = tokio::task::spawn_blocking({
            let name = name.clone();
            move || file.load(&name)
        });
        let result = match task.await {
            Ok(result) => result,
            Err(error) => Err(format!("reading failed: {error}")),
        };
        let mut files = self.files();
        // Everybody may have gone while the file was read.
        let Some(watched) = files.get_mut(&name) else { return };
        match result {
            Ok(entry) => {
                if watched.problem.take().is_some() {
                    info!(secret = name, "secret can be read again");
                }
                self.put([(name, entry)]);
            }
            Err(problem) if watched.problem.as_ref() == Some(&problem) => {}
            Err(problem) => {
                warn!(
                    secret = name,
                    problem, "cannot serve the secret; it is sent as soon as its files are right"
                );
                watched.problem = Some(problem);
            }
        }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Watched>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names that one stream wants. As long as it lives, the files among them are watched.
#[derive(Debug)]
pub(super) struct Interest {
    store: Arc<Store>,
    names: BTreeSet<String>,
}

impl Interest {
    pub(super) const fn new(store: Arc<Store>) -> Self {
        Self { store, names: BTreeSet::new() }
    }

    /// Replaces the names. New file secrets are read before this returns.
    pub(super) async fn set(&mut self, names: BTreeSet<String>) {
        let gone: Vec<String> = self.names.difference(&names).cloned().collect();
        gone.iter().for_each(|name| self.release(name));
        let new: Vec<String> = names.difference(&self.names).cloned().collect();
        self.names = names;
        for name in new {
            let file = match FileSecret::parse(&name) {
                Ok(Some(file)) => file,
                Ok(None) => {
                    // The workload's own come as soon as they are issued.
                    let own = matches!(&*name, "default" | "ROOTCA");
                    if !own && !self.store.table.borrow().contains_key(&name) {
                        warn!(
                            secret = name,
                            "a proxy asks for a secret that is not served here; check the name"
                        );
                    }
                    continue;
                }
                Err(problem) => {
                    warn!(secret = name, problem, "a proxy asks for a secret whose name cannot be read");
                    continue;
                }
            };
            self.store
                .files()
                .entry(name.clone())
                .or_insert_with(|| Watched { file: file.clone(), streams: 0, problem: None })
                .streams += 1;
            self.store.read(name, file).await;
        }
    }

    fn release(&self, name: &str) {
        let mut files = self.store.files();
        let Some(watched) = files.get_mut(name) else { return };
        watched.streams -= 1;
        if watched.streams == 0 {
            files.remove(name);
            // Silently: nobody is left who wants it.
            self.store.table.send_if_modified(|table| {
                Arc::make_mut(table).remove(name);
                false
            });
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| self.release(name));
    }
}
