//! The inner half: mounts, the bridge, and the guards that end a test nobody waits for.

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chown};

use super::print_logs;
use crate::netns::{BRIDGE, BRIDGE_ADDRESS, BRIDGE_MAC};
use crate::process::run;
use crate::redirect::{Owner, PROXY_ID};
use crate::tools::system;

/// Names the folder on the host that keeps the logs.
pub(super) const LOG_FOLDER: &str = "PILOTHOUSE_E2E_LOGS";
/// Where that folder is seen inside: every user of the world can reach it, whatever the host's home folders allow.
pub(super) const LOGS: &str = "/run/e2e/logs";
const PROGRAMS: &str = "/run/e2e/bin";
const PODS: &str = "/run/e2e/pods";
const STATE: &str = "/run/e2e/state";
const HOSTS: &str = "/run/e2e/hosts";

/// A test that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(180);

/// Makes the world, and tells how the proxy's connections can be told apart in it.
pub(super) fn prepare(name: &str) -> Result<Owner> {
    let logs = env::var_os(LOG_FOLDER).with_context(|| format!("{name}: {LOG_FOLDER} is not set"))?;
    // The proxy's user reads bootstraps and walks through folders, however private the caller's files are.
    umask(Mode::from_bits_truncate(0o022));
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
        .context("a private /run")?;
    for folder in [LOGS, PROGRAMS, PODS] {
        fs::create_dir_all(folder)?;
    }
    bind(Path::new(&logs), Path::new(LOGS))?;
    fs::set_permissions(LOGS, Permissions::from_mode(0o755))?;
    fs::write(HOSTS, "127.0.0.1 localhost\n")?;
    bind(Path::new(HOSTS), Path::new("/etc/hosts"))?;
    run(system("ip").args(["link", "set", "lo", "up"]))?;
    // One that is not set changes when a pod with a lower one comes, and what others send to the old one is dropped.
    run(system("ip").args(["link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge"]))?;
    run(system("ip").args(["addr", "add", &format!("{BRIDGE_ADDRESS}/16"), "dev", BRIDGE]))?;
    run(system("ip").args(["link", "set", BRIDGE, "up"]))?;
    owner()
}

/// By id where 1337 is mapped, else by mark.
fn owner() -> Result<Owner> {
    let mapped = |file: &str| -> Result<bool> {
        let map = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
        Ok(map.lines().any(|line| maps(line, PROXY_ID)))
    };
    let both = mapped("/proc/self/uid_map")? && mapped("/proc/self/gid_map")?;
    Ok(if both { Owner::Uid } else { Owner::Mark })
}

/// Whether a line of `uid_map` (first id inside, first id outside, count) maps the inner `id`.
fn maps(line: &str, id: u32) -> bool {
    let mut numbers = line.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) => {
            (first..first.saturating_add(count)).contains(&u64::from(id))
        }
        _ => false,
    }
}

/// Ends this process, and with it all its namespaces, when the outer half is gone or the test hangs.
pub(super) fn guard(logs: &Path) {
    thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(1);
    });
    let logs = logs.to_owned();
    thread::spawn(move || {
        thread::sleep(LONGEST);
        print_logs(&logs);
        eprintln!("the test takes longer than {LONGEST:?}");
        std::process::exit(1);
    });
}

/// A folder of the proxy's user.
pub(super) fn proxy_folder(pod: &str, owner: Owner) -> Result<PathBuf> {
    let folder = Path::new(PODS).join(pod);
    fs::create_dir_all(&folder)?;
    if owner == Owner::Uid {
        chown(&folder, Some(Uid::from_raw(PROXY_ID)), Some(Gid::from_raw(PROXY_ID)))
            .with_context(|| format!("give {} to the proxy's user", folder.display()))?;
    }
    Ok(folder)
}

/// A folder that everybody may look into and nobody but the control plane may write to.
pub(super) fn state_folder() -> Result<PathBuf> {
    fs::create_dir_all(STATE)?;
    Ok(STATE.into())
}

/// Binds a program of the host into a folder that everybody can reach.
pub(super) fn expose(program: &Path) -> Result<PathBuf> {
    let name = program.file_name().with_context(|| format!("{} is no program", program.display()))?;
    let exposed = Path::new(PROGRAMS).join(name);
    let made = OpenOptions::new().write(true).create_new(true).open(&exposed);
    if made.is_ok() {
        bind(program, &exposed)?;
    }
    Ok(exposed)
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("bind {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::maps;

    #[test]
    fn the_id_map_is_read_as_ranges() {
        assert!(maps("         0          0 4294967295", 1337));
        assert!(maps("1 100000 65536", 1337));
        assert!(!maps("         0       1000          1", 1337));
        assert!(!maps("1338 100000 65536", 1337));
        assert!(!maps("", 1337));
    }
}
