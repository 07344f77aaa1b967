//! Filling a template equals encoding the message directly with the values.

use bytes::Bytes;
use proptest::prelude::*;

use super::{MAX_SLOTS, Slots, Template, placeholder, varint, varint_len};

/// A message as a tree; encoded with either placeholders or values in the slots.
#[derive(Clone, Debug)]
enum Field {
    Number(u32, u64),
    Fixed32(u32, u32),
    Fixed64(u32, u64),
    Text(u32, String),
    Slot(u32, u16),
    Message(u32, Vec<Self>),
    /// `google.protobuf.Any`: type URL and value.
    Any(u32, Vec<Self>),
}

fn put_varint(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(varint(value as usize, &mut [0; 10]));
}

fn put(number: u32, wire: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | wire, out);
}

fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put(number, 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn encode(fields: &[Field], slot: &dyn Fn(u16) -> String) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        match field {
            Field::Number(number, value) => {
                put(*number, 0, &mut out);
                put_varint(*value, &mut out);
            }
            Field::Fixed32(number, value) => {
                put(*number, 5, &mut out);
                out.extend(value.to_le_bytes());
            }
            Field::Fixed64(number, value) => {
                put(*number, 1, &mut out);
                out.extend(value.to_le_bytes());
            }
            Field::Text(number, text) => put_bytes(*number, text.as_bytes(), &mut out),
            Field::Slot(number, index) => put_bytes(*number, slot(*index).as_bytes(), &mut out),
            Field::Message(number, inner) => put_bytes(*number, &encode(inner, slot), &mut out),
            Field::Any(number, inner) => {
                let mut any = Vec::new();
                put_bytes(1, b"type.googleapis.com/envoy.config.trace.v3.TracingConfig", &mut any);
                put_bytes(2, &encode(inner, slot), &mut any);
                put_bytes(*number, &any, &mut out);
            }
        }
    }
    out
}

fn filled(template: &Template, slots: &Slots) -> Vec<u8> {
    let mut out = Vec::new();
    template.write(slots, &mut out);
    assert_eq!(out.len(), template.len(slots));
    out
}

fn check(fields: &[Field], slots: &Slots) {
    let direct = encode(fields, &|index| slots.value(index).to_owned());
    match Template::compile(Bytes::from(encode(fields, &placeholder))) {
        Some(template) => assert_eq!(filled(&template, slots), direct),
        None => assert_eq!(encode(fields, &placeholder), direct, "a slot was not found"),
    }
}

/// Text whose length makes a prefix around it grow or shrink.
fn value() -> impl Strategy<Value = String> {
    let near = |border: usize| (border.saturating_sub(40)..border + 3).prop_map(|len| "v".repeat(len));
    prop_oneof![3 => "[ -~]{0,30}", 1 => near(127), 1 => near(128), 1 => near(16_383)]
}

fn text() -> impl Strategy<Value = String> {
    let long = (0..200_usize).prop_map(|len| "t".repeat(len));
    // Text that has a placeholder in it, or could be read as a message that has one.
    let tricky = prop_oneof![
        Just(format!("a{}", placeholder(0))),
        Just(format!("{}z", placeholder(0))),
        Just(format!("{}{}", placeholder(0), placeholder(1))),
        Just("\u{1f}pilothouse-slot-0x0\u{1f}".to_owned()),
        Just("\u{1f}\u{1f}pilothouse-slot-".to_owned()),
    ];
    prop_oneof![4 => "\\PC{0,40}", 2 => long, 1 => tricky]
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let number = || 1..3000_u32;
    let leaf = prop_oneof![
        (number(), any::<u64>()).prop_map(|(n, v)| Field::Number(n, v)),
        (number(), any::<u32>()).prop_map(|(n, v)| Field::Fixed32(n, v)),
        (number(), any::<u64>()).prop_map(|(n, v)| Field::Fixed64(n, v)),
        (number(), text()).prop_map(|(n, v)| Field::Text(n, v)),
        (number(), 0..4_u16).prop_map(|(n, v)| Field::Slot(n, v)),
    ];
    let tree = leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            (number(), prop::collection::vec(inner.clone(), 0..6)).prop_map(|(n, f)| Field::Message(n, f)),
            (number(), prop::collection::vec(inner, 0..6)).prop_map(|(n, f)| Field::Any(n, f)),
        ]
    });
    prop::collection::vec(tree, 0..8)
}

proptest! {
    #[test]
    fn filling_equals_encoding_with_the_values(
        fields in fields(),
        values in prop::collection::vec(value(), 0..5),
    ) {
        check(&fields, &Slots::new(values));
    }
}

/// A slot six messages deep, with so much text beside it that every border is crossed at some level.
fn deep() -> Vec<Field> {
    let mut fields = vec![Field::Slot(1, 0), Field::Slot(2, 1)];
    for (level, beside) in [10, 60, 90, 110, 16_000, 200].into_iter().enumerate() {
        let text = Field::Text(5, "b".repeat(beside));
        let inner = if level % 2 == 0 { Field::Any(3, fields) } else { Field::Message(3000, fields) };
        fields = vec![text, inner, Field::Number(1, 1)];
    }
    fields
}

#[test]
fn prefixes_grow_and_shrink_over_every_border() {
    for len in (0..260).chain(16_000..16_400) {
        check(&deep(), &Slots::new(["x".repeat(len), "y".to_owned()]));
    }
    check(&deep(), &Slots::new(["x".repeat(2_100_000)]));
}

#[test]
fn nesting_without_end_is_left_alone() {
    let mut fields = vec![Field::Slot(1, 0)];
    for _ in 0..300 {
        fields = vec![Field::Message(1, fields)];
    }
    assert!(Template::compile(Bytes::from(encode(&fields, &placeholder))).is_none());
}

#[test]
fn a_message_without_placeholders_is_no_template() {
    assert!(Template::compile(Bytes::new()).is_none());
    assert!(Template::compile(Bytes::from_static(b"\x1f\x1f\x1fpilothouse-slot-")).is_none());
    let text = [Field::Text(1, format!("not whole: {}", placeholder(3)))];
    assert!(Template::compile(Bytes::from(encode(&text, &placeholder))).is_none());
    // Beyond the last slot.
    assert!(Template::compile(Bytes::from(encode(&[Field::Slot(1, MAX_SLOTS)], &placeholder))).is_none());
}

#[test]
fn the_version_follows_the_template_and_the_used_slots_only() {
    let of = |fields: &[Field]| Template::compile(Bytes::from(encode(fields, &placeholder))).unwrap();
    let one = of(&[Field::Slot(1, 1)]);
    let version = |values: &[&str]| one.version(&Slots::new(values.iter().copied()));
    assert_eq!(version(&["a", "b"]), version(&["other", "b", "more"]));
    assert_ne!(version(&["a", "b"]), version(&["a", "c"]));
    assert_eq!(version(&[]), version(&["", ""]));
    assert_ne!(version(&["a", "b"]), of(&[Field::Slot(2, 1)]).version(&Slots::new(["a", "b"])));
    // Values that swap places are another version.
    let two = of(&[Field::Slot(1, 0), Field::Slot(2, 1)]);
    assert_ne!(two.version(&Slots::new(["a", "b"])), two.version(&Slots::new(["b", "a"])));
}

#[test]
fn varints_are_as_long_as_said() {
    for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, usize::MAX] {
        assert_eq!(varint(value, &mut [0; 10]).len(), varint_len(value), "{value}");
    }
    assert_eq!(varint(300, &mut [0; 10]), [0xac, 0x02]);
}
