//! The command `token`: who a workload of a mesh without a cluster is, signed with the key of the state folder.

use std::io::Write as _;
use std::time::SystemTime;

use anyhow::{Result, anyhow, ensure};
use auth::token::OwnTokens;

use crate::flags::Token;

/// Prints a token.
///
/// # Errors
/// The state folder cannot be used, or the names are none of a service account.
pub fn run(flags: &Token) -> Result<()> {
    ensure!(!flags.lifetime.is_zero(), "--lifetime: must be above 0");
    let tokens = of(&flags.state)?;
    let account = (flags.namespace.as_str(), flags.service_account.as_str());
    let token = tokens.sign(account, &flags.audience, now(), flags.lifetime);
    let token = token.map_err(|refused| anyhow!("{refused}"))?;
    Ok(writeln!(std::io::stdout(), "{token}")?)
}

/// The tokens of the mesh whose state folder this is.
///
/// # Errors
/// The folder cannot be used.
pub(crate) fn of(state: &std::path::Path) -> Result<OwnTokens> {
    OwnTokens::new(&ca::state::token_key(state)?).map_err(|refused| anyhow!("{}: {refused}", state.display()))
}

#[allow(clippy::disallowed_methods, reason = "the rim: signing takes time as a value")]
fn now() -> SystemTime {
    SystemTime::now()
}
