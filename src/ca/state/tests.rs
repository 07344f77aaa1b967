//! Starts after, beside and in the midst of each other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{CERT_FILE, KEY_FILE, load, load_or_create};

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
    assert!(load(dir, now()).unwrap_err().to_string().contains("holds no root"));

    let root = load_or_create(dir, "t", now()).unwrap();
    let key = fs::read(dir.join(KEY_FILE)).unwrap();

    fs::set_permissions(dir.join(KEY_FILE), Permissions::from_mode(0o640)).unwrap();
    assert!(error().contains("ca-key.pem: the root's key is open to others (mode 0640); chmod 600"));
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
