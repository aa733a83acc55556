//! A run that is killed in the middle leaves a bank whose total is conserved.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Folder, braid, command};

#[test]
fn again_and_again_on_the_same_file() {
    for durability in ["sync", "deferred"] {
        let folder = Folder::new();
        let path = folder.arg("bank.braid");
        for _ in 0..3 {
            let mut run = command(&[
                "bench",
                "bank",
                &path,
                "--writers",
                "4",
                "--seconds",
                "60",
                "--durability",
                durability,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
            // The first progress line: transfers are under way.
            let line = BufReader::new(run.stderr.take().unwrap()).lines().next().unwrap().unwrap();
            assert!(line.contains("commits/s"), "{line}");
            run.kill().unwrap();
            assert!(!run.wait().unwrap().success());
            braid(&["check", &path]).code(0);
        }
        let report = braid(&["bench", "bank", &path, "--seconds", "0.1", "--json"]).code(0).json();
        assert_eq!(report["total"]["expected"], 10_000_000, "{report}");
        assert_eq!(report["total"]["conserved"], true, "{report}");
    }
}
