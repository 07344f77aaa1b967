//! A raw TCP conversation from inside a pod.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::simulator::Call;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Caller, wire};
use crate::oracle::{Came, Foretold};

/// How long a peer may take for anything that a conversation waits for.
const LIMIT: Duration = Duration::from_secs(10);

/// An open TCP connection whose reads and writes happen inside the pod.
#[derive(Debug)]
pub struct TcpSession {
    caller: Caller,
    target: SocketAddr,
    stream: Arc<Mutex<BufReader<TcpStream>>>,
    /// What was foretold when the first bytes were sent or waited for, until it is judged.
    foretold: StdMutex<Option<Foretold>>,
    begun: AtomicBool,
}

impl TcpSession {
    pub(crate) fn open(caller: Caller, authority: &str) -> Result<Self> {
        let target = caller.resolve(authority, 0)?;
        let mark = caller.mark();
        let stream = caller
            .netns
            .run(async move { tokio::time::timeout(LIMIT, wire::connect(target, mark)).await })?
            .with_context(|| format!("no connection to {target} within {LIMIT:?}"))??;
        Ok(Self {
            caller,
            target,
            stream: Arc::new(Mutex::new(BufReader::new(stream))),
            foretold: StdMutex::default(),
            begun: AtomicBool::new(false),
        })
    }

    /// The same, of which the simulator is not asked: for bytes that it knows nothing of, such as requests that no client
    /// library writes.
    #[must_use]
    pub fn unforetold(self) -> Self {
        self.begun.store(true, Ordering::Relaxed);
        self
    }

    /// Sends `line` and a newline.
    pub fn send_line(&self, line: &str) -> Result<()> {
        self.send(format!("{line}\n").into_bytes())
    }

    /// Sends bytes as they are.
    pub fn send(&self, bytes: Vec<u8>) -> Result<()> {
        self.foretell(&bytes);
        let stream = Arc::clone(&self.stream);
        self.caller
            .netns
            .run(async move { stream.lock().await.get_mut().write_all(&bytes).await })?
            .context("send")
    }

    /// The next `count` bytes; an error if the peer closes before or says nothing for 10 seconds.
    pub fn read_bytes(&self, count: usize) -> Result<Vec<u8>> {
        let stream = Arc::clone(&self.stream);
        let bytes = self.caller.netns.run(async move {
            let mut bytes = vec![0; count];
            let read = async { stream.lock().await.read_exact(&mut bytes).await };
            tokio::time::timeout(LIMIT, read).await.map(|result| result.map(|_| bytes))
        })?;
        Ok(bytes.with_context(|| format!("no {count} bytes within {LIMIT:?}"))??)
    }

    /// The next line without its end; an error if the peer closes or says nothing for 10 seconds.
    pub fn read_line(&self) -> Result<String> {
        self.foretell(&[]);
        let stream = Arc::clone(&self.stream);
        let line = self.caller.netns.run(async move {
            let mut line = String::new();
            let read = async { stream.lock().await.read_line(&mut line).await };
            tokio::time::timeout(LIMIT, read).await.map(|result| result.map(|_| line))
        })?;
        let line = line.with_context(|| format!("no line within {LIMIT:?}"))??;
        if line.is_empty() {
            bail!("the peer closed the connection");
        }
        let mut words = line.split(' ');
        let pod = words.by_ref().find(|word| *word != "220").unwrap_or_default().to_owned();
        self.judge(&Came::Line(pod))?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits until the peer closes (or resets) the connection; an error if it has not after `limit`.
    pub fn closed_within(&self, limit: Duration) -> Result<()> {
        self.foretell(&[]);
        let stream = Arc::clone(&self.stream);
        self.caller
            .netns
            .run(async move {
                let mut rest = Vec::new();
                let mut stream = stream.lock().await;
                // A reset is an end too, so the reading's own result does not matter.
                tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await.map(drop)
            })?
            .with_context(|| format!("the connection is still open after {limit:?}"))?;
        self.judge(&Came::Nothing("the connection was closed".to_owned()))
    }

    /// Asks the simulator where the connection goes, once it is known with which bytes it begins.
    fn foretell(&self, bytes: &[u8]) {
        if self.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(ip) = self.caller.ip else { return };
        let call = Call::direct(self.target, bytes);
        *self.kept() = self.caller.oracle.foretell(&self.caller.services, ip, call);
    }

    fn judge(&self, came: &Came) -> Result<()> {
        let foretold = self.kept().take();
        foretold.map_or(Ok(()), |foretold| foretold.judge(came))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Foretold>> {
        self.foretold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
