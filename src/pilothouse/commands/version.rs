//! The version, in the form that istioctl reads: `<version>-<revision>-<status>`.

use serde_json::json;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The text of `/version` and of the command `version`.
pub fn text() -> String {
    format!("{VERSION}-{}-Clean", option_env!("PILOTHOUSE_GIT_REVISION").unwrap_or("unknown"))
}

/// What `istioctl` reads of a control plane, as JSON: `id` is the name of its pod.
pub(crate) fn component(id: &str) -> String {
    let revision = option_env!("PILOTHOUSE_GIT_REVISION").unwrap_or("unknown");
    let info = json!({"version": VERSION, "revision": revision, "golang_version": "", "status": "Clean", "tag": VERSION});
    json!({"Component": "istiod", "ID": id, "Info": info}).to_string()
}

/// Whether all cryptography is that of the FIPS module of AWS-LC.
pub fn fips() -> bool {
    rustls::crypto::aws_lc_rs::default_provider().fips()
}

/// Prints the version, and in a second line that module, if it is built in.
///
/// # Errors
/// None; the signature is that of the other commands.
#[allow(clippy::print_stdout, reason = "the output of a command")]
pub fn print() -> anyhow::Result<()> {
    println!("{}", text());
    if fips() {
        println!("cryptography: the FIPS module of AWS-LC");
    }
    Ok(())
}
