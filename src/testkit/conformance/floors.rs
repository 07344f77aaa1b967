//! The least that each area must score; kept in a file whose figures only rise.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::compare::Tally;

/// Least percentages of one area.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Floor {
    /// Equal resources.
    pub resources: f64,
    /// Equal resources among those that the cases' own settings change.
    pub telling: f64,
    /// Wholly equal cases.
    pub cases: f64,
}

/// Floors by area.
pub type Floors = BTreeMap<String, Floor>;

impl Floor {
    /// Reads the floors of all areas.
    ///
    /// # Errors
    /// The file cannot be read or is not of this form.
    pub fn read(path: &Path) -> Result<Floors> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a table of areas", path.display()))
    }

    /// What of a tally is below the floor, in words; empty if nothing is.
    pub fn broken_by(&self, tally: &Tally) -> Vec<String> {
        let figures = [
            ("resources", tally.resources.percent(), self.resources),
            ("telling", tally.telling.percent(), self.telling),
            ("cases", tally.cases.percent(), self.cases),
        ];
        // Floors are written with one digit after the point.
        let below = figures.into_iter().filter(|(_, got, floor)| got + 0.05 < *floor);
        below.map(|(what, got, floor)| format!("{what} {got:.1} % is below its floor of {floor} %")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_below_a_floor_is_told() {
        let floor = Floor { resources: 0.0, telling: 50.0, cases: 0.0 };
        assert_eq!(floor.broken_by(&Tally::default()), ["telling 0.0 % is below its floor of 50 %"]);
        assert!(Floor::default().broken_by(&Tally::default()).is_empty());
    }
}
