//! Proxies that have to confirm and are not connected at the moment: whoever loses its connection comes back with the roots
//! that it had.
//!
//! Pure: time comes in as a value.

use std::collections::BTreeMap;
use std::time::Duration;

use ca::{Confirmed, Pace};
use tokio::time::Instant;

use super::progress::Tally;

/// How long a proxy may take to connect again: Envoy waits for half a minute at most between two tries.
const RETURN: Duration = Duration::from_secs(120);

/// What one replica has seen of the proxies of all, as long as the same roots are trusted.
pub(super) struct Absent {
    /// What names the roots.
    bundle: String,
    /// Since when it looks.
    since: Instant,
    /// How long proxies are waited for that are gone.
    patience: Duration,
    /// Who was connected and had not confirmed: how many, and when they were last there.
    unconfirmed: BTreeMap<String, (usize, Instant)>,
}

impl Absent {
    /// Of somebody who begins to look at `now`, and does not know who was connected before.
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            bundle: String::new(),
            since: now,
            patience: RETURN.min(pace.distribute),
            unconfirmed: BTreeMap::new(),
        }
    }

    /// How long it takes at `now` until those may be taken for all that there are who were seen.
    pub(super) fn unsettled(&self, now: Instant) -> Option<Duration> {
        let left = self.patience.saturating_sub(now.saturating_duration_since(self.since));
        Some(left).filter(|left| !left.is_zero())
    }

    /// How many have to confirm and have done so, with those who were connected a moment ago.
    pub(super) fn count(&mut self, tally: &Tally, now: Instant) -> Confirmed {
        if self.bundle != tally.bundle {
            self.bundle.clone_from(&tally.bundle);
            self.unconfirmed.clear();
        }
        let given = Given::of(&tally.given);
        for (key, asked) in &tally.asked {
            if given.times(key) < *asked {
                self.unconfirmed.insert(key.clone(), (*asked, now));
            } else {
                self.unconfirmed.remove(key);
            }
        }
        let patience = self.patience;
        self.unconfirmed.retain(|key, (asked, seen)| {
            given.times(key) < *asked && now.saturating_duration_since(*seen) < patience
        });
        let gone = self.unconfirmed.iter().filter(|(key, _)| !tally.asked.contains_key(*key));
        let all = gone.map(|(key, (asked, _))| (key, asked)).chain(&tally.asked);
        all.fold(Confirmed::default(), |sum, (key, asked)| Confirmed {
            asked: sum.asked + asked,
            have: sum.have + given.times(key).min(*asked),
        })
    }
}

/// How often somebody was given the roots.
struct Given<'a> {
    known: &'a BTreeMap<String, usize>,
    by_address: BTreeMap<&'a str, usize>,
}

impl<'a> Given<'a> {
    fn of(known: &'a BTreeMap<String, usize>) -> Self {
        let mut by_address: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, count) in known {
            *by_address.entry(address(key)).or_default() += count;
        }
        Self { known, by_address }
    }

    /// Who has no identity that was verified is known by the address alone.
    fn times(&self, key: &str) -> usize {
        let times =
            if key.starts_with('|') { self.by_address.get(address(key)) } else { self.known.get(key) };
        times.copied().unwrap_or_default()
    }
}

