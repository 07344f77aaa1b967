//! A process that forbids core dumps; in a test of its own, since it is for good.

use nix::sys::prctl::get_dumpable;
use nix::sys::resource::{Resource, getrlimit};

#[test]
fn neither_the_limit_nor_the_kernel_lets_memory_out() {
    ca::cores::forbid().unwrap();
    assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    assert!(!get_dumpable().unwrap());
    // What metrics read of their own process.
    for file in ["stat", "limits"] {
        assert!(!std::fs::read_to_string(format!("/proc/self/{file}")).unwrap().is_empty());
    }
    assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() > 2);
}
