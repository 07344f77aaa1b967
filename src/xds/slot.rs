//! Slots: values of one proxy deep inside a message that all proxies share (design 3.2).
//!
//! Whoever builds the message puts [`placeholder`]`(i)` where slot `i` belongs, as the whole value of a string
//! field, and encodes once. [`Template::compile`] finds the placeholders in the wire form and the
//! length-delimited fields around them (also through `google.protobuf.Any`); filling writes the proxy's values
//! and recomputes the length prefixes. A placeholder must not decide an order: it may be a map's value but not
//! its key.

mod find;
mod values;

use std::ops::Range;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::encoded::Sink;
use crate::version::Version;
use find::Node;
pub use values::Slots;

/// How many slots there may be.
pub const MAX_SLOTS: u16 = 1000;

/// The first and last byte of a placeholder: no protobuf tag starts with it (wire type 7), so that a string
/// that is a placeholder cannot be read as a message.
const MARK: u8 = 0x1f;
const HEAD: &[u8] = b"\x1fpilothouse-slot-";
const PLACEHOLDER_LEN: usize = HEAD.len() + 4;

/// The text that stands for slot `index` until the message is sent.
///
/// Indices from [`MAX_SLOTS`] on name no slot: the text stays as it is.
pub fn placeholder(index: u16) -> String {
    format!("\u{1f}pilothouse-slot-{index:03}\u{1f}")
}

/// An encoded message with holes, and how to fill them.
pub struct Template {
    bytes: Bytes,
    hash: u128,
    /// Fields with a recomputed length, each after the field that it lies in.
    frames: Box<[Frame]>,
    /// What to write, in order.
    steps: Box<[Step]>,
    /// Bytes of the top level that do not depend on a slot.
    fixed: usize,
    /// The slots that occur, ascending.
    used: Box<[u16]>,
}

/// A length-delimited field that a slot is, or is in.
struct Frame {
    /// The frame around it; `None` at the top level.
    parent: Option<u32>,
    /// Bytes directly inside that do not depend on a slot.
    fixed: usize,
    /// The slot whose value is this field's content.
    slot: Option<u16>,
}

enum Step {
    /// Bytes of the template as they are.
    Copy(Range<usize>),
    /// The length of a frame and, if the frame is a slot, its value.
    Frame(u32),
}

/// Longer unchanged stretches are passed to the sink as a reference to the template.
const SHARE_FROM: usize = 4096;

impl Template {
    /// Finds the holes in an encoded message; `None` if there are none.
    ///
    /// A placeholder that is only a part of a string is text like any other and stays.
    pub fn compile(bytes: Bytes) -> Option<Self> {
        let nodes = find::slots(&bytes);
        if nodes.is_empty() {
            return None;
        }
        let mut plan = Compiler::default();
        let fixed = plan.emit(&nodes, 0..bytes.len(), None);
        plan.used.sort_unstable();
        plan.used.dedup();
        Some(Self {
            hash: xxh3_128(&bytes),
            bytes,
            frames: plan.frames.into(),
            steps: plan.steps.into(),
            fixed,
            used: plan.used.into(),
        })
    }

    /// Hash of the message with its placeholders.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// The version of the filled message: a hash of the template and of the values of the slots that it uses.
    pub fn version(&self, slots: &Slots) -> Version {
        let mut hasher = Xxh3::new();
        hasher.update(&self.hash.to_le_bytes());
        for &index in &self.used {
            hasher.update(&slots.value_hash(index).to_le_bytes());
        }
        Version(hasher.digest128())
    }

    /// The length of the filled message, in bytes.
    pub fn len(&self, slots: &Slots) -> usize {
        self.lengths(slots).1
    }

    /// Writes the filled message.
    pub fn write(&self, slots: &Slots, sink: &mut impl Sink) {
        let (lengths, _) = self.lengths(slots);
        for step in &self.steps {
            match step {
                Step::Copy(range) if range.len() >= SHARE_FROM => {
                    sink.shared(&self.bytes.slice(range.clone()))
                }
                Step::Copy(range) => sink.copied(self.bytes.get(range.clone()).unwrap_or_default()),
                Step::Frame(at) => {
                    let (mut prefix, len) = ([0; 10], lengths.get(*at as usize).copied().unwrap_or_default());
                    sink.copied(varint(len, &mut prefix));
                    if let Some(slot) = self.frames.get(*at as usize).and_then(|frame| frame.slot) {
                        sink.copied(slots.value(slot).as_bytes());
                    }
                }
            }
        }
    }

    /// The content length of every frame, and of the whole.
    fn lengths(&self, slots: &Slots) -> (Vec<usize>, usize) {
        let mut lengths: Vec<usize> = self
            .frames
            .iter()
            .map(|frame| frame.fixed + frame.slot.map_or(0, |slot| slots.value(slot).len()))
            .collect();
        let mut total = self.fixed;
        // Inner frames come after the frames around them, so walking back sees each when it is complete.
        for (at, frame) in self.frames.iter().enumerate().rev() {
            let len = lengths.get(at).copied().unwrap_or_default();
            let outer = match frame.parent {
                Some(parent) => lengths.get_mut(parent as usize),
                None => Some(&mut total),
            };
            if let Some(outer) = outer {
                *outer += varint_len(len) + len;
            }
        }
        (lengths, total)
    }
}

/// Turns the tree of holes into frames and steps.
#[derive(Default)]
struct Compiler {
    frames: Vec<Frame>,
    steps: Vec<Step>,
    used: Vec<u16>,
}

impl Compiler {
    /// Emits the content `range` of a field (or the whole message) with its holes; returns its fixed bytes.
    fn emit(&mut self, nodes: &[Node], range: Range<usize>, parent: Option<u32>) -> usize {
        let (mut fixed, mut from) = (0, range.start);
        for node in nodes {
            fixed += self.copy(from..node.prefix);
            from = node.content.end;
            let at = self.frames.len() as u32;
            self.frames.push(Frame { parent, fixed: 0, slot: node.slot });
            self.steps.push(Step::Frame(at));
            if let Some(slot) = node.slot {
                self.used.push(slot);
                continue;
            }
            let inner = self.emit(&node.inner, node.content.clone(), Some(at));
            if let Some(frame) = self.frames.get_mut(at as usize) {
                frame.fixed = inner;
            }
        }
        fixed + self.copy(from..range.end)
    }

    /// Copies a stretch, joined with the stretch before it where they touch; returns its length.
    fn copy(&mut self, range: Range<usize>) -> usize {
        let len = range.len();
        match self.steps.last_mut() {
            _ if range.is_empty() => {}
            Some(Step::Copy(last)) if last.end == range.start => last.end = range.end,
            _ => self.steps.push(Step::Copy(range)),
        }
        len
    }
}

/// The length of a protobuf varint.
fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Writes a protobuf varint into `buffer` and returns the part used.
fn varint(mut value: usize, buffer: &mut [u8; 10]) -> &[u8] {
    let mut len = 0;
    for byte in buffer.iter_mut() {
        len += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    buffer.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests;
