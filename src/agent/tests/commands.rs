//! The built program: what it prints, and how it refuses.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

/// Runs the program with arguments.
fn agent(arguments: &[&str]) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse-agent"));
    command.args(arguments).env_clear();
    command.output()
}

#[test]
fn rules_are_printed_for_each_family() -> io::Result<()> {
    let print = |arguments: &[&str]| {
        let output = agent(arguments)?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        io::Result::Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (v4, v6) = (print(&["redirect-rules"])?, print(&["redirect-rules", "--ipv6"])?);
    assert!(v4.contains("127.0.0.6/32") && !v4.contains("::6/128"), "{v4}");
    assert!(v6.contains("::6/128") && !v6.contains("127.0.0.6/32"), "{v6}");
    Ok(())
}

#[test]
fn a_flag_that_is_missing_is_named() -> io::Result<()> {
    for (arguments, missing) in [(&[][..], "--sds-only"), (&["--sds-only"][..], "--namespace")] {
        let output = agent(arguments)?;
        assert!(!output.status.success() && output.stdout.is_empty());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains(missing), "{words}");
    }
    Ok(())
}

/// What a process may leave of its memory when it dies.
fn core_limit(process: &str) -> io::Result<String> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    line.map(str::to_owned).ok_or_else(|| io::Error::other("no such limit"))
}

#[test]
fn an_agent_that_dies_leaves_no_key_behind_unless_it_is_told_to() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let of_those = |allow: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse-agent"));
        command.args(["--sds-only", "--namespace", "shop", "--service-account", "web"]).args(allow);
        // Nobody is there to ask, which it soon says.
        command.args(["--ca-address", "127.0.0.1:1", "--token"]).arg(folder.path().join("none"));
        command.arg("--socket").arg(folder.path().join("socket")).env_clear().stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let log = child.stderr.take().ok_or_else(|| io::Error::other("no log"))?;
        let first = BufReader::new(log).lines().next();
        let limit = core_limit(&child.id().to_string());
        child.kill()?;
        child.wait()?;
        assert!(first.is_some_and(|line| line.is_ok()));
        limit
    };
    let words: Vec<String> = of_those(&[])?.split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["Max", "core", "file", "size", "0", "0", "bytes"]);
    assert_eq!(of_those(&["--core-dumps"])?, core_limit("self")?);
    Ok(())
}
