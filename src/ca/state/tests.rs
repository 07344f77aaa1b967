//! Starts after, beside and in the midst of each other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{
    CERT_FILE, KEY_FILE, REPLACEMENT_FILE, TOKEN_KEY_FILE, change, kept_or_create, load, load_or_create,
    token_key, trusted,
};
use crate::{Fresh, Kept, Renewal};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_second_start_finds_the_first_root() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("a/b");
    let first = load_or_create(&dir, "cluster.local", now()).unwrap();
    let second = load_or_create(&dir, "other", now()).unwrap();
    assert_eq!(first.cert_pem(), second.cert_pem());
    assert_eq!(load(&dir, now()).unwrap().cert_pem(), first.cert_pem());
    assert_eq!((mode(&dir), mode(&dir.join(KEY_FILE))), (0o700, 0o600));
}

#[test]
fn processes_that_start_at_once_agree() {
    let temp = tempfile::tempdir().unwrap();
    let roots: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load_or_create(temp.path(), "t", now()).unwrap().cert_pem().to_owned()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(roots.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn a_start_that_died_after_the_key_is_completed() {
    let temp = tempfile::tempdir().unwrap();
    load_or_create(temp.path(), "t", now()).unwrap();
    let key = fs::read(temp.path().join(KEY_FILE)).unwrap();
    fs::remove_file(temp.path().join(CERT_FILE)).unwrap();
    fs::write(temp.path().join(".root-cert.pem.new"), "half").unwrap();
    load_or_create(temp.path(), "t", now()).unwrap();
    assert_eq!(fs::read(temp.path().join(KEY_FILE)).unwrap(), key);
    load(temp.path(), now()).unwrap();
}

#[test]
fn what_is_wrong_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let error = || load_or_create(dir, "t", now()).unwrap_err().to_string();
    fs::create_dir_all(dir).unwrap();
    assert!(load(dir, now()).unwrap_err().to_string().contains("holds no root"));

    let root = load_or_create(dir, "t", now()).unwrap();
    let key = fs::read(dir.join(KEY_FILE)).unwrap();

    fs::set_permissions(dir.join(KEY_FILE), Permissions::from_mode(0o640)).unwrap();
    assert!(error().contains("ca-key.pem: the key is open to others (mode 0640); chmod 600"));
    fs::set_permissions(dir.join(KEY_FILE), Permissions::from_mode(0o600)).unwrap();

    fs::set_permissions(dir, Permissions::from_mode(0o770)).unwrap();
    assert!(error().contains("can be written by others (mode 0770); chmod 700"));
    fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();

    fs::remove_file(dir.join(KEY_FILE)).unwrap();
    assert!(error().contains("ca-key.pem: is missing, but root-cert.pem is there"));

    let other = tempfile::tempdir().unwrap();
    load_or_create(other.path(), "t", now()).unwrap();
    fs::copy(other.path().join(KEY_FILE), dir.join(KEY_FILE)).unwrap();
    assert!(error().contains("ca-key.pem: private key is not the key of the first certificate"));

    fs::write(dir.join(KEY_FILE), &key).unwrap();
    fs::write(dir.join(CERT_FILE), "nothing").unwrap();
    assert!(error().contains("root-cert.pem: certificate chain has no CERTIFICATE block"));

    fs::write(dir.join(CERT_FILE), root.cert_pem()).unwrap();
    let late = load_or_create(dir, "t", root.not_after()).unwrap_err().to_string();
    assert!(late.contains("expired at") && late.contains("empty the state folder"), "{late}");
}

#[test]
fn a_root_that_is_due_is_renewed_once_for_all_processes() {
    let temp = tempfile::tempdir().unwrap();
    let old = load_or_create(temp.path(), "t", now()).unwrap();
    let look = |now| change(temp.path(), now, |kept| Renewal::default().renewed(kept, "t", now)).unwrap();
    assert_eq!(look(now()).cert_pem, old.cert_pem());
    let late = old.not_after() - Duration::from_secs(24 * 3600);
    let new = look(late);
    assert_ne!(new.cert_pem, old.cert_pem());
    assert_eq!(new.key_pem, old.expose_key_pem());
    assert_eq!(look(late), new, "the same for others");
    assert_eq!(load(temp.path(), late).unwrap().cert_pem(), new.cert_pem);
    assert_eq!(mode(&temp.path().join(CERT_FILE)), 0o644);
}

#[test]
fn a_replacement_survives_the_process_in_each_stage() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let old = Kept::of(&load_or_create(dir, "t", now()).unwrap());
    let begun = change(dir, now(), |kept| kept.begin(Fresh::default(), now()).map(Some)).unwrap();
    assert_eq!(kept_or_create(dir, "t", Fresh::default(), now()).unwrap(), begun);
    assert_eq!(mode(&dir.join(REPLACEMENT_FILE)), 0o600);
    assert_eq!(load(dir, now()).unwrap().cert_pem(), old.cert_pem);
    assert_eq!(trusted(dir, now()).unwrap().matches("BEGIN").count(), 2);
    let signing = change(dir, now(), |kept| kept.advance(now()).map(Some)).unwrap();
    assert_eq!(kept_or_create(dir, "t", Fresh::default(), now()).unwrap(), signing);
    assert_ne!(load(dir, now()).unwrap().cert_pem(), old.cert_pem);
    assert!(!fs::read_to_string(dir.join(REPLACEMENT_FILE)).unwrap().contains("PRIVATE"));
    let done = change(dir, now(), |kept| kept.advance(now()).map(Some)).unwrap();
    assert_eq!(done.replacement, None);
    assert!(!dir.join(REPLACEMENT_FILE).exists());
    assert_eq!(trusted(dir, now()).unwrap(), signing.cert_pem);
}

