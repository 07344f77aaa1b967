//! A response on the wire: the gRPC prefix, the envelope written by hand, and the cached bodies uncopied.
//!
//! The writer makes one chunk at a time, when the transport asks for it, so that a slow reader costs a list of shared
//! resources and not their bytes. What is small is gathered in chunks of HTTP/2's frame size; what is large is passed on
//! by reference.

mod pages;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::encoded::{Encoded, Sink};
use crate::protocol::{Response, Variant};
use crate::version::Version;
pub use pages::Pages;
use pages::Shelf;

/// HTTP/2's default frame size, in bytes.
const CHUNK: usize = 16 * 1024;

/// Shorter pieces are copied into a chunk, for a frame each would cost more.
const SHARE_FROM: usize = 4 * 1024;

/// Length of the gRPC prefix: the compression flag and a 32-bit length.
const PREFIX: usize = 5;

/// Field numbers of `DiscoveryResponse` and `DeltaDiscoveryResponse` (envoy/service/discovery/v3/discovery.proto); both
/// have `resources`, `type_url` and `nonce` at the same place.
mod field {
    pub(super) const VERSION_INFO: u32 = 1;
    pub(super) const RESOURCES: u32 = 2;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const CONTROL_PLANE: u32 = 6;
    pub(super) const DELTA_REMOVED: u32 = 6;
    pub(super) const DELTA_CONTROL_PLANE: u32 = 7;

    /// `Resource`.
    pub(super) const RESOURCE_VERSION: u32 = 1;
    pub(super) const RESOURCE_BODY: u32 = 2;
    pub(super) const RESOURCE_NAME: u32 = 3;

    /// `google.protobuf.Any`.
    pub(super) const ANY_TYPE_URL: u32 = 1;
    pub(super) const ANY_VALUE: u32 = 2;

    /// `ControlPlane`.
    pub(super) const IDENTIFIER: u32 = 1;
}

/// The response is longer than the 4 GiB that a gRPC message may have; its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a response of {0} bytes is longer than a gRPC message may be")]
pub struct TooLong(pub usize);

/// Writes one response, chunk after chunk.
pub struct Writer {
    response: Response,
    /// How many of the resources are written.
    written: usize,
    rope: Rope,
    /// Where the head of each resource is put together.
    scratch: Vec<u8>,
    len: usize,
    /// Where others have left what they gathered.
    shelf: Option<Arc<Shelf>>,
    /// How many of the next resources are written one by one.
    single: usize,
}

impl Writer {
    /// A writer for a response. `control_plane` names the sender to the client; empty leaves the field out.
    pub fn new(response: Response, control_plane: &str) -> Result<Self, TooLong> {
        let head = head(&response, control_plane);
        let resources = response.resources.iter().map(|resource| {
            let (outer, _) = lengths(&response, resource);
            field_len(field::RESOURCES, outer)
        });
        let len = head.len() + resources.sum::<usize>();
        let Ok(prefix) = u32::try_from(len) else { return Err(TooLong(len)) };
        let mut rope = Rope::default();
        rope.copied(&[0]);
        rope.copied(&prefix.to_be_bytes());
        rope.copied(&head);
        Ok(Self { response, written: 0, rope, scratch: head, len: len + PREFIX, shelf: None, single: 0 })
    }

    /// Has what is gathered of a long response in common with the other writers that these pages are lent to.
    pub fn with(mut self, pages: &Pages) -> Self {
        self.shelf = pages.shelf(self.len);
        self
    }

    /// The response.
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// The length of all chunks together, in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to write; never so, for there is always the prefix.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next chunk; `None` when all is written.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.rope.ready.pop_front() {
                return Some(chunk);
            }
            if self.written == self.response.resources.len() {
                return self.rope.take_tail();
            }
            self.written += self.write_next();
        }
    }

    /// Writes what comes next; how many resources that was.
    fn write_next(&mut self) -> usize {
        if self.single == 0 && self.shelf.is_some() {
            let written = self.write_run();
            if written > 0 {
                return written;
            }
        }
        self.single = self.single.saturating_sub(1);
        let resource = self.response.resources.get(self.written);
        resource.into_iter().for_each(|resource| {
            write_resource(&self.response, resource, &mut self.scratch, &mut self.rope);
        });
        1
    }

    /// Writes the next run from pages that others have, too; how many resources that was. None if this writer is alone with
    /// it: then they are written one by one.
    fn write_run(&mut self) -> usize {
        let (response, head) = (&self.response, &mut self.scratch);
        let (_, rest) = response.resources.split_at(self.written);
        let run = pages::next(rest);
        let shared = self.shelf.as_ref().filter(|_| !run.is_empty()).and_then(|shelf| {
            shelf.run(response.variant, run, || {
                let mut rope = Rope::default();
                run.iter().for_each(|resource| write_resource(response, resource, head, &mut rope));
                rope.finish()
            })
        });
        let Some(shared) = shared else {
            self.single = run.len();
            return 0;
        };
        shared.pages.iter().for_each(|page| self.rope.shared(page));
        run.len()
    }
}

