//! The version, in the form that istioctl reads: `<version>-<revision>-<status>`.

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The text of `/version` and of the command `version`.
pub fn text() -> String {
    format!("{VERSION}-{}-Clean", option_env!("PILOTHOUSE_GIT_REVISION").unwrap_or("unknown"))
}

/// Prints the version.
///
/// # Errors
/// None; the signature is that of the other commands.
#[allow(clippy::print_stdout, reason = "the output of a command")]
pub fn print() -> anyhow::Result<()> {
    println!("{}", text());
    Ok(())
}
