//! A process mark is stale in a fork of the process, and nowhere else.
//!
//! Alone in its binary: a fork holds what its parent has open until it ends, and that would disturb tests of locks.
#![cfg(all(unix, not(miri)))]
#![expect(unsafe_code, reason = "a real fork")]

use braid_vfs::ProcessMark;

#[test]
fn a_fork_makes_marks_stale() {
    let mark = ProcessMark::current();
    assert!(mark.is_current());
    assert_eq!(mark, ProcessMark::current());

    let status = std::process::Command::new("true").status().unwrap();
    assert!(status.success());
    assert!(mark.is_current(), "starting a program is no fork that goes on in this one");

    // SAFETY:
    // 1. Between fork and exit the child runs only loads of atomics and `_exit`, which are async-signal-safe: the
    //    hook is installed already, so `current` takes no lock that another thread could have held.
    // 2. `waitpid` gets the id of this process's own child and a place for one `c_int`.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            let stale = !mark.is_current();
            let own = ProcessMark::current().is_current();
            libc::_exit(if stale && own { 17 } else { 1 });
        }
        assert!(child > 0, "fork failed");
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        status
    };
    assert!(libc::WIFEXITED(status));
    assert_eq!(libc::WEXITSTATUS(status), 17);
    assert!(mark.is_current(), "the parent is what it was");
}
