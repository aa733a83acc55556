//! What a run shows while it goes on: on a terminal the rows that conflict, below the line that is replaced in place.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "it is all test code")]

mod common;

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use common::command;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What the command writes to standard error, where that is a terminal of 100 columns.
fn on_a_terminal(args: &[&str]) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
    let mut run = command(args).env("TERM", "xterm").stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    let (mut screen, mut shown, mut part) = (File::from(ours), Vec::new(), [0; 4096]);
    // It ends with an error once nobody has the other end any more.
    while let Ok(read @ 1..) = screen.read(&mut part) {
        shown.extend_from_slice(&part[..read]);
    }
    assert_eq!(run.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn hot_rows_are_drawn_below_the_live_line() {
    let shown = on_a_terminal(&[
        "bench",
        "counter",
        "--by",
        "read-modify-write",
        "--writers",
        "4",
        "--seconds",
        "1.5",
        "--durability",
        "deferred",
    ]);
    for part in ["attempts per commit", "write-write", "hot row", "lost over it", "counter"] {
        assert!(shown.contains(part), "{part} in {shown:?}");
    }
    assert!(shown.contains("\u{1b}["), "it is replaced in place: {shown:?}");
}

#[test]
fn a_run_without_conflicts_has_no_table() {
    let shown = on_a_terminal(&["bench", "long-reader", "--seconds", "0.8", "--row-store", "1"]);
    assert!(shown.contains("(a reader)") && !shown.contains("hot row"), "{shown:?}");
}
