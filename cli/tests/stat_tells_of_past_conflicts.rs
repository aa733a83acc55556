//! `braid stat` tells what the last session with conflicts has left in the file.

mod common;

use braid::{Database, JournalMode, RetryPolicy, TransactionOptions};
use common::{Folder, braid};

/// Loses so often over a row whose key is no text.
fn lose(path: &str, times: u32) -> braid::Result<()> {
    let db = Database::open(path)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let rows = db.table("orders")?;
    let mut attempts = 0;
    db.transact_with(RetryPolicy::without_backoff().never_exclusive().name("import"), |tx| {
        attempts += 1;
        tx.put(&rows, b"\x1b[2J", "own")?;
        if attempts <= times {
            db.put(&rows, b"\x1b[2J", "rival")?;
        }
        Ok(())
    })?;
    let mut late = db.begin_concurrent()?;
    late.add(&rows, "count", 1)?;
    db.add(&rows, "count", 1)?;
    late.commit()?;
    db.close()?;
    Ok(())
}

#[test]
fn hot_rows_are_shown_after_the_close_and_until_the_next_conflict() {
    let folder = Folder::new();
    let path = folder.arg("db");
    Database::open(&path).unwrap().close().unwrap();
    let quiet = braid(&["stat", &path]).code(0).stdout;
    assert!(!quiet.contains("conflicts"), "{quiet}");
    assert!(braid(&["stat", &path, "--json"]).code(0).json()["past_conflicts"].is_null());

    lose(&path, 3).unwrap();
    for _ in 0..2 {
        let stat = braid(&["stat", &path]).code(0).stdout;
        for part in ["the last session with conflicts", "3 write-write", "orders", "0x1b5b324a", "1 absorbed"]
        {
            assert!(stat.contains(part), "{part} in {stat}");
        }
        assert!(!stat.contains('\u{1b}'));
        let past = braid(&["stat", &path, "--json"]).code(0).json()["past_conflicts"].clone();
        assert_eq!((&past["write_write"], &past["absorbed"]), (&3.into(), &3.into()));
        assert_eq!(past["hot_keys"][0]["count"], 3);
        assert_eq!(past["updates"]["made"], 2);
        assert_eq!(past["names"][0]["name"], "import");
        // A session without any does not take it away.
        braid(&["compact", &path]).code(0);
    }

    lose(&path, 1).unwrap();
    assert_eq!(braid(&["stat", &path, "--json"]).code(0).json()["past_conflicts"]["write_write"], 1);
    // A backup is a file of its own, and knows nothing of it.
    let copy = folder.arg("copy");
    braid(&["backup", &path, &copy]).code(0);
    assert!(braid(&["stat", &copy, "--json"]).code(0).json()["past_conflicts"].is_null());
}

#[test]
fn remembered_tokens_are_counted_in_the_file() {
    let folder = Folder::new();
    let path = folder.arg("db");
    let commit = || -> braid::Result<()> {
        let db = Database::open(&path)?;
        for request in ["one", "other"] {
            db.begin_with(TransactionOptions::default().token(request))?.commit()?;
        }
        db.close()?;
        Ok(())
    };
    commit().unwrap();
    assert_eq!(braid(&["stat", &path]).code(0).fact("remembered tokens"), "2");
    assert_eq!(braid(&["stat", &path, "--json"]).code(0).json()["remembered_tokens"], 2);
}
