//! Follows the folder: the first complete look, then what events and sweeps tell, each as one batch.

use std::future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::inotify::{EventOwned, EventStream, Inotify};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::inotify::Watcher;
use super::pending::Pending;
use super::worker::Worker;
use crate::event::Batch;

#[cfg(test)]
mod tests;

/// Why a folder cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder is not there or cannot be listed.
    #[error("{}: the folder cannot be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A fault of the program.
    #[error("looking at the configuration folder failed")]
    Fault(#[from] task::JoinError),
}

/// How a folder is followed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to ask the kernel for events (inotify). Without them the folder is swept only.
    pub events: bool,
    /// Time from sweep to sweep where there are events: file systems that others write to (NFS, shared folders of a
    /// virtual machine) tell none.
    pub sweep_beside_events: Duration,
    /// Time from sweep to sweep where there are none.
    pub sweep_alone: Duration,
    /// Time after which a sweep confirms what the one before it found.
    pub confirm: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events: true,
            sweep_beside_events: Duration::from_secs(30),
            sweep_alone: Duration::from_secs(1),
            confirm: Duration::from_millis(200),
        }
    }
}

/// Follows a folder until `shutdown`, or until nobody receives.
///
/// The first batch is the complete first look ([`Batch::complete`]), sent even if it is empty; later ones are never
/// empty. A folder that goes away later keeps what it last gave, under a report, until it is back.
///
/// # Errors
///
/// The folder is not there at the start, or a fault of the program.
pub async fn watch(
    dir: &Path,
    options: Options,
    sender: mpsc::Sender<Batch>,
    shutdown: CancellationToken,
) -> Result<(), WatchError> {
    let failed = |source| WatchError::Folder { path: dir.to_owned(), source };
    let root = std::path::absolute(dir).map_err(failed)?;
    let (stream, watcher) = events(options).unzip();
    let worker = Worker::new(root.clone(), watcher).map_err(failed)?;
    let (worker, first) = on_a_thread(worker, Worker::first).await?;
    let first = first.map_err(failed)?;
    let follower = Follower { root, options, stream, pending: Pending::default(), sender, shutdown };
    follower.run(worker, first).await
}

/// The kernel's events, if they can be had.
fn events(options: Options) -> Option<(EventStream<Vec<u8>>, Watcher)> {
    if !options.events {
        return None;
    }
    let stream = Inotify::init().and_then(|inotify| inotify.into_event_stream(vec![0; EVENT_BYTES]));
    match stream {
        Ok(stream) => {
            let watcher = Watcher::new(stream.watches());
            Some((stream, watcher))
        }
        Err(error) => {
            swept_only(&error, options);
            None
        }
    }
}

/// Room for some hundred events in one reading.
const EVENT_BYTES: usize = 64 * 1024;

fn swept_only(error: &io::Error, options: Options) {
    tracing::warn!(
        %error,
        seconds = options.sweep_alone.as_secs_f32(),
        "no file events: changes are found by sweeps; raise fs.inotify.max_user_watches and max_user_instances"
    );
}

struct Follower {
    root: PathBuf,
    options: Options,
    stream: Option<EventStream<Vec<u8>>>,
    pending: Pending,
    sender: mpsc::Sender<Batch>,
    shutdown: CancellationToken,
}

/// What the follower woke up for.
enum Wake {
    Event(Option<io::Result<EventOwned>>),
    Due,
    Sweep,
    Shutdown,
}

impl Follower {
    async fn run(mut self, mut worker: Worker, first: Batch) -> Result<(), WatchError> {
        let mut wanted = self.send(first).await;
        let mut sweep_at = Instant::now() + self.interval();
        while wanted {
            if let Some(error) = worker.watcher.as_mut().and_then(Watcher::failure) {
                swept_only(&error, self.options);
                (self.stream, worker.watcher) = (None, None);
                sweep_at = Instant::now() + self.interval();
            }
            match self.wake(sweep_at).await {
                Wake::Shutdown => return Ok(()),
                Wake::Event(event) => self.take_in(event, &mut worker),
                Wake::Due => {}
                Wake::Sweep => {
                    let open = self.pending.open().clone();
                    let sweep;
                    (worker, sweep) = on_a_thread(worker, move |worker| worker.sweep(&open)).await?;
                    let soon = sweep.again && self.stream.is_none();
                    sweep_at = Instant::now() + if soon { self.options.confirm } else { self.interval() };
                    wanted = self.send(sweep.batch).await;
                }
            }
            let due = self.pending.take(Instant::now());
            if !due.is_empty() {
                let open = self.pending.open().clone();
                let batch;
                (worker, batch) = on_a_thread(worker, move |worker| worker.look(&due, &open)).await?;
                wanted = wanted && self.send(batch).await;
            }
        }
        Ok(())
    }

    async fn wake(&mut self, sweep_at: Instant) -> Wake {
        let due = self.pending.due();
        let due = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => future::pending().await,
            }
        };
        let event = async {
            match &mut self.stream {
                Some(stream) => stream.next().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Wake::Shutdown,
            event = event => Wake::Event(event),
            () = due => Wake::Due,
            () = sleep_until(sweep_at.into()) => Wake::Sweep,
        }
    }

    /// Takes down an event and all that have come with it.
    fn take_in(&mut self, event: Option<io::Result<EventOwned>>, worker: &mut Worker) {
        let (Some(stream), Some(watcher)) = (&mut self.stream, &mut worker.watcher) else { return };
        let now = Instant::now();
        let mut next = Some(event);
        while let Some(event) = next {
            match event {
                Some(Ok(event)) => watcher.note(&event, &worker.links, &mut self.pending, &self.root, now),
                Some(Err(error)) => return self.lose_events(&error, worker),
                None => return self.lose_events(&io::ErrorKind::UnexpectedEof.into(), worker),
            }
            next = stream.next().now_or_never();
        }
    }

    fn lose_events(&mut self, error: &io::Error, worker: &mut Worker) {
        swept_only(error, self.options);
        (self.stream, worker.watcher) = (None, None);
        self.pending.lost(&self.root, Instant::now());
    }

    fn interval(&self) -> Duration {
        if self.stream.is_some() { self.options.sweep_beside_events } else { self.options.sweep_alone }
    }

    /// Sends a batch, unless it is empty; whether anybody still wants one.
    async fn send(&self, batch: Batch) -> bool {
        if batch.is_empty() {
            return true;
        }
        batch.log("a configuration file");
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => false,
            sent = self.sender.send(batch) => sent.is_ok(),
        }
    }
}

/// Looks at files on a thread on which waiting for a disk holds up nobody.
async fn on_a_thread<T: Send + 'static>(
    mut worker: Worker,
    work: impl FnOnce(&mut Worker) -> T + Send + 'static,
) -> Result<(Worker, T), task::JoinError> {
    task::spawn_blocking(move || {
        let result = work(&mut worker);
        (worker, result)
    })
    .await
}
