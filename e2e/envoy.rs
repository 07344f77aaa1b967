//! One stock Envoy of a pod: started, asked over its admin port, and held to have refused nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::Value;

use crate::client::{Call, Caller};
use crate::oracle::Snapshot;
use crate::process::Process;
use crate::redirect::ProxyUser;
use crate::wait::wait_while;
use crate::world::World;

/// Where the admin interface listens inside every pod.
pub(crate) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15000);

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    caller: Caller,
    process: Process,
    /// The words of refusals that are no fault.
    expected: OnceLock<String>,
    /// What it was last seen to work with.
    snapshot: Mutex<Option<Snapshot>>,
}

impl Envoy {
    /// Starts Envoy in a pod with a whole bootstrap in the format `extension` (`yaml` or `json`); its admin
    /// interface must be at 127.0.0.1:15000.
    pub(crate) fn start(
        world: &World,
        caller: Caller,
        user: ProxyUser,
        pod: &str,
        extension: &str,
        bootstrap: &str,
    ) -> Result<Self> {
        let config = world.dir().join(format!("{pod}.bootstrap.{extension}"));
        fs::write(&config, bootstrap).with_context(|| format!("write {}", config.display()))?;
        let program = world.program(&crate::tools::envoy()?)?;
        let mut command = caller.netns.proxy_command(caller.owner, user, &program);
        // Hot restart claims shared memory by a number that all pods of a world would share.
        command.arg("-c").arg(config).args(["--disable-hot-restart", "--concurrency", "1", "-l", "info"]);
        // As the reference's agent starts it: connections of a replaced filter chain would go on under the old policies for
        // ten minutes.
        command.args(["--drain-time-s", "45", "--drain-strategy", "immediate"]);
        let log = world.dir().join(format!("{pod}.envoy.log"));
        Ok(Self::of(caller, Process::start(&format!("Envoy of {pod}"), command, &log)?))
    }

    /// An Envoy that was started by itself or by another program, which ends with it.
    pub(crate) fn of(caller: Caller, process: Process) -> Self {
        Self { caller, process, expected: OnceLock::new(), snapshot: Mutex::default() }
    }

    /// The body of an admin page such as `/config_dump`.
    pub fn admin(&self, path: &str) -> Result<String> {
        let call = Call::new(self.caller.clone(), Method::GET, &format!("http://{ADMIN}{path}"));
        let answer = call.timeout(Duration::from_secs(5)).send()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// An admin page as JSON.
    pub fn admin_json(&self, path: &str) -> Result<Value> {
        let text = self.admin(path)?;
        serde_json::from_str(&text).with_context(|| format!("{path} is not JSON: {text}"))
    }

    /// What it works with now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let page = self.admin("/config_dump?include_eds")?;
        let mut kept = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Snapshot::read(page, kept.as_ref())?;
        *kept = Some(now.clone());
        Ok(now)
    }

    /// Counters and gauges whose names match the regular expression.
    pub fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.admin(&format!("/stats?filter={filter}"))?;
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// The sum of the stats that match.
    pub fn stat(&self, filter: &str) -> Result<u64> {
        Ok(self.stats(filter)?.values().sum())
    }

    /// Waits until Envoy says that it is ready to serve.
    pub fn wait_ready(&self) -> Result<()> {
        wait_while(
            || self.process.alive(),
            "Envoy to be ready",
            || {
                let state = self.admin("/ready")?;
                if state.trim() != "LIVE" {
                    bail!("/ready says {}", state.trim());
                }
                Ok(true)
            },
        )
    }

    /// Whether no cluster and no listener waits for something; an error says which kind does.
    pub(crate) fn settled(&self) -> Result<bool> {
        let warming = self.stats("warming")?;
        if warming.is_empty() {
            bail!("Envoy has no gauges of warming");
        }
        if warming.values().any(|&count| count > 0) {
            bail!("still warming: {warming:?}");
        }
        Ok(true)
    }

    /// Everything logged so far.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Fails if Envoy has ended or ever refused configuration.
    pub fn check(&self) -> Result<()> {
        self.process.alive()?;
        let refused: Vec<(String, u64)> =
            self.stats("update_rejected")?.into_iter().filter(|(_, count)| *count > 0).collect();
        if !refused.is_empty() && self.expected.get().is_none() {
            bail!("Envoy refused configuration: {refused:?}\n{}", self.refusals()?);
        }
        let log = self.refusals()?;
        if !log.is_empty() {
            bail!("Envoy's log tells of refused configuration:\n{log}");
        }
        Ok(())
    }

    /// Refusals in these words are what the test is about, and no fault.
    pub fn expect_refusal(&self, words: &str) {
        self.expected.get_or_init(|| words.to_owned());
    }

    pub(crate) fn stop(&self) {
        self.process.stop();
    }

    fn refusals(&self) -> Result<String> {
        let log = self.process.log()?;
        let expected = |line: &&str| self.expected.get().is_some_and(|words| line.contains(words));
        let refusals = log.lines().filter(|line| line.contains(" rejected") && !expected(line));
        Ok(refusals.collect::<Vec<_>>().join("\n"))
    }
}
