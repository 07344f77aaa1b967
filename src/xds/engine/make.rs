//! Building what is not yet encoded: every distinct key and every distinct part once, on all threads.

use std::sync::Arc;

use rayon::prelude::*;

use super::Counters;
use super::resource::{Identity, Piece, Sketch, build, build_part};
use crate::cache::{Cache, HashIndex};
use crate::encoded::{Encoded, EncodedPart};
use crate::failure::Failure;
use crate::generate::{ContentHash, Generate};

/// A key that is to be built, with a form of the resource that is likely to have most of its parts.
pub(super) struct Task<'a, K> {
    pub(super) id: Identity<'a>,
    pub(super) key: &'a K,
    pub(super) earlier: Option<&'a Arc<Encoded>>,
}

impl<'a, K> Task<'a, K> {
    fn earlier(&self) -> Option<&'a Encoded> {
        self.earlier.map(|earlier| &**earlier)
    }
}

/// What came of a key.
pub(super) enum Outcome<P> {
    Good(Arc<Encoded>),
    /// Some parts are not to be had: what stands in for them depends on the class.
    Partial(Sketch<P>),
    Failed(Arc<Failure>),
}

/// Builds the keys and their missing parts, and remembers them.
pub(super) fn make<G: Generate>(
    generate: &G,
    cache: &mut Cache,
    counters: &mut Counters,
    tasks: &[Task<'_, G::Key>],
) -> HashIndex<Outcome<G::Part>> {
    let sketches = make_sketches(generate, cache, counters, tasks);
    let parts = make_parts(generate, cache, counters, sketches.iter().flatten());
    let outcomes: Vec<_> = tasks
        .par_iter()
        .zip(sketches)
        .map(|(task, sketch)| (task.id.key, outcome(generate, task, sketch, &parts)))
        .collect();
    for (key, outcome) in &outcomes {
        if let Outcome::Good(encoded) = outcome {
            cache.encoded.insert(*key, encoded);
        }
    }
    cache.moved(tasks.len() + parts.len());
    outcomes.into_iter().collect()
}

type Sketched<P> = Result<Sketch<P>, Arc<Failure>>;

/// Builds the keys, and remembers those that panicked.
fn make_sketches<G: Generate>(
    generate: &G,
    cache: &mut Cache,
    counters: &mut Counters,
    tasks: &[Task<'_, G::Key>],
) -> Vec<Sketched<G::Part>> {
    let read = &*cache;
    let built: Vec<(Sketched<G::Part>, bool)> = tasks
        .par_iter()
        .map(|task| {
            if let Some(failure) = read.failures.get(task.id.key) {
                return (Err(failure), false);
            }
            let built = build(generate, task.id, task.key);
            (built.map(|built| Sketch::new(built, task.earlier(), read)), true)
        })
        .collect();
    let mut sketches = Vec::with_capacity(built.len());
    for (task, (sketch, fresh)) in tasks.iter().zip(built) {
        counters.builds += u64::from(fresh);
        if let (Err(failure), true) = (&sketch, fresh) {
            counters.count(failure.stage);
            cache.failures.insert(task.id.key, failure);
        }
        sketches.push(sketch);
    }
    sketches
}

fn outcome<G: Generate>(
    generate: &G,
    task: &Task<'_, G::Key>,
    sketch: Sketched<G::Part>,
    parts: &Parts,
) -> Outcome<G::Part> {
    let mut sketch = match sketch {
        Ok(sketch) => sketch,
        Err(failure) => return Outcome::Failed(failure),
    };
    sketch.fill(|key| parts.get(&key).cloned());
    if sketch.is_complete() {
        Outcome::Good(Arc::new(sketch.encode(task.id, task.earlier(), generate)))
    } else {
        Outcome::Partial(sketch)
    }
}

type Parts = HashIndex<Result<Arc<EncodedPart>, Arc<Failure>>>;

/// Builds the distinct parts that are missing, and remembers them.
fn make_parts<'a, G: Generate>(
    generate: &G,
    cache: &mut Cache,
    counters: &mut Counters,
    sketches: impl Iterator<Item = &'a Sketch<G::Part>>,
) -> Parts {
    let mut distinct: HashIndex<&G::Part> = HashIndex::default();
    for piece in sketches.flat_map(|sketch| &sketch.pieces) {
        if let Piece::Want(part) = piece {
            distinct.entry(part.content_hash()).or_insert(part);
        }
    }
    let read = &*cache;
    let wanted: Vec<_> = distinct.into_iter().collect();
    let built: Vec<_> = wanted
        .into_par_iter()
        .map(|(key, part)| match read.failures.get(key) {
            Some(failure) => (key, Err(failure), false),
            None => (key, build_part(generate, part, key), true),
        })
        .collect();
    let mut parts = Parts::default();
    for (key, part, fresh) in built {
        counters.part_builds += u64::from(fresh);
        match &part {
            Ok(part) => cache.parts.insert(key, part),
            Err(failure) if fresh => {
                counters.count(failure.stage);
                cache.failures.insert(key, failure);
            }
            Err(_) => {}
        }
        parts.insert(key, part);
    }
    parts
}
