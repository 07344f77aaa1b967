//! `conformance`: scores what is sent against the conformance cases, in process.
#![allow(clippy::print_stdout, reason = "a report for people")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use testkit::compare::{Mismatch, Tally};
use testkit::conformance::{Case, Floor, cases};

/// Scores what is sent against the conformance cases.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the cases; `base.yaml` lies beside it.
    #[arg(default_value = "e2e/conformance/cases")]
    cases: PathBuf,
    /// Only cases whose `area/name` contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Show what differs.
    #[arg(long)]
    diff: bool,
    /// Of what differs show only this type: cds, eds, lds, rds, ecds.
    #[arg(long, default_value = "")]
    kind: String,
    /// How many of the most frequent differing paths to show.
    #[arg(long, default_value_t = 0)]
    show: usize,
    /// Fail below the floors of this file.
    #[arg(long)]
    floors: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let base = arguments.cases.with_file_name("base.yaml");
    let base = std::fs::read_to_string(&base).with_context(|| format!("cannot read {}", base.display()))?;
    let mut areas: BTreeMap<String, Tally> = BTreeMap::new();
    for folder in cases(&arguments.cases)? {
        let case = Case::read(&folder)?;
        if !case.name().contains(&arguments.only) {
            continue;
        }
        let outcome = case.run(&base).with_context(|| case.name())?;
        let whole = if outcome.mismatches.is_empty() { "equal" } else { "" };
        let figures = (&outcome.tally.resources, &outcome.tally.telling);
        println!(
            "{whole:5} {:>22}  telling {:>22}  {}",
            figures.0.to_string(),
            figures.1.to_string(),
            case.name()
        );
        if arguments.diff {
            show(&outcome.mismatches, &arguments.kind);
        }
        areas.entry(case.area()).or_default().add(&outcome.tally);
    }
    report(&areas, &arguments)
}

fn show(mismatches: &[(String, Mismatch)], kind: &str) {
    for (proxy, mismatch) in mismatches {
        let text = mismatch.to_string();
        if text.starts_with(kind) {
            println!("    {proxy} {}", text.replace('\n', "\n      "));
        }
    }
}

fn report(areas: &BTreeMap<String, Tally>, arguments: &Arguments) -> Result<ExitCode> {
    let floors = arguments.floors.as_deref().map(Floor::read).transpose()?.unwrap_or_default();
    let mut all = Tally::default();
    let mut broken = false;
    println!();
    for (area, tally) in areas {
        all.add(tally);
        println!("{area:11} {tally}");
        for line in floors.get(area).map(|f| f.broken_by(tally)).unwrap_or_default() {
            println!("{area:11} BELOW THE FLOOR: {line}");
            broken = true;
        }
    }
    println!("{:11} {all}", "all");
    for (path, count) in all.most_frequent(arguments.show) {
        println!("{count:6}  {path}");
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
