//! The outer half of a test: finds namespaces that this machine allows and starts the test again inside them.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use super::INSIDE;
use super::setup::LOG_FOLDER;
use crate::process::{run as finish, tail};
use crate::tools::{envoy, system, target_profile};

/// Namespaces of every kind of world; the process namespace is what ends everything with its first process.
const NAMESPACES: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"];

/// Ways to get them, the most faithful first.
const WAYS: [(&str, &[&str]); 3] = [
    ("as root", &[]),
    (
        "in a user namespace with a range of ids",
        &["--user", "--map-root-user", "--map-users=auto", "--map-groups=auto"],
    ),
    ("in a user namespace with a single id", &["--user", "--map-root-user"]),
];

/// Shows that namespaces, a bridge and redirects really are allowed: kernels and containers refuse each of them.
const PROBE: &str = "mount -t tmpfs tmpfs /run
ip link add probe0 type bridge
ip netns add probe
printf '*nat\\n-A OUTPUT -p tcp -m mark ! --mark 1 -j REDIRECT --to-ports 15001\\nCOMMIT\\n' | iptables-restore";

/// Runs the test `name` inside, or says why that cannot be.
pub(super) fn run(name: &str) -> Result<()> {
    let flags = match possible() {
        Ok(flags) => flags,
        Err(reason) => return skip(name, reason),
    };
    let folder = fresh_folder(name)?;
    let log = folder.join("test.out");
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let mut child = again(name, flags, &folder)?
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("start unshare")?;
    // Kept open until the end: its closing tells the inside that nobody waits any more.
    let stdin = child.stdin.take();
    let status = child.wait()?;
    drop(stdin);
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    // libtest calls it success when no test has that name.
    if !status.success() || !text.contains("1 passed") {
        bail!("failed inside ({status}); everything is in {}\n{}", folder.display(), tail(&text, 400));
    }
    Ok(())
}

fn again(name: &str, flags: &[&str], folder: &Path) -> Result<Command> {
    let mut command = system("unshare");
    command.args(flags).args(NAMESPACES).arg("--");
    command.arg(env::current_exe()?).args(["--exact", name, "--nocapture", "--test-threads=1"]);
    // The chain of an error says where it comes from; backtraces of every retry would bury it.
    command.env(INSIDE, "1").env(LOG_FOLDER, folder).env("RUST_LIB_BACKTRACE", "0");
    Ok(command)
}

/// The flags of the first way that works here, or why none does. Asked once per test binary.
fn possible() -> &'static Result<&'static [&'static str], String> {
    static ANSWER: OnceLock<Result<&'static [&'static str], String>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        envoy().map_err(|error| format!("{error:#}"))?;
        let mut reasons = String::new();
        for (what, flags) in WAYS {
            match finish(system("unshare").args(flags).args(NAMESPACES).args(["--", "sh", "-ec", PROBE])) {
                Ok(_) => return Ok(flags),
                // The command itself is the same each time; what it said is not.
                Err(error) => {
                    let error = error.to_string();
                    let said = error.rsplit_once('\n').map_or(error.as_str(), |(_, said)| said);
                    reasons.push_str(&format!("\n- {what}: {said}"));
                }
            }
        }
        Err(format!(
            "this needs unshare, iproute2 and iptables, and a kernel that gives namespaces to this user; tried:{reasons}"
        ))
    })
}

/// Past libtest's capture, which hides what passing tests print.
pub(super) fn skip(name: &str, reason: &str) -> Result<()> {
    if env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("nothing may be skipped in CI: {reason}");
    }
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}")?;
    Ok(())
}

/// An empty `target/PROFILE/e2e/TEST`.
fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder = target_profile()?.join("e2e").join(name.replace("::", "."));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
