//! The command `bootstrap`: prints what a stock Envoy beside a pod of the folder is started with.

use agent::bootstrap::{Address, Admin, Tls, render};
use anyhow::{Context, Result};

use crate::commands::pod;
use crate::flags::Bootstrap;

/// Prints the bootstrap.
///
/// # Errors
/// The folder, the pod or an address cannot be read.
#[allow(clippy::print_stdout, reason = "the output of a command")]
pub fn run(flags: &Bootstrap) -> Result<()> {
    let batch = pod::load(&flags.config_dir)?;
    let object = pod::find(&batch, &flags.proxy)?;
    let at: Address = flags.discovery_address.parse().context("--discoveryAddress")?;
    let mut options =
        pod::options(object, pod::kind(&flags.kind)?, at, &flags.sds_socket, &flags.cluster_id)?;
    options.node.dns_domain = Some(format!("{}.svc.{}", object.meta.namespace, flags.domain));
    options.control_plane.tls =
        flags.discovery_server_name.as_ref().map(|name| Tls { server_name: name.clone() });
    let admin: std::net::SocketAddr = flags.admin_address.parse().context("--adminAddress")?;
    options.admin = match admin.port() {
        0 => Admin::Ephemeral { address: admin.ip() },
        port => Admin::Tcp { address: admin.ip(), port },
    };
    options.check()?;
    println!("{:#}", render(&options));
    Ok(())
}
