//! Waits for conditions with a deadline, so that no test needs a guessed pause.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// The deadline that tests use unless they have a reason for another.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at a condition that offers no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks `condition` again and again until it gives a value.
///
/// `what` names the awaited thing in the error. `condition` answers `Ok(Some(value))` when done, `Ok(None)` or an
/// error when not yet; the last error is part of the message when `limit` has passed.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match condition() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            return Err(match last {
                Some(error) => error.context(format!("after {limit:?} still waiting for: {what}")),
                None => anyhow!("after {limit:?} still waiting for: {what}"),
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// [`within`] the usual deadline, for conditions that are only true or false.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    within(PATIENCE, what, || Ok(condition()?.then_some(())))
}

/// [`wait_until`], but at once over with the error of `alive` when that fails: a program that has ended will not get
/// ready.
pub(crate) fn wait_while(
    alive: impl Fn() -> Result<()>,
    what: &str,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    within(PATIENCE, what, || match alive() {
        Err(dead) => Ok(Some(Err(dead))),
        Ok(()) => Ok(condition()?.then_some(Ok(()))),
    })?
}
