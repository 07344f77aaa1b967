//! From what a build returns to an encoded resource, with what stands in for what could not be built.

use std::sync::Arc;

use api::{ObjectRef, Problem};
use bytes::Bytes;

use crate::cache::Cache;
use crate::encoded::{Body, Encoded, EncodedPart};
use crate::failure::{Failure, Stage, catch};
use crate::generate::{Built, ContentHash, Fragment, Generate};
use crate::kind::ResourceType;
use crate::version::Version;

/// A resource that was built, while its parts are looked for.
pub(super) struct Sketch<P> {
    pub(super) pieces: Vec<Piece<P>>,
    slotted: bool,
    sources: Vec<ObjectRef>,
    problems: Vec<Problem>,
}

/// A piece of a body.
pub(super) enum Piece<P> {
    /// Bytes of the resource's own.
    Own(Bytes),
    /// A part that exists.
    Have(Arc<EncodedPart>),
    /// A part that is still to be made.
    Want(P),
    /// A part that cannot be made.
    Lack(P, Arc<Failure>),
}

/// What an encoded resource is known by.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) kind: ResourceType,
    pub(super) name: &'a Arc<str>,
    pub(super) key: u128,
}

impl<P: ContentHash> Sketch<P> {
    /// Takes the parts that exist from an earlier form of the resource, where most of them are in the same order, or
    /// from the cache.
    pub(super) fn new(built: Built<P>, earlier: Option<&Encoded>, cache: &Cache) -> Self {
        let mut earlier = earlier.map_or::<&[_], _>(&[], Encoded::parts);
        let pieces = built.fragments.into_iter().map(|fragment| match fragment {
            Fragment::Bytes(bytes) => Piece::Own(bytes),
            Fragment::Part(part) => {
                let key = part.content_hash();
                match next_part(&mut earlier, key).or_else(|| cache.parts.get(key)) {
                    Some(found) => Piece::Have(found),
                    None => Piece::Want(part),
                }
            }
        });
        Self {
            pieces: pieces.collect(),
            slotted: built.slotted,
            sources: built.sources,
            problems: built.problems,
        }
    }

    /// Puts the parts that were made since in the place of the keys.
    pub(super) fn fill(&mut self, made: impl Fn(u128) -> Option<Result<Arc<EncodedPart>, Arc<Failure>>>) {
        for piece in &mut self.pieces {
            let Piece::Want(part) = piece else { continue };
            match made(part.content_hash()) {
                Some(Ok(made)) => *piece = Piece::Have(made),
                Some(Err(failure)) => {
                    if let Piece::Want(part) = std::mem::replace(piece, Piece::Own(Bytes::new())) {
                        *piece = Piece::Lack(part, failure);
                    }
                }
                None => {}
            }
        }
    }

    /// Whether all parts are there, so that the result depends on the key only.
    pub(super) fn is_complete(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Own(_) | Piece::Have(_)))
    }

    /// Encodes the resource. `last`: the form that it replaces, from which come the last good forms of parts that
    /// cannot be made; and its body if that is the same.
    pub(super) fn encode<G: Generate<Part = P>>(
        &self,
        id: Identity<'_>,
        last: Option<&Encoded>,
        generate: &G,
    ) -> Encoded {
        let mut encoded = match &*self.pieces {
            [] => Encoded::whole(id.kind, id.name.clone(), Bytes::new()),
            [Piece::Own(bytes)] if self.slotted => Encoded::slotted(id.kind, id.name.clone(), bytes.clone()),
            [Piece::Own(bytes)] => Encoded::whole(id.kind, id.name.clone(), bytes.clone()),
            pieces => {
                let part = |piece| self.part(piece, last, generate);
                let parts: Arc<[_]> = pieces.iter().filter_map(part).collect();
                let version = Version::of_hashes(parts.iter().map(|part| part.hash));
                let troubled = parts.iter().any(|part| !part.problems.is_empty() || part.failure.is_some());
                let body = Body::Parts(parts);
                Encoded { troubled, ..Encoded::with_body(id.kind, id.name.clone(), id.key, version, body) }
            }
        };
        encoded.key = id.key;
        encoded.sources = self.sources.as_slice().into();
        encoded.problems = self.problems.as_slice().into();
        encoded.troubled |= !encoded.problems.is_empty();
        encoded.share_body(last);
        encoded
    }

    fn part<G: Generate<Part = P>>(
        &self,
        piece: &Piece<P>,
        last: Option<&Encoded>,
        generate: &G,
    ) -> Option<Arc<EncodedPart>> {
        match piece {
            Piece::Own(bytes) => Some(Arc::new(EncodedPart::own(bytes.clone(), self.slotted))),
            Piece::Have(part) => Some(part.clone()),
            Piece::Want(_) => None,
            Piece::Lack(part, failure) => stand_in(part, failure, last, generate).map(Arc::new),
        }
    }
}

