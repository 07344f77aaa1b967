//! The socket's owner, mode and end.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;

use super::{SocketError, open};

#[tokio::test]
async fn is_private_and_gone_at_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("run/sds");
    let (socket, _listener) = open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("sds");
    drop(StdListener::bind(&path).unwrap());
    let (_socket, _listener) = open(&path).unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn a_living_one_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("sds");
    let (_socket, _listener) = open(&path).unwrap();
    assert!(matches!(open(&path), Err(SocketError::InUse { .. })));

    let foreign = temp.path().join("foreign");
    let _server = StdListener::bind(&foreign).unwrap();
    assert!(matches!(open(&foreign), Err(SocketError::InUse { .. })));
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("file");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(open(&path), Err(SocketError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let long = temp.path().join("x".repeat(120));
    assert!(matches!(open(&long), Err(SocketError::TooLong { .. })));
}

#[tokio::test]
async fn a_successor_keeps_its_socket() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("sds");
    let (socket, _listener) = open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = StdListener::bind(&path).unwrap();
    drop(socket);
    assert!(path.exists());
}
