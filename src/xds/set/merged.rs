//! Going through the layers of a set in name order.

use std::sync::Arc;

use super::Layer;
use super::diff::compare_names;
use crate::encoded::Encoded;

/// The resources of a set, in name order.
pub struct Iter<'a> {
    /// The layers that have or hide something, lowest first, with the entries still to come.
    layers: Vec<(&'a Layer, &'a [Arc<Encoded>])>,
}

impl<'a> Iter<'a> {
    pub(super) fn new(layers: &'a [Arc<Layer>]) -> Self {
        let filled = layers.iter().filter(|layer| !layer.is_void());
        Self { layers: filled.map(|layer| (&**layer, layer.entries())).collect() }
    }

    /// Takes every layer's entry of the lowest name; the uppermost of them, unless it is hidden.
    fn step(&mut self) -> Option<Option<&'a Arc<Encoded>>> {
        let firsts = self.layers.iter().filter_map(|(_, entries)| entries.first());
        let name = firsts.map(|entry| entry.name()).min_by(|a, b| compare_names(a, b))?;
        let mut found = None;
        for (layer, entries) in &mut self.layers {
            match entries.split_first() {
                Some((first, rest)) if compare_names(first.name(), name).is_eq() => {
                    found = Some(first);
                    *entries = rest;
                }
                _ if found.is_some() && layer.hides(name) => found = None,
                _ => {}
            }
        }
        Some(found)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Encoded>;

    fn next(&mut self) -> Option<Self::Item> {
        if let [(_, entries)] = &mut *self.layers {
            let (first, rest) = entries.split_first()?;
            *entries = rest;
            return Some(first);
        }
        loop {
            if let Some(entry) = self.step()? {
                return Some(entry);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let each = || self.layers.iter().map(|(_, entries)| entries.len());
        if let [(_, entries)] = &*self.layers {
            return (entries.len(), Some(entries.len()));
        }
        (0, Some(each().sum()))
    }
}