/// How far two forms of a resource may be apart and still be walked side by side.
const REACH: usize = 8;

/// The part with this key if it is among the next of an earlier form.
fn next_part(earlier: &mut &[Arc<EncodedPart>], key: u128) -> Option<Arc<EncodedPart>> {
    // What stands in for a failed part belongs to one class only.
    let fits = |part: &Arc<EncodedPart>| part.key == key && part.failure.is_none();
    let at = earlier.iter().take(REACH).position(fits)?;
    let (found, rest) = earlier.get(at..)?.split_first()?;
    *earlier = rest;
    Some(found.clone())
}

/// The last good form of a part that cannot be made, or its substitute; nothing if there is neither.
fn stand_in<G: Generate>(
    part: &G::Part,
    failure: &Arc<Failure>,
    last: Option<&Encoded>,
    generate: &G,
) -> Option<EncodedPart> {
    let name = catch(|| generate.part_name(part)).unwrap_or_else(|_| Arc::from(""));
    let named = |good: &&Arc<EncodedPart>| !name.is_empty() && good.name == name;
    let failure = Some(failure.clone());
    if let Some(good) = last.and_then(|last| last.parts().iter().find(named)) {
        return Some(EncodedPart {
            key: part.content_hash(),
            hash: good.hash,
            bytes: good.bytes.clone(),
            template: good.template.clone(),
            name,
            sources: good.sources.clone(),
            problems: good.problems.clone(),
            failure,
        });
    }
    let bytes = catch(|| generate.part_substitute(part)).ok().flatten()?;
    Some(EncodedPart { key: part.content_hash(), name, failure, ..EncodedPart::own(bytes, false) })
}

/// Builds a part.
pub(super) fn build_part<G: Generate>(
    generate: &G,
    part: &G::Part,
    key: u128,
) -> Result<Arc<EncodedPart>, Arc<Failure>> {
    let build = || (generate.build_part(part), generate.part_name(part));
    let (built, name) = catch(build).map_err(|message| part_failure(generate, part, message))?;
    Ok(Arc::new(EncodedPart {
        key,
        name,
        sources: built.sources.into(),
        problems: built.problems.into(),
        ..EncodedPart::own(built.bytes, built.slotted)
    }))
}

fn part_failure<G: Generate>(generate: &G, part: &G::Part, message: String) -> Arc<Failure> {
    let name = catch(|| generate.part_name(part)).unwrap_or_else(|_| Arc::from("a part"));
    let sources = catch(|| generate.part_sources(part)).unwrap_or_default();
    Arc::new(Failure { stage: Stage::BuildPart, name: name.to_string(), sources, message })
}

/// The last good form of a resource that cannot be made, or its substitute; nothing if there is neither.
pub(super) fn keep_last<G: Generate>(
    generate: &G,
    id: Identity<'_>,
    key: &G::Key,
    last: Option<&Encoded>,
    failure: &Arc<Failure>,
) -> Option<Encoded> {
    let mut kept = match last {
        Some(last) => Encoded {
            sources: last.sources.clone(),
            problems: last.problems.clone(),
            ..Encoded::with_body(id.kind, id.name.clone(), id.key, last.version, last.body.clone())
        },
        None => {
            let bytes = catch(|| generate.default_substitute(key)).ok().flatten()?;
            Encoded {
                key: id.key,
                sources: failure.sources.as_slice().into(),
                ..Encoded::whole(id.kind, id.name.clone(), bytes)
            }
        }
    };
    (kept.failure, kept.troubled) = (Some(failure.clone()), true);
    Some(kept)
}

/// Builds a resource, without its parts.
pub(super) fn build<G: Generate>(
    generate: &G,
    id: Identity<'_>,
    key: &G::Key,
) -> Result<Built<G::Part>, Arc<Failure>> {
    catch(|| generate.build(key)).map_err(|message| {
        let sources = catch(|| generate.sources(key)).unwrap_or_default();
        Arc::new(Failure { stage: Stage::Build, name: format!("{} {}", id.kind, id.name), sources, message })
    })
}
