//! Turns for what costs processors, dealt out in a circle over those who ask: whoever asks for much waits for itself.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who asks: an address, or nobody knows whose.
pub(crate) type Source = Option<IpAddr>;

/// Some turns at once. Clones are the same.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Those who wait, by source; the first source is the next to be served.
    waiting: VecDeque<(Source, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A turn, until it is dropped.
pub(crate) struct Turn(Option<Turns>);

impl Turns {
    /// So many at once.
    pub(crate) fn new(free: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free, waiting: VecDeque::new() })))
    }

    /// A turn for a source, when it is its time.
    pub(crate) async fn take(&self, source: Source) -> Turn {
        let waiter = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (sender, waiter) = oneshot::channel();
            match state.waiting.iter_mut().find(|(other, _)| *other == source) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.waiting.push_back((source, VecDeque::from([sender]))),
            }
            waiter
        };
        // A sender is dropped without a word by nobody; if one were, there is no harm in one turn more.
        waiter.await.unwrap_or(Turn(None))
    }

    /// Passes a turn on to the next who waits for it still.
    fn pass_on(&self) {
        let mut turn = Turn(Some(self.clone()));
        loop {
            let next = {
                let mut state = self.lock();
                match state.next() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        turn.0 = None;
                        return;
                    }
                }
            };
            match next.send(turn) {
                Ok(()) => return,
                // It has gone meanwhile.
                Err(back) => turn = back,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first of the source that is to be served; the source goes behind all others.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (source, mut queue) = self.waiting.pop_front()?;
        let next = queue.pop_front();
        if !queue.is_empty() {
            self.waiting.push_back((source, queue));
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    fn source(last: u8) -> Source {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    fn wait(turns: &Turns, last: u8) -> BoxFuture<'static, Turn> {
        let turns = turns.clone();
        let mut waiting = async move { turns.take(source(last)).await }.boxed();
        assert!((&mut waiting).now_or_never().is_none(), "it is not its turn");
        waiting
    }

    #[test]
    fn who_asks_for_much_waits_for_itself() {
        let turns = Turns::new(1);
        let first = turns.take(source(1)).now_or_never().expect("a turn");
        let mut greedy: Vec<_> = (0..100).map(|_| wait(&turns, 1)).collect();
        let modest = wait(&turns, 2);
        drop(first);
        let second = greedy.remove(0).now_or_never().expect("the first in the circle");
        drop(second);
        let third = modest.now_or_never().expect("not behind the hundred");
        drop(third);
        assert!(greedy.remove(0).now_or_never().is_some());
    }

    #[test]
    fn who_goes_away_holds_up_nobody() {
        let turns = Turns::new(1);
        let first = turns.take(source(1)).now_or_never().expect("a turn");
        drop(wait(&turns, 2));
        let third = wait(&turns, 3);
        drop(first);
        drop(third.now_or_never().expect("a turn"));
        assert_eq!(turns.lock().free, 1);
        assert!(turns.lock().waiting.is_empty());
        // A turn that was given and never looked at.
        let first = turns.take(source(1)).now_or_never().expect("a turn");
        let gone = wait(&turns, 2);
        drop(first);
        drop(gone);
        assert_eq!(turns.lock().free, 1);
    }
}
