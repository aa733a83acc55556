//! In every mode, durability and way to open the file, transfers neither make nor lose money, and the report says so.

mod common;

use common::{Folder, braid, command, finish};

#[test]
fn in_every_mode() {
    let folder = Folder::new();
    for mode in ["wal", "mvcc"] {
        for durability in ["sync", "deferred"] {
            for handles in ["shared", "separate"] {
                let path = folder.arg(&format!("{mode}-{durability}-{handles}.braid"));
                let run = braid(&[
                    "bench",
                    "bank",
                    &path,
                    "--accounts",
                    "20",
                    "--writers",
                    "4",
                    "--seconds",
                    "0.3",
                    "--mode",
                    mode,
                    "--durability",
                    durability,
                    "--handles",
                    handles,
                    "--json",
                ])
                .code(0);
                let report = run.json();
                assert_eq!(report["total"]["conserved"], true, "{report}");
                assert_eq!(report["total"]["expected"], 20_000, "{report}");
                assert_eq!(report["total"]["reopened"], 20_000, "{report}");
                assert_eq!(report["given_up"], 0, "{report}");
                let (commits, attempts) =
                    (report["commits"].as_u64().unwrap(), report["attempts"].as_u64().unwrap());
                assert!(commits > 0 && attempts >= commits, "{report}");
                if mode == "wal" {
                    assert_eq!(attempts, commits, "a writer that waits for its turn never loses: {report}");
                }
            }
        }
    }
}

#[test]
fn on_two_accounts_that_everybody_fights_over() {
    let run =
        braid(&["bench", "bank", "--accounts", "2", "--writers", "16", "--seconds", "0.5", "--json"]).code(0);
    let report = run.json();
    assert!(report["attempts"].as_u64() > report["commits"].as_u64(), "there were conflicts: {report}");
    assert_eq!(report["given_up"], 0, "nobody starves: {report}");
}

#[test]
fn a_bank_goes_on_and_a_temporary_one_is_removed() {
    let folder = Folder::new();
    let path = folder.arg("bank.braid");
    let first = braid(&["bench", "bank", &path, "--accounts", "50", "--seconds", "0.1"]).code(0);
    assert!(first.stdout.starts_with("50 accounts, 8 writers, mode mvcc"), "{first:?}");
    assert_eq!(first.fact("total"), "conserved: 50,000 before, after, and after reopening");
    let second = braid(&["bench", "bank", &path, "--seconds", "0.1", "--mode", "wal"]).code(0);
    assert!(second.stdout.starts_with("50 accounts, 8 writers, mode wal"), "{second:?}");

    let temporary = Folder::new();
    let mut run = command(&["bench", "bank", "--accounts", "50", "--seconds", "0.1"]);
    finish(run.env("TMPDIR", temporary.path("")).output().unwrap()).code(0);
    assert_eq!(temporary.names(), Vec::<String>::new());
}
