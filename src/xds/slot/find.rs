//! Finding placeholders in the wire form of a message, with the length-delimited fields around them.

use std::ops::Range;

use super::{HEAD, MARK, PLACEHOLDER_LEN};

/// Fields nest at most this deep, as protobuf's own decoders have it.
const MAX_DEPTH: u32 = 100;

/// A length-delimited field that is a slot or has one inside.
pub(super) struct Node {
    /// Where the field's length prefix starts.
    pub(super) prefix: usize,
    /// Where its content is.
    pub(super) content: Range<usize>,
    /// The slot, if the content is a placeholder.
    pub(super) slot: Option<u16>,
    /// Otherwise the fields inside that are or have slots, in order.
    pub(super) inner: Vec<Self>,
}

/// The fields of a whole message that are or have slots, in order.
pub(super) fn slots(bytes: &[u8]) -> Vec<Node> {
    let marks = placeholders(bytes);
    if marks.is_empty() {
        return Vec::new();
    }
    let search = Search { bytes, marks };
    search.message(0..bytes.len(), 0).unwrap_or_default()
}

/// Where placeholders start, ascending, with their slots.
fn placeholders(bytes: &[u8]) -> Vec<(usize, u16)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(rest) = bytes.get(from..) {
        let Some(at) = rest.iter().position(|&byte| byte == MARK) else { break };
        from += at;
        match bytes.get(from..from + PLACEHOLDER_LEN).and_then(slot_of) {
            Some(slot) => {
                found.push((from, slot));
                from += PLACEHOLDER_LEN;
            }
            None => from += 1,
        }
    }
    found
}

/// The slot that a placeholder names; `None` if the text is no placeholder.
fn slot_of(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(HEAD)?.strip_suffix(&[MARK])?;
    digits
        .iter()
        .try_fold(0, |slot, digit| digit.is_ascii_digit().then(|| slot * 10 + u16::from(digit - b'0')))
}

struct Search<'a> {
    bytes: &'a [u8],
    marks: Vec<(usize, u16)>,
}

impl Search<'_> {
    /// The fields of the message in `range` that are or have slots; `None` if it is not a message.
    fn message(&self, range: Range<usize>, depth: u32) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (tag, next) = self.varint(at, range.end)?;
            if tag >> 3 == 0 || tag > u64::from(u32::MAX) {
                return None;
            }
            at = match tag & 7 {
                0 => self.varint(next, range.end)?.1,
                1 => next + 8,
                5 => next + 4,
                2 => {
                    let (len, start) = self.varint(next, range.end)?;
                    let end = start.checked_add(usize::try_from(len).ok()?)?;
                    if end > range.end {
                        return None;
                    }
                    nodes.extend(self.field(next, start..end, depth));
                    end
                }
                _ => return None,
            };
        }
        (at == range.end).then_some(nodes)
    }

    /// The length-delimited field with this content, if it is or has a slot.
    fn field(&self, prefix: usize, content: Range<usize>, depth: u32) -> Option<Node> {
        let first = self.marks.partition_point(|&(at, _)| at < content.start);
        let &(at, slot) = self.marks.get(first)?;
        if at + PLACEHOLDER_LEN > content.end {
            return None;
        }
        if at == content.start && content.len() == PLACEHOLDER_LEN {
            return Some(Node { prefix, content, slot: Some(slot), inner: Vec::new() });
        }
        if depth == MAX_DEPTH {
            return None;
        }
        let inner = self.message(content.clone(), depth + 1)?;
        (!inner.is_empty()).then_some(Node { prefix, content, slot: None, inner })
    }

    /// The varint at `at` and where the next byte is; `None` if it does not end before `end`.
    fn varint(&self, at: usize, end: usize) -> Option<(u64, usize)> {
        let mut value = 0;
        for (count, byte) in self.bytes.get(at..end)?.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * count);
            if byte & 0x80 == 0 {
                return Some((value, at + count + 1));
            }
        }
        None
    }
}
