//! Turns for what is scarce, dealt out in a circle over those who ask: whoever asks for much waits for itself.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who asks: an address, or nobody knows whose.
pub type Source = Option<IpAddr>;

/// Some turns at once. Clones are the same.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Whether a source may have no more turns than it leaves free.
    leave: bool,
    /// The turns that each source has.
    held: HashMap<Source, usize>,
    /// Those who wait, by source; the first source is the next to be served.
    waiting: VecDeque<(Source, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A turn, until it is dropped.
#[must_use = "it ends when it is dropped"]
pub struct Turn(Option<(Turns, Source)>);

impl Turns {
    /// So many at once, all for one source if nobody else wants any: for work that goes on by itself.
    pub fn new(free: usize) -> Self {
        Self::of(free, false)
    }

    /// So many at once, of which no source has more than it leaves free: for work that whoever asks may hold up, so that a
    /// newcomer need not wait until it is done.
    pub fn leaving_some(free: usize) -> Self {
        Self::of(free, true)
    }

    fn of(free: usize, leave: bool) -> Self {
        Self(Arc::new(Mutex::new(State { free, leave, held: HashMap::new(), waiting: VecDeque::new() })))
    }

    /// A turn for a source, when it is its time.
    pub async fn take(&self, source: Source) -> Turn {
        let waiter = {
            let mut state = self.lock();
            if state.may(source) {
                state.hold(source);
                return Turn(Some((self.clone(), source)));
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

    /// How many turns nobody has.
    pub fn free(&self) -> usize {
        self.lock().free
    }

    /// Takes a turn back, and gives what is free to those who wait still.
    fn take_back(&self, source: Source) {
        let mut state = self.lock();
        state.release(source);
        while let Some((source, next)) = state.next() {
            state.hold(source);
            if let Err(mut back) = next.send(Turn(Some((self.clone(), source)))) {
                // It has gone meanwhile.
                back.0 = None;
                state.release(source);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may(&self, source: Source) -> bool {
        let held = self.held.get(&source).copied().unwrap_or_default();
        self.free > 0 && (!self.leave || held < self.free)
    }

    fn hold(&mut self, source: Source) {
        self.free -= 1;
        *self.held.entry(source).or_default() += 1;
    }

    fn release(&mut self, source: Source) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&source);
            }
        }
    }

    /// The first of the next source that may have a turn; the source goes behind all others.
    fn next(&mut self) -> Option<(Source, oneshot::Sender<Turn>)> {
        let place = self.waiting.iter().position(|(source, _)| self.may(*source))?;
        let (source, mut queue) = self.waiting.remove(place)?;
        let next = queue.pop_front();
        if !queue.is_empty() {
            self.waiting.push_back((source, queue));
        }
        Some((source, next?))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, source)) = self.0.take() {
            turns.take_back(source);
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
        assert!(turns.lock().held.is_empty());
    }

    #[test]
    fn who_may_hold_turns_up_leaves_some_to_newcomers() {
        let turns = Turns::leaving_some(8);
        let mut greedy: Vec<_> =
            (0..4).map(|_| turns.take(source(1)).now_or_never().expect("a turn")).collect();
        let mut fifth = wait(&turns, 1);
        let newcomer = |last| turns.take(source(last)).now_or_never().expect("there is one for a newcomer");
        let modest = [newcomer(2), newcomer(3)];
        greedy.pop();
        assert!((&mut fifth).now_or_never().is_none(), "it has three, and three are free");
        drop(modest);
        assert!(fifth.now_or_never().is_some());
    }

    #[test]
    fn all_turns_are_given_when_many_want_them() {
        let turns = Turns::leaving_some(8);
        let held: Vec<_> =
            (0..8).map(|last| turns.take(source(last)).now_or_never().expect("a turn")).collect();
        let late = wait(&turns, 9);
        let again = wait(&turns, 0);
        assert_eq!(turns.free(), 0);
        drop(held);
        assert!(late.now_or_never().is_some());
        assert!(again.now_or_never().is_some());
        assert_eq!(turns.free(), 8);
    }
}
