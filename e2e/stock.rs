//! The stock Envoys of the newest minor versions, and whether one of them takes a bootstrap.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tools;

/// The stock Envoys that must load all that is sent: the newest release of each of the three newest minor versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// 1.40.
    V1_40,
    /// 1.39.
    V1_39,
    /// 1.38.
    V1_38,
}

impl Stock {
    /// The fields that a version does not know and reads over when they come from a control plane. A bootstrap that holds them
    /// it would refuse, so they are left out of what is checked: each of them is a decision.
    fn reads_over(self) -> &'static [&'static str] {
        match self {
            Self::V1_40 | Self::V1_39 => &[],
            // Without it a retry budget counts active requests only, as it always does there.
            Self::V1_38 => &["budgetInterval"],
        }
    }

    /// Lets an Envoy check a bootstrap, which is written to `file` for it; what it refuses of it, in its own words.
    ///
    /// # Errors
    /// The Envoy is not there, or does not start.
    pub fn refusal(self, bootstrap: &Value, file: &Path) -> Result<Option<String>> {
        let envoy = match self {
            Self::V1_40 => tools::envoy(),
            Self::V1_39 => tools::envoy_of("1.39.3"),
            Self::V1_38 => tools::envoy_of("1.38.3"),
        }?;
        let mut bootstrap = bootstrap.clone();
        leave_out(&mut bootstrap, self.reads_over());
        fs::write(file, bootstrap.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let check = ["--mode", "validate", "--disable-hot-restart", "--log-level", "critical", "-c"];
        let done = Command::new(&envoy)
            .args(check)
            .arg(file)
            .output()
            .with_context(|| format!("cannot start {}", envoy.display()))?;
        fs::remove_file(file)?;
        if done.status.success() {
            return Ok(None);
        }
        let said = [done.stdout, done.stderr].concat();
        Ok(Some(format!("{}: {}", done.status, String::from_utf8_lossy(&said).trim())))
    }
}

/// Removes all members of these names.
fn leave_out(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|member| leave_out(member, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| leave_out(element, names)),
        _ => {}
    }
}
