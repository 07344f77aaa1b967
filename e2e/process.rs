//! One started program: its log is kept in a file, and it never outlives its owner.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::wait::{PATIENCE, within};

/// A running program whose output goes to a log file; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `command` with both outputs appended to the file `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child: Mutex::new(child) })
    }

    /// What the program has written so far.
    pub(crate) fn log(&self) -> Result<String> {
        let text = fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Fails, with the end of the log, if the program is no longer running.
    pub(crate) fn alive(&self) -> Result<()> {
        let ended = self.lock().try_wait()?;
        if let Some(status) = ended {
            bail!("{} ended with {status}; its log ends:\n{}", self.name, tail(&self.log()?, 30));
        }
        Ok(())
    }

    /// Kills the program with all that it has started, and waits for its end.
    pub(crate) fn stop(&self) {
        let mut child = self.lock();
        if matches!(child.try_wait(), Ok(None)) {
            // It leads a group of its own; where that is gone already there is nothing to kill.
            let _ = run(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]));
        }
        // Both fail only if it has ended and been reaped already, which is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Asks the program to end (SIGTERM) and waits until it has; an error unless it then says that all was well.
    pub(crate) fn terminate(&self) -> Result<()> {
        let id = self.lock().id().to_string();
        run(Command::new("kill").args(["-TERM", &id]))?;
        let status = within(PATIENCE, &format!("{} to end", self.name), || Ok(self.lock().try_wait()?))?;
        if !status.success() {
            bail!("{} ended with {status}; its log ends:\n{}", self.name, tail(&self.log()?, 30));
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Runs a short command to its end; its error output becomes the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    run_with_input(command, "")
}

/// [`run`] with `input` on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    Ok(run_and_listen(command, input)?.printed)
}

/// What a command that succeeded left.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its output.
    pub(crate) printed: String,
    /// Its error output.
    pub(crate) said: String,
}

/// [`run_with_input`] for whoever wants to know what it said although it succeeded.
pub(crate) fn run_and_listen(command: &mut Command, input: &str) -> Result<Output> {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input says why in its own output.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let program = command.get_program().to_string_lossy();
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("{program} {}: {}\n{}", arguments.join(" "), output.status, said.trim());
    }
    Ok(Output { printed: String::from_utf8_lossy(&output.stdout).into_owned(), said })
}
