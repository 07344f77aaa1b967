//! From a field's path to the line and column where the text says it.
//!
//! Reading with positions costs several times reading without, so a text is read again only when there is something to
//! tell about it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line and column, both from 1, of the field `path` (such as `spec.http[0].match`) in a text; of the deepest part of
/// the path that is there, if the whole is not. None if the text does not parse as YAML or has nothing of it.
pub(crate) fn locate(text: &str, path: &str) -> Option<(u32, u32)> {
    let root = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, super::options()).ok()?;
    let mut found = position(&root);
    let (mut node, mut rest) = (&root.value, path);
    while let Some((at, next, after)) = node.step(rest) {
        (found, node, rest) = (at, next, after);
    }
    found
}

type Position = Option<(u32, u32)>;

enum Node {
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
    Leaf,
}

impl Node {
    /// Follows the first part of a path: where it is, what is there, and the path's rest.
    fn step<'a, 'p>(&'a self, path: &'p str) -> Option<(Position, &'a Self, &'p str)> {
        match self {
            Self::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                // A key may hold dots itself (annotations do), so the longest that fits is meant.
                let (key, value, rest) = entries
                    .iter()
                    .filter_map(|(key, value)| Some((key, value, after_key(path, &key.value)?)))
                    .min_by_key(|(_, _, rest)| rest.len())?;
                Some((position(key), &value.value, rest))
            }
            Self::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((position(item), &item.value, rest))
            }
            Self::Leaf => None,
        }
    }
}

fn after_key<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}

fn position<T>(spanned: &Spanned<T>) -> Position {
    let narrow = |number: u64| u32::try_from(number).ok().filter(|number| *number > 0);
    Some((narrow(spanned.referenced.line())?, narrow(spanned.referenced.column())?))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
