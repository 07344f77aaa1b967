//! Which workloads were given the roots that are trusted now: whoever is issued a certificate gets them with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

/// More are not remembered: then all are forgotten, and count again when they renew their certificates.
const MOST: usize = 200_000;

/// The workloads. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<Book>>);

/// What is known of the roots that count.
pub(crate) struct Now {
    /// What names them.
    pub(crate) bundle: String,
    /// Who was given them here, and how often.
    pub(crate) given: BTreeMap<String, usize>,
    /// The same by all replicas, as far as that was heard.
    pub(crate) heard: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Book {
    bundle: Arc<str>,
    given: BTreeMap<String, usize>,
    /// The same by all replicas, as far as that was heard: it outlives them.
    heard: BTreeMap<String, usize>,
}

impl Holders {
    /// From now on these roots count, PEM; whoever has others is forgotten.
    pub(crate) fn trusting(&self, bundle: &str) {
        let mut book = self.book();
        if *book.bundle != *bundle {
            *book = Book { bundle: bundle.into(), ..Book::default() };
        }
    }

    /// A workload of this identity at this address was given these roots, with a certificate.
    pub(crate) fn given(&self, identity: &str, address: Option<IpAddr>, bundle: &str) {
        let mut book = self.book();
        // Further roots follow the mesh's own, and may come and go.
        if !bundle.starts_with(&*book.bundle) {
            return;
        }
        if book.given.len() >= MOST {
            book.given.clear();
        }
        *book.given.entry(key(identity, address)).or_default() += 1;
    }

    /// All replicas together have given the roots of this name so often to these.
    pub(super) fn hear(&self, bundle: &str, given: &BTreeMap<String, usize>) {
        let mut book = self.book();
        if digest(&book.bundle) != bundle {
            return;
        }
        if book.heard.len() >= MOST {
            book.heard.clear();
        }
        for (key, count) in given {
            let most = book.heard.entry(key.clone()).or_default();
            *most = (*most).max(*count);
        }
    }

    /// What is known now.
    pub(crate) fn now(&self) -> Now {
        let book = self.book();
        Now { bundle: digest(&book.bundle), given: book.given.clone(), heard: book.heard.clone() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a workload is known to replicas: by identity and address. The identity is empty if it was not verified.
pub(super) fn key(identity: &str, address: Option<IpAddr>) -> String {
    let address = address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
    format!("{identity}|{address}")
}

/// What names a bundle.
fn digest(bundle: &str) -> String {
    format!("{:016x}", xxh3_64(bundle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_given_what_is_trusted_now_counts() {
        let (holders, address) = (Holders::default(), Some("::ffff:10.0.0.1".parse().expect("an address")));
        holders.trusting("a");
        holders.given("x", address, "a");
        holders.given("x", address, "a");
        holders.given("y", None, "b");
        holders.given("z", None, "a and others");
        let given = BTreeMap::from([("x|10.0.0.1".to_owned(), 2), ("z|".to_owned(), 1)]);
        assert_eq!(holders.now().given, given);
        holders.trusting("a");
        assert_eq!(holders.now().given.len(), 2, "the same roots again");
        let before = holders.now().bundle;
        holders.hear("of others", &given);
        assert!(holders.now().heard.is_empty());
        holders.hear(&before, &given);
        holders.hear(&before, &BTreeMap::from([("x|10.0.0.1".to_owned(), 1), ("y|".to_owned(), 1)]));
        let heard: Vec<usize> = holders.now().heard.into_values().collect();
        assert_eq!(heard, [2, 1, 1], "whoever ends takes nothing along");
        holders.trusting("ab");
        let now = holders.now();
        assert!(now.given.is_empty() && now.heard.is_empty() && now.bundle != before);
    }
}
