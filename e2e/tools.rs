//! Finds the programs that tests start: system tools, the stock Envoy, those of others, binaries of this workspace.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A command for a system tool such as `ip`, found also where only the administrator's PATH looks.
pub(crate) fn system(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path());
    command
}

/// PATH with the administrator's folders, which ordinary users often lack.
fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// The stock Envoy: `ENVOY_BIN`, else the pinned one that `scripts/fetch-envoy` puts into `target/tools`.
pub(crate) fn envoy() -> Result<PathBuf> {
    if let Some(path) = env::var_os("ENVOY_BIN") {
        return Ok(path.into());
    }
    let pinned = workspace().join("target/tools/envoy-1.40.0/envoy");
    if !pinned.is_file() {
        bail!("there is no {}: run scripts/fetch-envoy, or set ENVOY_BIN", pinned.display());
    }
    Ok(pinned)
}

/// The pinned stock Envoy of an older minor version, such as `1.39.3`, that `scripts/fetch-tool` puts into `target/tools`.
pub(crate) fn envoy_of(version: &str) -> Result<PathBuf> {
    let pinned = workspace().join(format!("target/tools/envoy-{version}/envoy"));
    if !pinned.is_file() {
        bail!("there is no {}: run scripts/fetch-tool envoy-{version}", pinned.display());
    }
    Ok(pinned)
}

/// The folder of kube-apiserver, kubectl and etcd: `KUBEBUILDER_ASSETS`, else the one that `scripts/fetch-kubernetes` fills.
pub(crate) fn kubernetes() -> Result<PathBuf> {
    let programs = ["kube-apiserver", "kubectl", "etcd"];
    assets("KUBEBUILDER_ASSETS", "kubernetes-1.34.4", "scripts/fetch-kubernetes", &programs)
}

/// The folder of the reference's own agent and the template of its Envoy's bootstrap: `PILOT_AGENT_ASSETS`, else the one that
/// `scripts/fetch-pilot-agent` fills.
pub(crate) fn pilot_agent() -> Result<PathBuf> {
    let module = include_str!("pilot-agent/go.mod");
    let version = module.lines().find_map(|line| line.trim().strip_prefix("istio.io/istio v0.0.0-"));
    let version = version.and_then(|rest| rest.split(' ').next()).context("no istio.io/istio in go.mod")?;
    let files = ["pilot-agent", "envoy_bootstrap.json"];
    assets("PILOT_AGENT_ASSETS", &format!("istio-{version}"), "scripts/fetch-pilot-agent", &files)
}

/// The folder that `variable` names, else `pinned` of `target/tools`, which `script` fills; it must have these files.
fn assets(variable: &str, pinned: &str, script: &str, files: &[&str]) -> Result<PathBuf> {
    let (folder, cure) = match env::var_os(variable) {
        Some(path) => (path.into(), format!("{variable} names a folder without it")),
        None => (
            workspace().join("target/tools").join(pinned),
            format!("run {script} (it needs Go), or set {variable}"),
        ),
    };
    for file in files {
        let path = folder.join(file);
        if !path.is_file() {
            bail!("there is no {}: {cure}", path.display());
        }
    }
    Ok(folder)
}

/// A binary of this workspace: the path in the variable `var` if set, else beside the running test.
///
/// `cargo test` builds a program only for the tests of its own package, so whoever runs these builds it first.
pub(crate) fn built(package: &str, name: &str, var: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(var) {
        return Ok(path.into());
    }
    let folder = target_profile()?;
    let path = folder.join(name);
    if !path.is_file() {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(profile) => profile,
        };
        bail!(
            "there is no {}: run `cargo build --profile {profile} --locked -p {package}`, or set {var}",
            path.display()
        );
    }
    Ok(path)
}

/// The folder of the running test's profile, such as `target/debug`.
pub(crate) fn target_profile() -> Result<PathBuf> {
    let test = env::current_exe().context("path of the running test")?;
    let folder = test.parent().and_then(Path::parent).context("the test is not in target/PROFILE/deps")?;
    Ok(folder.to_owned())
}

/// The repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("/"))
}
