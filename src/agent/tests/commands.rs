//! The built program: what it prints, and how it refuses.

use std::io;
use std::process::{Command, Output};

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
