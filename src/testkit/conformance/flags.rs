//! Flags of the control plane with which a golden is translated: `flags.yaml`, by the names of their variables.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use model::mesh::Features;

/// What the flags of a golden make of the defaults.
///
/// # Errors
/// The text is no map of switches, or names a flag that no golden had before.
pub(super) fn features(text: &str) -> Result<Features> {
    let mut features = Features::default();
    for (name, on) in serde_saphyr::from_str::<BTreeMap<String, bool>>(text)? {
        let flag = match name.as_str() {
            "ENABLE_TLS_ON_SIDECAR_INGRESS" => &mut features.tls_on_sidecar_ingress,
            "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS" => &mut features.several_authorizers,
            _ => bail!("the flag {name} is not known to goldens; add it to {}", file!()),
        };
        *flag = on;
    }
    Ok(features)
}