/// Between the files of a change a process may end; what is there then is either the old root or becomes the new one.
#[test]
fn a_change_that_died_in_between_is_finished() {
    for written in [0, 1, 2] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        load_or_create(dir, "t", now()).unwrap();
        let begun = change(dir, now(), |kept| kept.begin(Fresh::default(), now()).map(Some)).unwrap();
        let next = begun.advance(now()).unwrap();
        for (name, text) in
            [(KEY_FILE, next.key_pem.as_str()), (CERT_FILE, &next.cert_pem)].iter().take(written)
        {
            fs::write(dir.join(name), text).unwrap();
        }
        let found = kept_or_create(dir, "t", Fresh::default(), now()).unwrap();
        assert_eq!(found, if written == 0 { begun } else { next }, "{written}");
        assert_eq!(trusted(dir, now()).unwrap().matches("BEGIN").count(), 2, "{written}");
    }
}

#[test]
fn a_replacement_that_cannot_be_read_is_named_without_its_key() {
    let temp = tempfile::tempdir().unwrap();
    load_or_create(temp.path(), "t", now()).unwrap();
    let file = temp.path().join(REPLACEMENT_FILE);
    fs::write(&file, "{\"stage\": \"PRIVATE\"").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let error = load(temp.path(), now()).unwrap_err().to_string();
    assert!(
        error.contains("root-replacement.json: replacement: is not one") && !error.contains("PRIVATE"),
        "{error}"
    );
}

#[test]
fn the_key_of_tokens_is_made_once_and_kept_from_others() {
    let temp = tempfile::tempdir().unwrap();
    let (file, read) = (temp.path().join(TOKEN_KEY_FILE), || token_key(temp.path()).map(|k| k.expose_pem()));
    let first = read().unwrap();
    assert_eq!((read().unwrap(), mode(&file)), (first, 0o600));
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(read().unwrap_err().to_string().contains("token-key.pem: the key is open to others"));
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "nonsense").unwrap();
    assert!(read().unwrap_err().to_string().contains("remove it to get a new one"));
}
