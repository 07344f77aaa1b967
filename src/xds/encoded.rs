//! An encoded resource: made once, shared by every stream that sends it.

use std::fmt;
use std::sync::Arc;

use api::{ObjectRef, Problem};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::failure::Failure;
use crate::kind::ResourceType;
use crate::slot::{Slots, Template};
use crate::version::Version;

/// Where a body is written to: a rope of shared chunks, or a plain buffer.
pub trait Sink {
    /// Appends bytes that may be kept by reference.
    fn shared(&mut self, bytes: &Bytes);
    /// Appends bytes that live only as long as the call.
    fn copied(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn shared(&mut self, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }

    fn copied(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A piece of a body that several resources may share, such as an encoded virtual host with its field tag.
pub struct EncodedPart {
    pub(crate) key: u128,
    pub(crate) hash: u128,
    pub(crate) bytes: Bytes,
    /// Set when the bytes have holes.
    pub(crate) template: Option<Arc<Template>>,
    pub(crate) name: Arc<str>,
    pub(crate) sources: Box<[ObjectRef]>,
    pub(crate) problems: Box<[Problem]>,
    /// Set when these bytes stand in for a form that could not be built.
    pub(crate) failure: Option<Arc<Failure>>,
}

impl EncodedPart {
    /// A piece that belongs to one resource only and has no key of its own. With `slotted` there may be holes in it.
    pub(crate) fn own(bytes: Bytes, slotted: bool) -> Self {
        let hash = xxh3_128(&bytes);
        Self {
            key: hash,
            hash,
            template: if slotted { Template::compile(bytes.clone()).map(Arc::new) } else { None },
            bytes,
            name: Arc::from(""),
            sources: Box::default(),
            problems: Box::default(),
            failure: None,
        }
    }

    fn version(&self, slots: &Slots) -> u128 {
        self.template.as_ref().map_or(self.hash, |template| template.version(slots).0)
    }

    fn len(&self, slots: &Slots) -> usize {
        self.template.as_ref().map_or(self.bytes.len(), |template| template.len(slots))
    }

    fn write(&self, slots: &Slots, sink: &mut impl Sink) {
        match &self.template {
            None => sink.shared(&self.bytes),
            Some(template) => template.write(slots, sink),
        }
    }
}

/// The encoded message of a resource.
#[derive(Clone)]
pub(crate) enum Body {
    /// One piece.
    Whole(Bytes),
    /// Pieces that follow one another.
    Parts(Arc<[Arc<EncodedPart>]>),
    /// A message with holes for a proxy's values.
    Slotted(Arc<Template>),
}

/// One resource in its encoded form.
pub struct Encoded {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ResourceType,
    pub(crate) key: u128,
    /// For a slotted body that of the bytes with their placeholders.
    pub(crate) version: Version,
    pub(crate) slotted: bool,
    pub(crate) body: Body,
    pub(crate) sources: Box<[ObjectRef]>,
    pub(crate) problems: Box<[Problem]>,
    /// Set when this is the last good form, or a substitute, of a resource that could not be built.
    pub(crate) failure: Option<Arc<Failure>>,
    /// Whether this or a part has a problem or a failure.
    pub(crate) troubled: bool,
}

impl Encoded {
    /// A resource whose message is `bytes`, without sources; its version is [`Version::of_bytes`].
    pub fn whole(kind: ResourceType, name: impl Into<Arc<str>>, bytes: Bytes) -> Self {
        let version = Version::of_bytes(&bytes);
        Self::with_body(kind, name.into(), version.0, version, Body::Whole(bytes))
    }

    /// A resource whose message has holes; without any placeholder the same as [`Encoded::whole`].
    pub fn slotted(kind: ResourceType, name: impl Into<Arc<str>>, bytes: Bytes) -> Self {
        match Template::compile(bytes.clone()) {
            None => Self::whole(kind, name, bytes),
            Some(template) => {
                let version = Version(template.hash());
                Self::with_body(kind, name.into(), version.0, version, Body::Slotted(Arc::new(template)))
            }
        }
    }

    pub(crate) fn with_body(
        kind: ResourceType,
        name: Arc<str>,
        key: u128,
        version: Version,
        body: Body,
    ) -> Self {
        let slotted = match &body {
            Body::Whole(_) => false,
            Body::Parts(parts) => parts.iter().any(|part| part.template.is_some()),
            Body::Slotted(_) => true,
        };
        Self {
            name,
            kind,
            key,
            version,
            slotted,
            body,
            sources: Box::default(),
            problems: Box::default(),
            failure: None,
            troubled: false,
        }
    }

    /// The resource's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The resource's type.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    /// Whether the bytes differ from proxy to proxy.
    pub fn is_slotted(&self) -> bool {
        self.slotted
    }

    /// The version for a proxy with these values. Equal versions under one name mean equal bytes.
    pub fn version(&self, slots: &Slots) -> Version {
        match &self.body {
            Body::Slotted(template) => template.version(slots),
            Body::Parts(parts) if self.slotted => {
                Version::of_hashes(parts.iter().map(|part| part.version(slots)))
            }
            Body::Whole(_) | Body::Parts(_) => self.version,
        }
    }

    /// The length in bytes of what [`Encoded::write_body`] writes.
    pub fn body_len(&self, slots: &Slots) -> usize {
        match &self.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Parts(parts) => parts.iter().map(|part| part.len(slots)).sum(),
            Body::Slotted(template) => template.len(slots),
        }
    }

    /// Writes the encoded message (the `value` of the `Any`).
    pub fn write_body(&self, slots: &Slots, sink: &mut impl Sink) {
        match &self.body {
            Body::Whole(bytes) => sink.shared(bytes),
            Body::Parts(parts) => parts.iter().for_each(|part| part.write(slots, sink)),
            Body::Slotted(template) => template.write(slots, sink),
        }
    }

    /// The encoded message in one buffer, for debug pages and tests.
    pub fn body(&self, slots: &Slots) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(self.body_len(slots));
        self.write_body(slots, &mut buffer);
        buffer
    }

    /// The objects that the resource was made from; one may occur more than once.
    pub fn sources(&self) -> impl Iterator<Item = &ObjectRef> {
        self.sources.iter().chain(self.parts().iter().flat_map(|part| &part.sources))
    }

    /// What was found wrong with those objects on the way.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let parts: &[_] = if self.troubled { self.parts() } else { &[] };
        self.problems.iter().chain(parts.iter().flat_map(|part| &part.problems))
    }

    /// Why this is not the form that the current inputs ask for; nothing in the usual case.
    pub fn failures(&self) -> impl Iterator<Item = &Arc<Failure>> {
        let parts: &[_] = if self.troubled { self.parts() } else { &[] };
        self.failure.iter().chain(parts.iter().flat_map(|part| &part.failure))
    }

    /// Holds the bytes of an earlier form in the place of its own if they are equal.
    pub(crate) fn share_body(&mut self, earlier: Option<&Self>) {
        if let Some(earlier) = earlier.filter(|earlier| earlier.version == self.version)
            && !matches!(self.body, Body::Parts(_))
        {
            self.body = earlier.body.clone();
        }
    }

    pub(crate) fn parts(&self) -> &[Arc<EncodedPart>] {
        match &self.body {
            Body::Parts(parts) => parts,
            Body::Whole(_) | Body::Slotted(_) => &[],
        }
    }
}

/// Without the body, which may be a secret.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.kind, self.name, self.version)
    }
}

#[cfg(test)]
mod tests;
