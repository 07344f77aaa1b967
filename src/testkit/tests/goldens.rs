//! What is sent for the inputs of `translate`'s goldens is what their files hold.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use api::decode::decode;
use api::{Problem, Severity};
use model::validate;
use testkit::conformance::{Case, cases};
use testkit::{golden, mesh};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files that are not as they must be; those, and files of proxies that are no more, are put right when asked to.
fn compare(folder: &Path, base: &str) -> Result<Vec<String>> {
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let case = Case::read(folder)?;
    let expected = folder.join("expected");
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for (proxy, dump) in golden::changes(&case, base).with_context(|| case.name())? {
        let path = expected.join(format!("{proxy}.json"));
        let text = golden::text(&dump);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            wrong.push(format!("{} {proxy}", case.name()));
            if update {
                fs::create_dir_all(&expected)?;
                fs::write(&path, text)?;
            }
        }
        known.push(path);
    }
    for entry in fs::read_dir(&expected).with_context(|| format!("{} has no files", case.name()))? {
        let path = entry?.path();
        if !known.contains(&path) {
            wrong.push(format!("{} {}: there is no such proxy", case.name(), path.display()));
            if update {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(wrong)
}

/// What is wrong with a golden's objects, by themselves or for whoever keeps them.
fn mistakes(folder: &Path) -> Result<Vec<String>> {
    let case = Case::read(folder)?;
    let mut problems = Vec::new();
    for document in case.documents() {
        let decoded = decode(document.clone())?;
        let unknown = decoded.warnings.iter().map(|warning| format!("{}: {warning:?}", case.name()));
        problems.extend(unknown);
        problems.extend(validate::validate(&decoded.object).iter().filter(is_error).map(ToString::to_string));
    }
    let mut tables = mesh::tables(case.options(), &[case.input()])?;
    tables.next_mesh();
    problems.extend(tables.problems().values().flatten().filter(is_error).map(ToString::to_string));
    Ok(problems.into_iter().map(|problem| format!("{}: {problem}", case.name())).collect())
}

fn is_error(problem: &&Problem) -> bool {
    problem.severity == Severity::Error
}

#[test]
fn goldens_are_of_objects_without_mistakes() -> Result<()> {
    let mut wrong = Vec::new();
    for folder in cases(&root().join("src/translate/goldens"))? {
        wrong.extend(mistakes(&folder)?);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// `make golden` runs this test with `UPDATE_GOLDEN=1`, which writes the files anew.
#[test]
fn goldens_are_what_is_sent() -> Result<()> {
    let base = fs::read_to_string(root().join("e2e/conformance/base.yaml"))?;
    let mut wrong = Vec::new();
    for folder in cases(&root().join("src/translate/goldens"))? {
        wrong.extend(compare(&folder, &base)?);
    }
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    assert!(update || wrong.is_empty(), "differ, look at them after `make golden`: {wrong:#?}");
    Ok(())
}
