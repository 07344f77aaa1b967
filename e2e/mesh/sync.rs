//! What the control plane says: of the proxies that are connected to it, of what is wrong, in figures.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Mesh;
use crate::pod::Pod;
use crate::wait::wait_until;

/// The types that every sidecar asks for, as `/debug/syncz` names them.
const TYPES: [&str; 4] = ["cluster", "endpoint", "listener", "route"];

impl Mesh<'_> {
    /// Waits until these proxies have accepted all that they were sent and wait for nothing more.
    ///
    /// For proxies that use at least one Service over HTTP: they then ask for all four types.
    pub fn wait_synced(&self, pods: &[&Pod]) -> Result<()> {
        for pod in pods {
            let called = format!("{}.{}", pod.name(), pod.namespace());
            wait_until(&format!("{called} to accept what it was sent"), || {
                self.accepted(&called)?;
                pod.envoy()?.settled()
            })?;
        }
        Ok(())
    }

    /// Fails, with the page's row, unless the proxy has acknowledged the last response of every type.
    fn accepted(&self, called: &str) -> Result<()> {
        let page = self.json("/debug/syncz")?;
        let rows = page.as_array().context("/debug/syncz is no list")?;
        let row = rows.iter().find(|row| text(row, "proxy") == called);
        let row = row.with_context(|| format!("/debug/syncz does not know {called}: {page}"))?;
        for kind in TYPES {
            let sent = text(row, &format!("{kind}_sent"));
            if sent.is_empty() || sent != text(row, &format!("{kind}_acked")) {
                bail!("{kind} is not acknowledged: {row}");
            }
        }
        if row.to_string().contains("lastError") {
            bail!("something was refused: {row}");
        }
        Ok(())
    }

    /// A page of the control plane as JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        let body = self.get(path)?.expect(http::StatusCode::OK)?.body;
        serde_json::from_slice(&body).with_context(|| format!("{path} is not JSON"))
    }

    /// A page of the control plane as text.
    pub fn text(&self, path: &str) -> Result<String> {
        let body = self.get(path)?.expect(http::StatusCode::OK)?.body;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Waits until one line of the control plane's problems holds all of `parts`: problems are told after what was made in
    /// spite of them is sent.
    pub fn tells(&self, parts: &[&str]) -> Result<()> {
        wait_until(&format!("a problem that says {parts:?}"), || {
            let page = self.text("/debug/problems")?;
            let found = page.lines().any(|line| parts.iter().all(|part| line.contains(part)));
            if found { Ok(true) } else { bail!("the problems are:\n{page}") }
        })
    }

    /// The sum of a metric over all its labels; 0 if it has no value yet.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let page = super::Call::new(self.caller.clone(), http::Method::GET, "http://127.0.0.1:15014/metrics");
        let body = page.send()?.expect(http::StatusCode::OK)?.body;
        let page = String::from_utf8_lossy(&body).into_owned();
        let rows = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values = rows.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        values.sum::<Result<f64, _>>().with_context(|| format!("values of {name}"))
    }
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}
