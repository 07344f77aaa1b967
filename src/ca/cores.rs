//! What is left of a process that dies: never its memory, which holds private keys.

use std::io;

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Keeps this process, and all that it starts, from leaving its memory in a core dump.
///
/// The limit alone would not do: the kernel does not look at it where it hands the memory to a program (`core_pattern` with
/// `|`), as most distributions have it. What is not dumpable is handed to nobody, and nobody of the same user may look at its
/// memory either, which a sidecar's agent shares a machine with. The price is that most of `/proc/PID` belongs to root then:
/// debuggers and profilers need `CAP_SYS_PTRACE`. What a process reads of itself for its metrics stays readable.
///
/// # Errors
/// The system does not allow it.
pub fn forbid() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(set_dumpable(false)?)
}
