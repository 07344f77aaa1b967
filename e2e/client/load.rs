//! Steady load from inside a pod, with counts of what came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::task::JoinHandle;

use super::wire::{Connection, Prepared};
use super::{Answer, Call};
use crate::wait::{PATIENCE, within};

/// Load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    workers: Vec<JoinHandle<()>>,
    report: Arc<Mutex<LoadReport>>,
}

/// What a load has seen.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers of echo apps by the pod that gave them.
    pub by_pod: BTreeMap<String, u64>,
    /// Requests without an answer, by the reason.
    pub failures: BTreeMap<String, u64>,
    /// The first answer that was not 200, with how many requests had ended before it.
    pub first_odd: Option<(u64, Answer)>,
    /// The longest time that an answer took.
    pub slowest: Duration,
}

impl LoadReport {
    /// All requests that have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_status.values().chain(self.failures.values()).sum()
    }

    /// Fails, with everything that was seen, if any request ended in anything but 200.
    pub fn only_successes(&self) -> Result<()> {
        let good = self.by_status.get(&200).copied().unwrap_or(0);
        if good == 0 || good != self.total() {
            bail!("not every request ended in 200: {self:?}");
        }
        Ok(())
    }

    fn add(&mut self, outcome: Result<Answer>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(answer) => {
                if answer.status != 200 && self.first_odd.is_none() {
                    self.first_odd = Some((self.total(), answer.clone()));
                }
                *self.by_status.entry(answer.status).or_default() += 1;
                if let Ok(seen) = answer.seen() {
                    *self.by_pod.entry(seen.pod).or_default() += 1;
                }
            }
            Err(error) => *self.failures.entry(format!("{error:#}")).or_default() += 1,
        }
    }
}

impl Load {
    /// Starts `workers` connections, each sending `call` again `pause` after its last answer.
    pub(crate) fn start(call: &Call, workers: usize, pause: Duration) -> Result<Self> {
        let prepared = call.prepare()?;
        let report = Arc::new(Mutex::new(LoadReport::default()));
        let inside = call.caller().netns.inside();
        let workers =
            (0..workers).map(|_| inside.spawn(work(prepared.clone(), Arc::clone(&report), pause))).collect();
        Ok(Self { workers, report })
    }

    /// What was seen so far.
    #[must_use]
    pub fn so_far(&self) -> LoadReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `requests` more requests have ended.
    pub fn wait_for(&self, requests: u64) -> Result<()> {
        let goal = self.so_far().total() + requests;
        within(PATIENCE, &format!("{requests} more requests of the load"), || {
            Ok((self.so_far().total() >= goal).then_some(()))
        })
    }

    /// Ends the load; requests under way are not counted.
    #[must_use]
    pub fn stop(self) -> LoadReport {
        self.so_far()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

async fn work(prepared: Prepared, report: Arc<Mutex<LoadReport>>, pause: Duration) {
    let mut connection = None;
    loop {
        let began = Instant::now();
        let outcome = tokio::time::timeout(prepared.timeout, once(&prepared, &mut connection))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {:?}", prepared.timeout)));
        if outcome.is_err() {
            connection = None;
        }
        report.lock().unwrap_or_else(PoisonError::into_inner).add(outcome, began.elapsed());
        tokio::time::sleep(pause).await;
    }
}

/// One request, on the kept connection if the peer has not closed it between requests.
async fn once(prepared: &Prepared, kept: &mut Option<Connection>) -> Result<Answer> {
    let mut connection = match kept.take() {
        Some(mut connection) => {
            if connection.usable().await {
                connection
            } else {
                Connection::open(prepared).await?
            }
        }
        None => Connection::open(prepared).await?,
    };
    let answer = connection.exchange(prepared).await?;
    *kept = Some(connection);
    Ok(answer)
}
