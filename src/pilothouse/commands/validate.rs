//! The command `validate`: what is wrong with objects in files, said before they are applied.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use api::Severity;
use model::analyze;
use model::validate::validate;
use sources::event::Batch;
use store::{Options, Tables};

use crate::authority::trust;
use crate::features;
use crate::flags::Validate;

/// How much is wrong.
#[derive(Debug, Default)]
struct Count {
    objects: usize,
    errors: usize,
    warnings: usize,
}

impl Count {
    #[allow(clippy::print_stdout, reason = "the output of a command")]
    fn tell(&mut self, severity: Severity, line: &dyn std::fmt::Display) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        println!("{line}");
    }
}

/// Prints a line for each finding, and how many there are.
///
/// # Errors
/// A file or folder cannot be read, or an object has an error.
#[allow(clippy::print_stdout, reason = "the output of a command")]
pub fn run(flags: &Validate) -> Result<()> {
    let mut count = Count::default();
    let mut tables = Tables::new(Options { features: features::features(), ..Options::default() });
    for path in &flags.paths {
        look(&read(path)?, &mut tables, &mut count);
    }
    let mesh = tables.next_mesh().mesh;
    let mut between: BTreeSet<_> = tables.problems().values().flatten().cloned().collect();
    // Files without any Service say nothing of which hosts there are.
    if !mesh.services.all().is_empty() {
        between.extend(analyze::all(&mesh).into_values().flatten());
    }
    for problem in between {
        count.tell(problem.severity, &problem);
    }
    for problem in trust::problems(&mesh.settings.mesh) {
        count.tell(Severity::Warning, &format!("warning: {problem}"));
    }
    let Count { objects, errors, warnings } = count;
    println!("{objects} objects, {errors} errors, {warnings} warnings");
    if errors > 0 {
        bail!("the objects are not valid");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Batch> {
    if path.is_dir() {
        return Ok(sources::files::load(path)?);
    }
    sources::files::read(path).with_context(|| format!("{}: the file cannot be read", path.display()))
}

/// Tells what is wrong with the form of documents and with objects one by one; what they make of each other is found
/// by the tables.
fn look(batch: &Batch, tables: &mut Tables, count: &mut Count) {
    for report in &batch.appeared {
        count.tell(report.severity, report);
    }
    for event in &batch.events {
        let Some(object) = event.object.as_deref() else { continue };
        count.objects += 1;
        for problem in validate(object) {
            count.tell(problem.severity, &problem);
        }
        tables.apply(&event.key, Some(object));
    }
}
