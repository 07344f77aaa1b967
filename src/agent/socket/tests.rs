//! The socket's owner, mode and end.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;

use super::{Socket, SocketError};

fn open(path: &std::path::Path) -> Result<(Socket, tokio::net::UnixListener), SocketError> {
    super::open(path).map(|opened| opened.expect("nobody else is there"))
}

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
}

#[tokio::test]
async fn one_of_another_make_is_left_alone_while_it_answers() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("foreign");
    let server = StdListener::bind(&path).unwrap();
    assert!(super::open(&path).unwrap().is_none());
    // Where nothing can be written, too.
    std::fs::remove_file(temp.path().join("foreign.lock")).unwrap();
    std::fs::create_dir(temp.path().join("foreign.lock")).unwrap();
    assert!(super::open(&path).unwrap().is_none());
    std::fs::remove_dir(temp.path().join("foreign.lock")).unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(server);
    open(&path).unwrap();
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
