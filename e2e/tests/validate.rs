//! What is sent for every conformance case and every golden loads into the stock Envoys of the three newest minor versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use e2e::Stock;
use testkit::conformance::{Case, cases};
use testkit::static_bootstrap;

/// What an Envoy refuses of what each proxy of some cases is sent.
fn refusals(stock: Stock, folders: &[PathBuf], base: &str) -> Result<Vec<String>> {
    let mut refusals = Vec::new();
    for folder in folders {
        let case = Case::read(folder)?;
        for (proxy, dump) in case.dumps(base).with_context(|| case.name())? {
            let name = format!("{} {proxy}", case.name());
            let file = format!("{stock:?}-{}.json", name.replace(['/', ' '], "-"));
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            let refusal = stock.refusal(&static_bootstrap::of(&dump), &file)?;
            refusals.extend(refusal.map(|refusal| format!("{name}: {refusal}")));
        }
    }
    Ok(refusals)
}

fn loads_into(stock: Stock) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let base = fs::read_to_string(root.join("e2e/conformance/base.yaml"))?;
    let folders =
        [cases(&root.join("e2e/conformance/cases"))?, cases(&root.join("src/translate/goldens"))?].concat();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let shares: Vec<Vec<PathBuf>> =
        (0..threads).map(|number| folders.iter().skip(number).step_by(threads).cloned().collect()).collect();
    let refusals = thread::scope(|scope| {
        let running: Vec<_> =
            shares.iter().map(|share| scope.spawn(|| refusals(stock, share, &base))).collect();
        let mut found = Vec::new();
        for thread in running {
            found.extend(thread.join().map_err(|_| anyhow!("a share of the cases panicked"))??);
        }
        Ok::<_, anyhow::Error>(found)
    })?;
    assert!(refusals.is_empty(), "{} proxies:\n{}\n", refusals.len(), refusals.join("\n"));
    Ok(())
}

#[test]
fn all_that_is_sent_loads_into_envoy_1_40() -> Result<()> {
    loads_into(Stock::V1_40)
}

#[test]
fn all_that_is_sent_loads_into_envoy_1_39() -> Result<()> {
    loads_into(Stock::V1_39)
}

#[test]
fn all_that_is_sent_loads_into_envoy_1_38() -> Result<()> {
    loads_into(Stock::V1_38)
}
