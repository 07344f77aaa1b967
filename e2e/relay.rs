//! Stands between a proxy and the control plane and can stop in the middle of what the control plane says.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::mesh::DISCOVERY;
use crate::netns::{BRIDGE_ADDRESS, Netns};
use crate::wait::wait_until;

/// A relay to the control plane; see [`Relay::hold_before`].
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
    /// Counts the cuts: connections end when it changes.
    cuts: watch::Sender<u64>,
    // Its thread runs the relay.
    _netns: Netns,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing from here on is passed on.
    barrier: Mutex<Option<String>>,
    held: AtomicBool,
}

impl Relay {
    /// Starts it at an address of the bridge.
    pub(crate) fn start() -> Result<Self> {
        let netns = Netns::of_the_world()?;
        let listener = netns
            .run(TcpListener::bind(SocketAddr::new(IpAddr::V4(BRIDGE_ADDRESS), 0)))?
            .context("listen for proxies")?;
        let address = listener.local_addr()?;
        let (state, cuts) = (Arc::new(State::default()), watch::Sender::new(0));
        netns.inside().spawn(accept(listener, Arc::clone(&state), cuts.subscribe()));
        Ok(Self { address, state, cuts, _netns: netns })
    }

    /// Where proxies find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on passes on what the control plane says only as far as the first `text`, and then nothing more.
    pub fn hold_before(&self, text: &str) {
        self.state.held.store(false, Ordering::SeqCst);
        *self.barrier() = Some(text.to_owned());
    }

    /// Waits until that text came.
    pub fn wait_held(&self) -> Result<()> {
        wait_until("the control plane to say what is held back", || {
            Ok(self.state.held.load(Ordering::SeqCst))
        })
    }

    /// Closes all connections and passes on everything again.
    pub fn cut(&self) {
        *self.barrier() = None;
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn barrier(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.state.barrier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, cuts: watch::Receiver<u64>) {
    while let Ok((proxy, _)) = listener.accept().await {
        let (state, mut cut) = (Arc::clone(&state), cuts.clone());
        cut.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                // Whatever ends it is the proxy's to notice.
                _ = relay(proxy, &state) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn relay(mut proxy: TcpStream, state: &State) -> std::io::Result<()> {
    let mut control_plane = TcpStream::connect(DISCOVERY).await?;
    let (mut from_proxy, mut to_proxy) = proxy.split();
    let (mut from_control_plane, mut to_control_plane) = control_plane.split();
    tokio::select! {
        ended = copy(&mut from_proxy, &mut to_control_plane) => ended.map(|_| ()),
        ended = pass_on(&mut from_control_plane, &mut to_proxy, state) => ended,
    }
}

async fn pass_on(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: &State,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    // The end of what was passed on: the text may have begun there.
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let new = buffer.get(..read).unwrap_or_default();
        let barrier = state.barrier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let whole = [tail.as_slice(), new].concat();
        let found = barrier.as_deref().and_then(|text| position(&whole, text.as_bytes()));
        if let Some(at) = found {
            to.write_all(whole.get(tail.len()..at).unwrap_or_default()).await?;
            state.held.store(true, Ordering::SeqCst);
            // Until the relay is cut.
            return std::future::pending().await;
        }
        to.write_all(new).await?;
        let keep = barrier.map_or(0, |text| text.len().saturating_sub(1)).min(whole.len());
        tail = whole.get(whole.len() - keep..).unwrap_or_default().to_vec();
    }
}

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
