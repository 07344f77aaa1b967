//! The writer against an independent decoder.

use std::sync::Arc;

use api::envoy::Message as _;
use api::envoy::google::protobuf::Any;
use api::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use bytes::Bytes;

use super::{CHUNK, PREFIX, SHARE_FROM, Writer, bare};
use crate::encoded::Encoded;
use crate::kind::ResourceType::Cluster;
use crate::protocol::{Response, Variant};
use crate::slot::{Slots, placeholder};

fn response(variant: Variant, sizes: &[usize]) -> Response {
    let resource = |(at, size): (usize, &usize)| {
        Arc::new(Encoded::whole(Cluster, format!("name-{at}"), vec![at as u8; *size].into()))
    };
    Response {
        variant,
        kind: Cluster,
        nonce: "7-1".to_owned(),
        version: "v1".to_owned(),
        resources: sizes.iter().enumerate().map(resource).collect(),
        removed: vec![Arc::from("gone"), Arc::from("")],
        slots: Slots::default(),
    }
}

fn write(response: Response) -> (Vec<Bytes>, Vec<u8>) {
    let mut writer = Writer::new(response, "pilothouse").expect("short");
    let chunks: Vec<_> = std::iter::from_fn(|| writer.next_chunk()).collect();
    let bytes = chunks.concat();
    assert_eq!(bytes.len(), writer.len());
    assert_eq!(bytes[0], 0);
    assert_eq!(bytes[1..PREFIX], (bytes.len() as u32 - PREFIX as u32).to_be_bytes());
    (chunks, bytes[PREFIX..].to_vec())
}

const SIZES: &[usize] = &[0, 1, 127, 128, SHARE_FROM - 1, SHARE_FROM, CHUNK, 3 * CHUNK, 5, 100_000, 2];

#[test]
fn a_delta_response_decodes_to_what_was_meant() {
    let meant = response(Variant::Delta, SIZES);
    let (_, bytes) = write(meant.clone());
    let decoded = DeltaDiscoveryResponse::decode(&*bytes).expect("a response");
    assert_eq!((&*decoded.nonce, &*decoded.type_url), ("7-1", Cluster.type_url()));
    assert_eq!(decoded.removed_resources, ["gone", ""]);
    assert_eq!(decoded.control_plane.expect("said").identifier, "pilothouse");
    assert_eq!(decoded.resources.len(), SIZES.len());
    for (resource, meant) in decoded.resources.iter().zip(&meant.resources) {
        assert_eq!(resource.name, **meant.name());
        assert_eq!(resource.version, meant.version(&Slots::default()).to_string());
        let value = meant.body(&Slots::default()).into();
        assert_eq!(resource.resource, Some(Any { type_url: Cluster.type_url().to_owned(), value }));
    }
}

#[test]
fn a_response_of_the_state_of_the_world_decodes_to_what_was_meant() {
    let mut meant = response(Variant::Sotw, SIZES);
    meant.removed.clear();
    let (_, bytes) = write(meant.clone());
    let decoded = DiscoveryResponse::decode(&*bytes).expect("a response");
    assert_eq!((&*decoded.nonce, &*decoded.version_info), ("7-1", "v1"));
    assert_eq!(decoded.type_url, Cluster.type_url());
    assert_eq!(decoded.control_plane.expect("said").identifier, "pilothouse");
    let bodies: Vec<_> = decoded.resources.into_iter().map(|any| any.value.to_vec()).collect();
    let meant: Vec<_> = meant.resources.iter().map(|meant| meant.body(&Slots::default())).collect();
    assert_eq!(bodies, meant);
}

#[test]
fn large_bodies_are_shared_and_small_ones_gathered() {
    let meant = response(Variant::Delta, &[10; 1000]);
    let (chunks, bytes) = write(meant);
    assert_eq!(chunks.len(), (bytes.len() + PREFIX).div_ceil(CHUNK));
    let meant = response(Variant::Delta, &[100_000]);
    let body = meant.resources[0].clone();
    let (chunks, _) = write(meant);
    let mut original = Vec::new();
    body.write_body(&Slots::default(), &mut Pointers(&mut original));
    assert!(chunks.iter().any(|chunk| original.contains(&chunk.as_ptr())), "the body was copied");
}

/// Notes where shared bytes are.
struct Pointers<'a>(&'a mut Vec<*const u8>);

impl crate::encoded::Sink for Pointers<'_> {
    fn shared(&mut self, bytes: &Bytes) {
        self.0.push(bytes.as_ptr());
    }

    fn copied(&mut self, _: &[u8]) {}
}

#[test]
fn slots_are_filled_with_the_proxys_values() {
    let text = placeholder(0);
    let body = [&[0x0a, text.len() as u8], text.as_bytes()].concat();
    let mut meant = response(Variant::Delta, &[]);
    meant.resources = vec![Arc::new(Encoded::slotted(Cluster, "x", body.into()))];
    meant.slots = Slots::new(["a value"]);
    let (_, bytes) = write(meant);
    let decoded = DeltaDiscoveryResponse::decode(&*bytes).expect("a response");
    let any = decoded.resources[0].resource.as_ref().expect("a body");
    assert_eq!(any.value, [&[0x0a, 7], &b"a value"[..]].concat());
}

#[test]
fn answers_for_one_client_decode_in_both_variants() {
    let any = Any { type_url: "t".to_owned(), value: Bytes::from_static(b"v") };
    let resources = [("n".to_owned(), Bytes::from(any.encode_to_vec()))];
    let delta = bare(Variant::Delta, "istio.io/debug", ("v1", "plane-1"), &resources);
    let delta = DeltaDiscoveryResponse::decode(&delta[PREFIX..]).expect("a response");
    assert_eq!((&*delta.resources[0].name, delta.resources[0].resource.as_ref()), ("n", Some(&any)));
    assert_eq!((&*delta.type_url, &*delta.nonce), ("istio.io/debug", "v1"));
    let sotw = bare(Variant::Sotw, "istio.io/debug", ("v1", "plane-1"), &resources);
    let sotw = DiscoveryResponse::decode(&sotw[PREFIX..]).expect("a response");
    assert_eq!((sotw.resources, &*sotw.version_info), (vec![any], "v1"));
    for sender in [delta.control_plane, sotw.control_plane] {
        assert_eq!(sender.expect("a name").identifier, "plane-1");
    }
}
