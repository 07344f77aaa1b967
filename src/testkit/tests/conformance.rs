//! No area of the conformance cases scores below its floor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use testkit::compare::Tally;
use testkit::conformance::{Case, Floor, cases};

#[test]
fn no_area_is_below_its_floor() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/conformance");
    let base = fs::read_to_string(folder.join("base.yaml"))?;
    let mut areas: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases(&folder.join("cases"))? {
        let case = Case::read(&case)?;
        areas.entry(case.area()).or_default().add(&case.run(&base)?.tally);
    }
    let floors = Floor::read(&folder.join("floors.toml"))?;
    assert!(areas.keys().eq(floors.keys()), "each area has a floor: {:?}", floors.keys());
    let broken: Vec<String> = areas
        .iter()
        .flat_map(|(area, tally)| {
            floors[area].broken_by(tally).into_iter().map(move |b| format!("{area}: {b}"))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}; `make conformance` tells more");
    Ok(())
}
