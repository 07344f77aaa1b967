//! Writing protobuf's wire format: <https://protobuf.dev/programming-guides/encoding/>.

use prost_reflect::FieldDescriptor;
use prost_reflect::prost::encoding::WireType;

pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        // Seven bits and the mark that more follow.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The key that precedes a single value of the field.
pub(super) fn key(field: &FieldDescriptor, out: &mut Vec<u8>) {
    tag(field.number(), field.kind().wire_type(), out);
}

/// Length-delimited bytes of the field: a string, a message, packed numbers.
pub(super) fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    tag(number, WireType::LengthDelimited, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn tag(number: u32, wire_type: WireType, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | wire_type as u64, out);
}