fn address(key: &str) -> &str {
    key.rsplit_once('|').map_or("", |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use debug::RootPage;

    use super::*;

    fn page(bundle: &str, proxies: &[(&str, usize)], holders: &[(&str, usize)]) -> RootPage {
        let map = |pairs: &[(&str, usize)]| pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        RootPage {
            bundle: bundle.to_owned(),
            proxies: map(proxies),
            holders: map(holders),
            ..RootPage::default()
        }
    }

    fn absent(now: Instant) -> Absent {
        let minute = Duration::from_secs(60);
        Absent::new(Pace { distribute: minute, longest_life: minute }, now)
    }

    fn confirmed(absent: &mut Absent, pages: &[RootPage], now: Instant) -> (usize, usize) {
        let Confirmed { asked, have } = absent.count(&Tally::of(pages).expect("one bundle"), now);
        (have, asked)
    }

    /// What is counted of pages that are seen for the first time.
    fn first(pages: &[RootPage]) -> (usize, usize) {
        let now = Instant::now();
        confirmed(&mut absent(now), pages, now)
    }

    #[test]
    fn a_proxy_counts_wherever_it_is_connected_and_wherever_it_was_given_the_roots() {
        let a = page("x", &[("web|1", 1), ("db|2", 1)], &[("db|2", 3), ("gone|9", 1)]);
        let b = page("x", &[("web|3", 1)], &[("web|1", 1)]);
        assert_eq!(first(&[a, b]), (2, 3));
        assert_eq!(first(&[]), (0, 0));
    }

    #[test]
    fn what_was_heard_of_replicas_that_have_ended_counts() {
        let heard = |pairs: &[(&str, usize)]| page("x", &[], pairs).holders;
        let a = RootPage { heard: heard(&[("web|1", 1), ("db|2", 2)]), ..page("x", &[("web|1", 1)], &[]) };
        let b = RootPage { heard: heard(&[("db|2", 1)]), ..page("x", &[("db|2", 3)], &[("db|2", 1)]) };
        assert_eq!(first(&[a, b]), (3, 4), "what several have heard is not added up");
    }

    #[test]
    fn several_proxies_that_cannot_be_told_apart_count_as_often_as_roots_were_given() {
        assert_eq!(first(&[page("x", &[("web|1", 3)], &[("web|1", 2)])]), (2, 3));
    }

    #[test]
    fn proxies_without_a_verified_identity_are_known_by_their_address_alone() {
        assert_eq!(first(&[page("x", &[("|1", 1), ("|2", 1)], &[("web|1", 1)])]), (1, 2));
    }

    #[test]
    fn who_has_not_confirmed_and_loses_its_connection_is_waited_for() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut absent = absent(begin);
        let (both, one, none) = ([("web|1", 1), ("db|2", 2)], [("db|2", 2)], []);
        let given = [("db|2", 2)];
        assert_eq!(confirmed(&mut absent, &[page("x", &both, &given)], at(0)), (2, 3));
        // The replica ends that both are connected to.
        assert_eq!(confirmed(&mut absent, &[page("x", &none, &given)], at(30)), (0, 1));
        assert_eq!(confirmed(&mut absent, &[page("x", &both, &given)], at(50)), (2, 3), "both are back");
        assert_eq!(confirmed(&mut absent, &[page("x", &one, &given)], at(109)), (2, 3));
        assert_eq!(
            confirmed(&mut absent, &[page("x", &one, &given)], at(111)),
            (2, 2),
            "it has gone for good"
        );
        // Given to it by another replica while it is not connected.
        confirmed(&mut absent, &[page("x", &both, &given)], at(120));
        let given = [("db|2", 2), ("web|1", 1)];
        assert_eq!(confirmed(&mut absent, &[page("x", &one, &given)], at(121)), (2, 2));
    }

    #[test]
    fn other_roots_are_confirmed_anew() {
        let begin = Instant::now();
        let mut absent = absent(begin);
        let proxies = [("web|1", 1)];
        assert_eq!(confirmed(&mut absent, &[page("x", &proxies, &proxies)], begin), (1, 1));
        assert_eq!(confirmed(&mut absent, &[page("y", &proxies, &[])], begin), (0, 1));
        assert_eq!(confirmed(&mut absent, &[page("z", &[], &[])], begin), (0, 0));
    }

    #[test]
    fn whoever_begins_to_look_does_not_know_yet_who_is_there() {
        let begin = Instant::now();
        let absent = absent(begin);
        assert_eq!(absent.unsettled(begin), Some(Duration::from_secs(60)));
        assert_eq!(absent.unsettled(begin + Duration::from_secs(60)), None);
        let day = Duration::from_secs(86_400);
        let patient = Absent::new(Pace { distribute: day, longest_life: day }, begin);
        assert_eq!(patient.unsettled(begin), Some(RETURN));
    }
}
