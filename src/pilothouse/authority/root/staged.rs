//! A plugged-in authority whose root operators replace in stages: how many proxies trust what is there, told by one replica,
//! and a warning when the signing certificate goes before them.
//!
//! Source: `shared/spec/security.md` 1.4; `docs/certificates.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca::{Authority, Confirmed};
use controllers::expiring::Warnings;
use tokio::sync::watch;

use super::absent::Absent;
use super::mover::Mover;
use super::progress::Replacing;

/// What the Event is about.
const SIGNING: &str = "signing certificate";

/// What was seen of a plugged-in authority.
#[derive(Default)]
pub(super) struct Staged {
    /// The roots that the signing certificate leads to.
    vouchers: BTreeSet<String>,
    /// Whether it leads to others than before, and who trusts these is not known yet.
    unjudged: bool,
    /// Whether it was replaced too early.
    early: bool,
}

impl Mover {
    /// What is to be told of a signing certificate that was replaced too early, for Events.
    pub(crate) fn early(&self) -> watch::Receiver<Warnings> {
        self.early.subscribe()
    }

    /// Looks at a plugged-in authority, if there is one.
    pub(super) async fn attend(&self, staged: &mut Staged, absent: &mut Absent) {
        let plugged = self.progress.replacing.borrow().plugged;
        let authority = self.progress.roots.borrow().clone().filter(|_| plugged);
        let Some(authority) = authority else { return };
        staged.see(&authority);
        if !staged.wants(&authority) {
            self.tell_spread(None, None, None);
            return;
        }
        match self.gather(absent).await {
            Ok(confirmed) => {
                let early = staged.judge(confirmed);
                self.tell_spread(Some(confirmed), None, early);
            }
            Err(problem) => self.tell_spread(None, Some(problem), None),
        }
    }

    fn tell_spread(&self, confirmed: Option<Confirmed>, waiting: Option<String>, early: Option<String>) {
        // As long as it is not known whether that has ended, it has not.
        let early = early.or_else(|| {
            let known = self.progress.replacing.borrow().early.clone();
            known.filter(|_| waiting.is_some())
        });
        self.early.send_if_modified(|told| {
            let now: Warnings =
                Arc::new(early.iter().map(|text| (SIGNING.to_owned(), text.clone())).collect());
            // The count changes from look to look; it is one warning.
            let differs = told.is_empty() != now.is_empty();
            if differs {
                *told = now;
            }
            differs
        });
        self.progress.tell(Replacing { waiting, confirmed, early, plugged: true, ..Replacing::default() });
    }
}

impl Staged {
    /// Takes what signs now.
    fn see(&mut self, authority: &Authority) {
        let now = authority.vouchers();
        self.unjudged |= !self.vouchers.is_empty() && self.vouchers.is_disjoint(now);
        self.vouchers.clone_from(now);
    }

    /// Whether it matters who trusts what: there are several roots, or another one signs.
    fn wants(&self, authority: &Authority) -> bool {
        authority.own_roots() > 1 || self.unjudged || self.early
    }

    /// What is to be told, now that it is known who trusts the roots.
    fn judge(&mut self, Confirmed { asked, have }: Confirmed) -> Option<String> {
        let missing = asked.saturating_sub(have);
        if missing == 0 && self.early {
            tracing::info!("all connected proxies trust the root of the signing certificate now");
        }
        let text = format!(
            "{missing} of {asked} connected proxies have not confirmed that they trust its root: they refuse workloads whose \
             certificates it signs. Put the signing certificate before it back until /debug/rootz shows that all have confirmed"
        );
        if missing > 0 && self.unjudged && !self.early {
            tracing::warn!(
                "the signing certificate of the plugged-in authority was replaced too early: {text}"
            );
        }
        self.early = missing > 0 && (self.early || self.unjudged);
        self.unjudged = false;
        self.early.then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(vouchers: &[&str]) -> Staged {
        let vouchers = vouchers.iter().map(|&root| root.to_owned()).collect();
        Staged { vouchers, ..Staged::default() }
    }

    fn changed() -> Staged {
        Staged { unjudged: true, ..staged(&["b"]) }
    }

    #[test]
    fn another_signing_root_that_not_all_trust_is_told_until_they_do() {
        let mut staged = changed();
        let told = staged.judge(Confirmed { asked: 3, have: 1 }).expect("a warning");
        assert!(told.starts_with("2 of 3 connected proxies"), "{told}");
        assert!(staged.judge(Confirmed { asked: 3, have: 2 }).is_some(), "one is left");
        assert_eq!(staged.judge(Confirmed { asked: 3, have: 3 }), None);
        // Who connects later was not there when it was replaced.
        assert_eq!(staged.judge(Confirmed { asked: 4, have: 3 }), None);
    }

    #[test]
    fn one_that_all_trust_is_not() {
        assert_eq!(changed().judge(Confirmed { asked: 3, have: 3 }), None);
        assert_eq!(changed().judge(Confirmed::default()), None, "nobody is connected");
        assert_eq!(staged(&["a"]).judge(Confirmed { asked: 3, have: 0 }), None, "nothing was replaced");
    }
}
