//! The newest message for one stream: a stream that is behind skips what it has not seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::status::Status;
use crate::engine::ProxySets;

/// What a stream is told.
pub(super) enum Notice {
    /// Its proxy has newer sets. The time is that of the earliest change that the stream has not seen.
    Sets(ProxySets, Duration),
    /// It is to end.
    Close(Status),
}

#[derive(Default)]
struct Inner {
    notice: Option<Notice>,
    waker: Option<Waker>,
}

/// Both ends of the box; clones are the same box.
#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Mutex<Inner>>);

impl Mailbox {
    /// Leaves newer sets, made of a change at `since`. They take the place of sets that were not taken yet.
    pub(super) fn sets(&self, sets: ProxySets, since: Duration) {
        self.leave(|before| match before {
            Some(Notice::Sets(_, earlier)) => Notice::Sets(sets, since.min(earlier)),
            Some(close @ Notice::Close(_)) => close,
            None => Notice::Sets(sets, since),
        });
    }

    /// Tells the stream to end; nothing takes that back.
    pub(super) fn close(&self, status: Status) {
        self.leave(|_| Notice::Close(status));
    }

    fn leave(&self, notice: impl FnOnce(Option<Notice>) -> Notice) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.notice.take();
        inner.notice = Some(notice(before));
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the notice; without one the task is woken when one comes.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Notice> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = inner.notice.take() {
            return Poll::Ready(notice);
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
