//! Names that come, change, fail and go, with a resolver and a time of the test's own.

use std::sync::Mutex;

use super::*;

/// What the resolver says of each name; names that it does not have fail.
type Zone = Arc<Mutex<BTreeMap<&'static str, Vec<IpAddr>>>>;

struct Story {
    zone: Zone,
    wanted: watch::Sender<Wanted>,
    batches: mpsc::Receiver<Batch>,
    start: Instant,
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

impl Story {
    fn start() -> Self {
        let zone = Zone::default();
        let (wanted, receiver) = watch::channel(Wanted::new());
        let (sender, batches) = mpsc::channel(4);
        let asked = Arc::clone(&zone);
        let lookup = move |host: Arc<str>| {
            let found = asked.lock().expect("a zone").get(&*host).cloned();
            async move { found.ok_or_else(|| io::Error::other("no such name")) }
        };
        tokio::spawn(follow_with(receiver, sender, lookup));
        Self { zone, wanted, batches, start: Instant::now() }
    }

    fn say(&self, name: &'static str, addresses: Option<&[u8]>) {
        let mut zone = self.zone.lock().expect("a zone");
        match addresses {
            Some(last) => zone.insert(name, last.iter().map(|l| ip(*l)).collect()),
            None => zone.remove(name),
        };
    }

    fn want(&self, names: &[&str]) {
        self.wanted.send_replace(names.iter().map(|name| Arc::from(*name)).collect());
    }

    /// The next change, and how many seconds after the start it came.
    async fn next(&mut self) -> (Vec<(String, Vec<IpAddr>)>, u64) {
        let batch = self.batches.recv().await.expect("a batch");
        let resolved = batch.resolved.into_iter().map(|(host, addresses)| (host.to_string(), addresses));
        (resolved.collect(), self.start.elapsed().as_secs())
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_are_told_when_they_differ_and_looked_at_twice_a_minute() {
    let mut story = Story::start();
    story.say("a", Some(&[1]));
    story.say("b", Some(&[2, 3]));
    story.want(&["a", "b"]);
    let both = vec![("a".to_owned(), vec![ip(1)]), ("b".to_owned(), vec![ip(2), ip(3)])];
    assert_eq!(story.next().await, (both, 0));
    story.say("b", Some(&[3]));
    assert_eq!(story.next().await, (vec![("b".to_owned(), vec![ip(3)])], 30));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_keeps_its_addresses_and_is_asked_for_earlier() {
    let mut story = Story::start();
    story.say("a", Some(&[1]));
    story.want(&["a", "late"]);
    assert_eq!(story.next().await, (vec![("a".to_owned(), vec![ip(1)])], 0));
    story.say("a", None);
    // Asked for after 2 seconds, and 4 more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    story.say("late", Some(&[9]));
    assert_eq!(story.next().await, (vec![("late".to_owned(), vec![ip(9)])], 6));
    // What fails is not told as gone: the next that is told is that it is another, after failures at 30 and 32 seconds.
    tokio::time::sleep(Duration::from_secs(27)).await;
    story.say("a", Some(&[2]));
    assert_eq!(story.next().await, (vec![("a".to_owned(), vec![ip(2)])], 36));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_wants_is_forgotten() {
    let mut story = Story::start();
    story.say("a", Some(&[1]));
    story.want(&["a", "never"]);
    story.next().await;
    story.want(&[]);
    assert_eq!(story.next().await, (vec![("a".to_owned(), Vec::new())], 0));
    story.want(&["a"]);
    assert_eq!(story.next().await, (vec![("a".to_owned(), vec![ip(1)])], 0));
}
