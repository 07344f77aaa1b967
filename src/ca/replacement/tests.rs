//! Stages, what they wait for, and how they are kept.

use super::*;
use crate::Kept;

const PACE: Pace = Pace { distribute: Duration::from_secs(120), longest_life: Duration::from_secs(3600) };

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn root() -> Root {
    Root::generate("t", at(0)).unwrap()
}

fn begun() -> Replacement {
    Replacement::begin(root().cert_pem(), &root(), at(0))
}

#[test]
fn nothing_is_signed_before_the_time_nor_before_every_proxy_has_both() {
    let this = begun();
    let all = Confirmed { asked: 3, have: 3 };
    let left = |seconds| Err(Waiting::For(Duration::from_secs(seconds)));
    assert_eq!(this.may_go_on(PACE, all, at(119)), left(1), "who confirms nothing needs time");
    assert_eq!(this.may_go_on(PACE, all, at(120)), Ok(()));
    let some = Confirmed { asked: 3, have: 1 };
    assert_eq!(this.may_go_on(PACE, some, at(3599)), Err(Waiting::Proxies(2)));
    assert_eq!(this.may_go_on(PACE, some, at(3600)), Ok(()), "no certificate is left of before");
    assert_eq!(this.may_go_on(PACE, Confirmed::default(), at(120)), Ok(()));
}

#[test]
fn the_old_root_goes_when_all_that_it_signed_has_ended() {
    let this = begun().signing(at(1000));
    let some = Confirmed { asked: 5, have: 0 };
    assert_eq!(this.may_go_on(PACE, some, at(4599)), Err(Waiting::For(Duration::from_secs(1))));
    assert_eq!(this.may_go_on(PACE, some, at(4600)), Ok(()), "what came last does not hold it up");
    assert_eq!(
        this.may_go_on(PACE, some, at(0)),
        Err(Waiting::For(PACE.longest_life)),
        "a clock that goes back does"
    );
}

#[test]
fn it_is_kept_as_text_with_the_key_only_as_long_as_that_is_needed() {
    let (this, later) = (begun(), begun().signing(at(7)));
    let text = this.write().unwrap();
    assert!(text.contains("PRIVATE KEY") && !format!("{this:?}").contains("PRIVATE"));
    assert_eq!(Replacement::read(&text).unwrap(), this);
    let text = later.write().unwrap();
    assert!(!text.contains("PRIVATE KEY"));
    assert_eq!(Replacement::read(&text).unwrap(), later);
}

#[test]
fn what_cannot_be_gone_on_with_is_refused() {
    let (this, other) = (begun().write().unwrap(), begun());
    let key = other.key.clone().unwrap();
    let mine = Replacement::read(&this).unwrap().key.unwrap();
    let json = |key: &str| serde_json::to_string(key).unwrap();
    for (text, problem) in [
        (this.replace("distributing", "dancing"), "in a stage that this version does not know"),
        (this.replace(&json(&mine), &json(&key)), "private key: is not the key"),
        (this.replace(&json(&mine), "null"), "lacks the new key"),
        (this.replace("BEGIN CERTIFICATE", "BEGIN NOTHING"), "trust anchors: "),
        (String::from("[]"), "is not one that this program wrote"),
    ] {
        let error = Replacement::read(&text).unwrap_err().to_string();
        assert!(error.contains(problem) && !error.contains("PRIVATE"), "{error}");
    }
}

#[test]
fn a_replacement_is_read_with_what_is_kept() {
    let kept = Kept::of(&root()).begin(crate::Fresh::default(), at(0)).unwrap();
    let text = kept.replacement.as_ref().unwrap().write().unwrap();
    let read = Kept::read(kept.cert_pem.clone(), kept.key_pem.clone(), Some(&text)).unwrap();
    assert_eq!(read, kept);
    assert_eq!(Kept::read(kept.cert_pem, kept.key_pem, Some("")).unwrap().replacement, None);
}
