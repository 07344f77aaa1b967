//! Listens to every frame that crosses the pods' bridge, to show what was readable on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// A running capture of all frames in the world's namespace (the pods' ends of the bridge).
#[derive(Debug)]
pub struct Sniffer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Capture>>,
}

/// The frames that were seen.
#[derive(Debug, Default)]
pub struct Capture {
    frames: Vec<Vec<u8>>,
}

impl Sniffer {
    /// Starts to listen; returns when the socket is open, so that nothing sent afterwards is missed.
    pub(crate) fn start() -> Result<Self> {
        let raw = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .context("open a packet socket")?;
        setsockopt(&raw, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20))?;
        setsockopt(&raw, sockopt::RcvBufForce, &(16 << 20)).or_else(|_| {
            // A namespace's root may not exceed the host's limit; the default buffer then has to do.
            setsockopt(&raw, sockopt::RcvBuf, &(1 << 20))
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name("sniffer".to_owned()).spawn(move || {
            use std::os::fd::AsRawFd;
            let mut capture = Capture::default();
            let mut buffer = vec![0; 1 << 16];
            loop {
                match recv(raw.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(length) => capture.frames.push(buffer.get(..length).unwrap_or_default().to_vec()),
                    // Only an empty queue ends the capture, so frames sent before the stop are all in it.
                    Err(Errno::EAGAIN) if stopping.load(Ordering::Relaxed) => return Ok(capture),
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(error) => return Err(error).context("read the packet socket"),
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the capture and gives what was seen.
    pub fn stop(self) -> Result<Capture> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sniffer panicked"))?
    }
}

impl Capture {
    /// Whether `text` was readable inside one frame.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let wanted = text.as_bytes();
        self.frames.iter().any(|frame| frame.windows(wanted.len()).any(|window| window == wanted))
    }

    /// How many frames were seen.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames.len()
    }
}
