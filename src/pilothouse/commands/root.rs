//! The command `root`: the mesh's self-signed root is shown, or replaced by one of a new key. The control plane that runs does
//! the rest; here only what is kept is written.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use api::mesh_config::MeshConfig;
use ca::{Error, Kept, Stage};
use controllers::ca_secret::CaSecret;
use controllers::write::{Rate, Writers};
use prometheus::Registry;
use sources::kube::{Connection, Credentials, Health, answers, connect};
use tokio::sync::watch;

use crate::authority::root::{Keeping, Store};
use crate::features;
use crate::flags::{Root, RootStep, path};

/// Writes to the API server a second; there is one.
const RATE: Rate = Rate { per_second: 10.0, burst: 10.0 };

/// Does what the flags say, and prints how things are then.
///
/// # Errors
/// There is no root, it cannot be read or written, or the step is none that can be gone now.
pub fn run(flags: &Root) -> Result<()> {
    crate::serving::tls::hold_clients(features::compliance());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kept = runtime.block_on(go(flags))?;
    Ok(write!(std::io::stdout(), "{}", text(&kept)?)?)
}

async fn go(flags: &Root) -> Result<Kept> {
    let (settings, known) = watch::channel(None);
    settings.send_replace(Some(model::Ref::new(MeshConfig::default())));
    let keeping = match &flags.state {
        Some(folder) => Keeping::Folder(folder.clone()),
        None => Keeping::Secret(secret(flags).await?),
    };
    let store = Store::new(keeping, features::renewal(), known);
    let (step, like) = (flags.step, features::renewal().fresh);
    store.change(move |kept| next(kept, step, like, now())).await
}

async fn secret(flags: &Root) -> Result<CaSecret> {
    let file =
        path(flags.kubeconfig.as_ref()).or_else(|| features::kubeconfig().filter(|path| path.is_file()));
    let credentials = file.map_or(Credentials::ServiceAccount, Credentials::File);
    let client = connect(&credentials).await.context("credentials of the cluster")?;
    // Everything else waits for a server that is away, as long as that takes.
    answers(&client).await.map_err(|error| anyhow!("the API server cannot be asked: {error}"))?;
    let connection = Connection::new(client, Health::new("home"));
    let writer = Writers::new(&connection, RATE, &Registry::new())?.of("root");
    let (namespace, in_cacerts) = (flags.namespace.clone(), features::self_signed_in_cacerts());
    Ok(CaSecret { connection, writer, namespace, in_cacerts })
}

fn next(kept: &Kept, step: RootStep, like: ca::Fresh, now: SystemTime) -> Result<Option<Kept>, Error> {
    match step {
        RootStep::Show => Ok(None),
        RootStep::Replace => kept.begin(like, now).map(Some),
        RootStep::Advance => kept.advance(now).map(Some),
        RootStep::Abandon => kept.abandon().map(Some),
    }
}

/// What an operator wants to know of it.
fn text(kept: &Kept) -> Result<String> {
    let now = now();
    let mut text = String::new();
    let authority = kept.authority(None, now)?;
    for standing in authority.standings() {
        let days = standing.not_after.duration_since(now).unwrap_or_default().as_secs() / 86_400;
        writeln!(text, "trusted: {}, ends in {days} days", standing.name)?;
    }
    for problem in authority.namesakes() {
        writeln!(text, "problem: {problem}")?;
    }
    match kept.replacement.as_ref().map(ca::Replacement::stage) {
        None => writeln!(text, "no replacement is under way")?,
        Some(Stage::Distributing(_)) => writeln!(
            text,
            "replacement: both roots are trusted, the old one signs until every proxy has confirmed that (/debug/rootz)"
        )?,
        Some(Stage::Signing(_)) => writeln!(
            text,
            "replacement: both roots are trusted, the new one signs; the old one goes when what it signed has ended"
        )?,
    }
    Ok(text)
}

#[allow(clippy::disallowed_methods, reason = "the rim: everything behind takes time as a value")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::flags::{Cli, Command};

    fn root(arguments: &str, folder: &std::path::Path) -> Result<String> {
        let arguments = format!("pilothouse root {arguments} --state {}", folder.display());
        let Command::Root(flags) = Cli::parse_from(arguments.split(' ')).command else { panic!("not root") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        text(&runtime.block_on(go(&flags))?)
    }

    #[test]
    fn a_replacement_is_begun_abandoned_and_taken_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        ca::state::load_or_create(folder.path(), "mesh.example", now()).expect("a root");
        let is = |step: &str, roots: usize, words: &str| {
            let text = root(step, folder.path()).expect(step);
            assert_eq!(text.matches("trusted: O=mesh.example, ends in ").count(), roots, "{step}: {text}");
            assert!(text.contains(words), "{step}: {text}");
        };
        is("show", 1, "no replacement is under way");
        assert!(root("advance", folder.path()).is_err());
        is("replace", 2, "the old one signs");
        assert!(root("replace", folder.path()).is_err());
        is("abandon", 1, "no replacement is under way");
        is("replace", 2, "the old one signs");
        is("advance", 2, "the new one signs");
        assert!(root("abandon", folder.path()).is_err());
        is("advance", 1, "no replacement is under way");
    }

    #[test]
    fn there_must_be_a_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = root("replace", folder.path()).expect_err("no root").to_string();
        assert!(error.contains("holds no root"), "{error}");
    }
}