/// A whole message with packed resources, for answers that are made for one client. Names are said in delta only.
pub fn bare(
    variant: Variant,
    type_url: &str,
    (version, control_plane): (&str, &str),
    resources: &[(String, Bytes)],
) -> Bytes {
    let mut body = Vec::new();
    text(field::VERSION_INFO, version, &mut body);
    text(field::TYPE_URL, type_url, &mut body);
    text(field::NONCE, version, &mut body);
    sender(variant, control_plane, &mut body);
    for (name, any) in resources {
        if variant == Variant::Sotw {
            open(field::RESOURCES, any.len(), &mut body);
        } else {
            open(
                field::RESOURCES,
                text_len(field::RESOURCE_NAME, name) + field_len(field::RESOURCE_BODY, any.len()),
                &mut body,
            );
            text(field::RESOURCE_NAME, name, &mut body);
            open(field::RESOURCE_BODY, any.len(), &mut body);
        }
        body.put_slice(any);
    }
    let mut message = Vec::with_capacity(PREFIX + body.len());
    message.put_u8(0);
    message.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    message.put_slice(&body);
    message.into()
}

/// The field that names the control plane, if it has a name.
fn sender(variant: Variant, control_plane: &str, into: &mut Vec<u8>) {
    if control_plane.is_empty() {
        return;
    }
    let mut sender = Vec::new();
    text(field::IDENTIFIER, control_plane, &mut sender);
    let number = match variant {
        Variant::Sotw => field::CONTROL_PLANE,
        Variant::Delta => field::DELTA_CONTROL_PLANE,
    };
    open(number, sender.len(), into);
    into.put_slice(&sender);
}

/// All fields but the resources: fields may come in any order, so these come first.
fn head(response: &Response, control_plane: &str) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    text(field::VERSION_INFO, &response.version, &mut head);
    text(field::TYPE_URL, response.kind.type_url(), &mut head);
    text(field::NONCE, &response.nonce, &mut head);
    for name in &response.removed {
        // An empty name is a name: `repeated` fields have no default.
        repeated_text(field::DELTA_REMOVED, name, &mut head);
    }
    sender(response.variant, control_plane, &mut head);
    head
}

/// The content length of a resource's entry, and of the `Any` in it (the same in the state of the world).
fn lengths(response: &Response, resource: &Encoded) -> (usize, usize) {
    let body = resource.body_len(&response.slots);
    let any =
        field_len(field::ANY_TYPE_URL, resource.kind().type_url().len()) + field_len(field::ANY_VALUE, body);
    match response.variant {
        Variant::Sotw => (any, any),
        Variant::Delta => {
            let version = field_len(field::RESOURCE_VERSION, Version::PRINTED);
            let name = text_len(field::RESOURCE_NAME, resource.name());
            (version + field_len(field::RESOURCE_BODY, any) + name, any)
        }
    }
}

fn write_resource(response: &Response, resource: &Arc<Encoded>, head: &mut Vec<u8>, rope: &mut Rope) {
    let (outer, any) = lengths(response, resource);
    head.clear();
    open(field::RESOURCES, outer, head);
    if response.variant == Variant::Delta {
        text(field::RESOURCE_NAME, resource.name(), head);
        open(field::RESOURCE_VERSION, Version::PRINTED, head);
        head.put_slice(&resource.version(&response.slots).digits());
        open(field::RESOURCE_BODY, any, head);
    }
    text(field::ANY_TYPE_URL, resource.kind().type_url(), head);
    open(field::ANY_VALUE, resource.body_len(&response.slots), head);
    rope.copied(head);
    resource.write_body(&response.slots, rope);
}

/// The length of a length-delimited field with this content length, tag included.
fn field_len(number: u32, content: usize) -> usize {
    key_len(number) + encoded_len_varint(content as u64) + content
}

/// The length of a singular string field, which is left out when empty.
fn text_len(number: u32, text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(number, text.len()) }
}

/// Writes tag and length of a length-delimited field.
fn open(number: u32, len: usize, buffer: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, buffer);
    encode_varint(len as u64, buffer);
}

fn text(number: u32, text: &str, buffer: &mut Vec<u8>) {
    if !text.is_empty() {
        repeated_text(number, text, buffer);
    }
}

fn repeated_text(number: u32, text: &str, buffer: &mut Vec<u8>) {
    open(number, text.len(), buffer);
    buffer.put_slice(text.as_bytes());
}

/// Chunks that are complete, and one that is being filled.
#[derive(Default)]
struct Rope {
    ready: VecDeque<Bytes>,
    tail: BytesMut,
}

impl Rope {
    /// What was gathered; the rest of the allocation goes on to be filled.
    fn take_tail(&mut self) -> Option<Bytes> {
        (!self.tail.is_empty()).then(|| self.tail.split().freeze())
    }

    /// All chunks, when nothing comes any more.
    fn finish(mut self) -> Vec<Bytes> {
        let tail = self.take_tail();
        self.ready.into_iter().chain(tail).collect()
    }
}

impl Sink for Rope {
    fn shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM {
            return self.copied(bytes);
        }
        let tail = self.take_tail();
        self.ready.extend(tail);
        self.ready.push_back(bytes.clone());
    }

    fn copied(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.tail.capacity() - self.tail.len();
            if room == 0 {
                let tail = self.take_tail();
                self.ready.extend(tail);
                self.tail = BytesMut::with_capacity(CHUNK);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests;
