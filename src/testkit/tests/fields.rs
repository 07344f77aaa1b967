//! Every field of the traffic kinds, of authentication and authorization, of what is read of Services and Ingresses, and of
//! the mesh's settings, and every label, annotation and field of node metadata that counts makes a difference in some case,
//! or stands in `docs/unsupported.md` with its reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Result, anyhow};
use api::Kind;
use testkit::conformance::{Case, cases};
use testkit::guard::{self, Effects, Listed, Subject};

/// The kinds whose fields are held. Those of telemetry and extensions join with their rooms.
const KINDS: [Kind; 12] = [
    Kind::VirtualService,
    Kind::DestinationRule,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::WorkloadGroup,
    Kind::Sidecar,
    Kind::Gateway,
    Kind::Service,
    Kind::Ingress,
    Kind::PeerAuthentication,
    Kind::RequestAuthentication,
    Kind::AuthorizationPolicy,
];

fn subjects() -> Result<Vec<Subject>> {
    let settings = [Subject::mesh_config(), Subject::mesh_networks()];
    KINDS.into_iter().map(Subject::kind).chain(settings.map(Ok)).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Each thread takes its share of the cases; what any of them finds counts.
fn effects(subjects: &[Subject]) -> Result<Effects> {
    let root = root();
    let base = fs::read_to_string(root.join("e2e/conformance/base.yaml"))?;
    let folders = [cases(&root.join("src/translate/goldens"))?, cases(&root.join("e2e/conformance/cases"))?];
    let folders: Vec<PathBuf> = folders.concat();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = |number: usize| {
        let (base, folders) = (&base, &folders);
        move || -> Result<Effects> {
            let mut effects = guard::targets(subjects);
            for folder in folders.iter().skip(number).step_by(threads) {
                guard::look(&Case::read(folder)?, base, subjects, &mut effects)?;
            }
            Ok(effects)
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|number| scope.spawn(share(number))).collect();
        let mut all = guard::targets(subjects);
        for thread in running {
            guard::join(&mut all, thread.join().map_err(|_| anyhow!("a share of the cases panicked"))??);
        }
        Ok(all)
    })
}

#[test]
fn every_field_makes_a_difference_or_is_listed() -> Result<()> {
    let listed = Listed::read(&fs::read_to_string(root().join("docs/unsupported.md"))?)?;
    let breaches = listed.breaches(&effects(&subjects()?)?);
    assert!(breaches.is_empty(), "{} fields:\n{}\n", breaches.len(), breaches.join("\n"));
    Ok(())
}
