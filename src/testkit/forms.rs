//! Objects in several forms, and changes among them that look like chance: for tests that hold over any sequence.

use std::collections::BTreeMap;

use anyhow::Result;
use api::decode::decode;
use api::{AnyObject, ObjectKey};

use crate::mesh::documents;

/// A row of numbers that looks like chance and is the same every time.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// One row for each seed.
    pub fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0x1_0000_01b3))
    }

    /// The next number, below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default().checked_rem(sides).unwrap_or_default()
    }
}

/// Objects, each with its forms.
#[derive(Clone, Debug)]
pub struct Forms(Vec<(ObjectKey, Vec<AnyObject>)>);

impl Forms {
    /// Reads a YAML stream: documents of one kind, namespace and name are forms of one object.
    ///
    /// # Errors
    /// The text is not YAML, or an object cannot be decoded.
    pub fn of(yaml: &str) -> Result<Self> {
        let mut forms: BTreeMap<ObjectKey, Vec<AnyObject>> = BTreeMap::new();
        for document in documents(yaml)? {
            let object = decode(document)?.object;
            forms.entry(object.key()).or_default().push(object);
        }
        Ok(Self(forms.into_iter().collect()))
    }

    /// An object in one of its forms, or that it goes.
    pub fn change(&self, dice: &mut Dice) -> Option<Change<'_>> {
        let (key, forms) = self.0.get(dice.roll(self.0.len()))?;
        let form = dice.roll(forms.len().saturating_add(1));
        Some(Change { key, form, object: forms.get(form) })
    }
}

/// What happens to an object.
#[derive(Clone, Copy, Debug)]
pub struct Change<'f> {
    /// The object.
    pub key: &'f ObjectKey,
    /// Which form it takes, counted from 0.
    pub form: usize,
    /// The form; none if it goes.
    pub object: Option<&'f AnyObject>,
}
