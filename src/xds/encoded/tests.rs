//! What streams see of an encoded resource.

use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Encoded, EncodedPart, Sink};
use crate::kind::ResourceType;
use crate::slot::{Slots, placeholder};
use crate::version::Version;

/// Counts how bytes arrive.
#[derive(Default)]
struct Rope {
    shared: Vec<Bytes>,
    copied: usize,
}

impl Sink for Rope {
    fn shared(&mut self, bytes: &Bytes) {
        self.shared.push(bytes.clone());
    }

    fn copied(&mut self, bytes: &[u8]) {
        self.copied += bytes.len();
    }
}

fn string_field(text: &str) -> Bytes {
    let mut bytes = vec![0x0a, text.len() as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

#[test]
fn parts_are_written_one_after_the_other_without_a_copy() {
    let parts: Arc<[_]> =
        ["head", "one", "two"].map(|text| Arc::new(EncodedPart::own(string_field(text), false))).into();
    let version = Version::of_hashes(parts.iter().map(|part| part.hash));
    let joined = Encoded::with_body(ResourceType::Route, "80".into(), 1, version, Body::Parts(parts.clone()));
    let mut rope = Rope::default();
    joined.write_body(&Slots::default(), &mut rope);
    assert_eq!(rope.copied, 0);
    assert_eq!(rope.shared.len(), 3);
    assert_eq!(rope.shared[1].as_ptr(), parts[1].bytes.as_ptr());
    assert_eq!(joined.body(&Slots::default()), b"\x0a\x04head\x0a\x03one\x0a\x03two");
    assert_eq!(joined.body_len(&Slots::default()), 16);
}

#[test]
fn a_slotted_resource_has_a_version_and_a_length_per_proxy() {
    let entry = Encoded::slotted(ResourceType::Listener, "l", string_field(&placeholder(0)));
    let (a, b) = (Slots::new(["a"]), Slots::new(["longer"]));
    assert!(entry.is_slotted());
    assert_ne!(entry.version(&a), entry.version(&b));
    assert_eq!(entry.body(&a), b"\x0a\x01a");
    assert_eq!(entry.body_len(&b), 8);
    let plain = Encoded::slotted(ResourceType::Listener, "l", string_field("no slot"));
    assert!(!plain.is_slotted());
    assert_eq!(plain.version(&a), plain.version(&b));
    assert_eq!(plain.version(&a), Version::of_bytes(&string_field("no slot")));
}

#[test]
fn parts_with_holes_are_filled_where_they_stand() {
    let parts: Arc<[_]> = [("head".to_owned(), false), (placeholder(0), true), ("tail".to_owned(), true)]
        .map(|(text, slotted)| Arc::new(EncodedPart::own(string_field(&text), slotted)))
        .into();
    let version = Version::of_hashes(parts.iter().map(|part| part.hash));
    let entry = Encoded::with_body(ResourceType::Listener, "l".into(), 1, version, Body::Parts(parts));
    let (a, b) = (Slots::new(["a"]), Slots::new(["longer"]));
    assert!(entry.is_slotted());
    assert_ne!(entry.version(&a), entry.version(&b));
    assert_eq!(entry.body(&a), b"\x0a\x04head\x0a\x01a\x0a\x04tail");
    assert_eq!(entry.body_len(&b), entry.body(&b).len());
}

#[test]
fn debug_output_shows_no_body() {
    let secret = Encoded::whole(ResourceType::Secret, "cert", Bytes::from_static(b"PRIVATE"));
    assert_eq!(format!("{secret:?}"), format!("SDS cert {}", Version::of_bytes(b"PRIVATE")));
}
