//! A raw TCP conversation from inside a pod.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Caller, wire};

/// How long a peer may take for anything that a conversation waits for.
const LIMIT: Duration = Duration::from_secs(10);

/// An open TCP connection whose reads and writes happen inside the pod.
#[derive(Debug)]
pub struct TcpSession {
    caller: Caller,
    stream: Arc<Mutex<BufReader<TcpStream>>>,
}

impl TcpSession {
    pub(crate) fn open(caller: Caller, authority: &str) -> Result<Self> {
        let target = caller.resolve(authority, 0)?;
        let mark = caller.mark();
        let stream = caller
            .netns
            .run(async move { tokio::time::timeout(LIMIT, wire::connect(target, mark)).await })?
            .with_context(|| format!("no connection to {target} within {LIMIT:?}"))??;
        Ok(Self { caller, stream: Arc::new(Mutex::new(BufReader::new(stream))) })
    }

    /// Sends `line` and a newline.
    pub fn send_line(&self, line: &str) -> Result<()> {
        self.send(format!("{line}\n").into_bytes())
    }

    /// Sends bytes as they are.
    pub fn send(&self, bytes: Vec<u8>) -> Result<()> {
        let stream = Arc::clone(&self.stream);
        self.caller
            .netns
            .run(async move { stream.lock().await.get_mut().write_all(&bytes).await })?
            .context("send")
    }

    /// The next line without its end; an error if the peer closes or says nothing for 10 seconds.
    pub fn read_line(&self) -> Result<String> {
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
        Ok(line.trim_end().to_owned())
    }

    /// Waits until the peer closes (or resets) the connection; an error if it has not after `limit`.
    pub fn closed_within(&self, limit: Duration) -> Result<()> {
        let stream = Arc::clone(&self.stream);
        self.caller
            .netns
            .run(async move {
                let mut rest = Vec::new();
                let mut stream = stream.lock().await;
                // A reset is an end too, so the reading's own result does not matter.
                tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await.map(drop)
            })?
            .with_context(|| format!("the connection is still open after {limit:?}"))
    }
}
