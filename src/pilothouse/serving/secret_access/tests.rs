//! Tests of accounts that ask for secrets. Time is tokio's, and stands still but for what is waited for.

use super::*;

fn account(name: &str) -> Account {
    Account { cluster: "".into(), namespace: "edge".into(), name: name.into() }
}

struct World {
    accounts: Accounts,
    registry: Registry,
    batches: mpsc::Receiver<Batch>,
}

/// Accounts that are looked after without an API server.
fn world() -> World {
    let registry = Registry::new();
    let (accounts, asked) = Accounts::register(&registry).expect("a metric");
    let (sender, batches) = mpsc::channel(8);
    tokio::spawn(accounts.clone().run(asked, None, sender));
    World { accounts, registry, batches }
}

impl World {
    async fn said(&mut self) -> (Account, Option<Access>) {
        let mut batch = self.batches.recv().await.expect("a batch");
        assert_eq!(batch.accounts.len(), 1);
        batch.accounts.remove(0)
    }

    fn errors(&self) -> f64 {
        self.registry.gather()[0].get_metric()[0].get_counter().get_value()
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_is_told_when_it_asks_and_forgotten_when_its_last_proxy_is_gone() {
    let mut world = world();
    let (gateway, same) = (world.accounts.of(account("gw")), world.accounts.of(account("gw")));
    assert!(Arc::ptr_eq(&gateway, &same), "proxies of one account share it");
    world.accounts.ask(&gateway, "kubernetes://tls");
    world.accounts.ask(&gateway, "kubernetes://tls-cacert");
    assert_eq!(
        world.said().await,
        (account("gw"), Some(Access::Denied)),
        "what needs no leave comes at once"
    );
    assert_eq!(world.said().await, (account("gw"), Some(Access::Granted)));
    let before = Instant::now();
    drop(gateway);
    tokio::time::sleep(GRANTED * 3).await;
    assert!(world.batches.try_recv().is_err(), "the same answer again is no news");
    drop(same);
    assert_eq!(world.said().await, (account("gw"), None));
    assert!(before.elapsed() >= GRANTED * 3);
    let again = world.accounts.of(account("gw"));
    world.accounts.ask(&again, "kubernetes://tls");
    assert_eq!(
        world.said().await,
        (account("gw"), Some(Access::Denied)),
        "who comes back is asked about again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_and_not_there_is_counted_once_the_account_is_judged() {
    let mut world = world();
    let gateway = world.accounts.of(account("gw"));
    world.accounts.ask(&gateway, "kubernetes://tls");
    world.said().await;
    world.said().await;
    assert!(world.errors() < 0.5, "the first question is no error");
    world.accounts.ask(&gateway, "kubernetes://none");
    assert!((world.errors() - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn accounts_that_never_ask_are_not_kept() {
    let registry = Registry::new();
    let (accounts, _asked) = Accounts::register(&registry).expect("a metric");
    for n in 0..SWEEP * 4 {
        drop(accounts.of(account(&format!("a{n}"))));
    }
    assert!(accounts.lock().len() <= SWEEP, "{}", accounts.lock().len());
}

#[test]
fn each_way_of_asking_for_too_much_is_told_in_its_own_words() {
    let why = |name: &str, access| refusal(&account("gw"), name, access);
    assert_eq!(why("kubernetes://tls", Access::Granted), None);
    assert_eq!(why("kubernetes://edge/tls", Access::Granted), None);
    assert_eq!(why("kubernetes://tls-cacert", Access::Denied), None, "roots need no leave");
    assert_eq!(why("configmap://other/roots", Access::Denied), None);
    assert_eq!(why("invalid://edge/tls", Access::Denied), None, "meant to stay without an answer");
    assert!(why("kubernetes://tls", Access::Denied).is_some_and(|why| why.contains("`list` on secrets")));
    assert!(
        why("kubernetes://other/tls", Access::Granted).is_some_and(|why| why.contains("another namespace"))
    );
    assert!(why("default", Access::Granted).is_some_and(|why| why.contains("no name")));
}
