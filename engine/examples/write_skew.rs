//! Write skew: two transactions read the same rows and write different ones, and together they break a rule that each of
//! them has kept. At `Snapshot` that happens; at `Serializable` the second one is `Busy`, begins anew and sees the first.

use braid::{
    Admission, ConflictKind, Database, Error, Isolation, JournalMode, Result, RetryPolicy, Snapshot, Table,
    Transaction, TransactionOptions,
};

fn options(isolation: Isolation) -> TransactionOptions {
    TransactionOptions { admission: Admission::Concurrent, isolation, ..TransactionOptions::default() }
}

fn on_call(snapshot: &Snapshot, doctors: &Table) -> Result<usize> {
    snapshot.scan(doctors)?.try_fold(0, |sum, row| Ok(sum + usize::from(row?.1 == b"on call")))
}

/// The rule: somebody stays. Whether this doctor may go.
fn go_home(tx: &mut Transaction, doctors: &Table, name: &str) -> Result<bool> {
    if on_call(tx, doctors)? < 2 {
        return Ok(false);
    }
    tx.put(doctors, name, "at home")?;
    Ok(true)
}

/// Ann and Bob go at the same time; what comes of Bob's commit, which is the second.
fn both_go(db: &Database, doctors: &Table, isolation: Isolation) -> Result<()> {
    for name in ["ann", "bob"] {
        db.put(doctors, name, "on call")?;
    }
    let (mut ann, mut bob) = (db.begin_with(options(isolation))?, db.begin_with(options(isolation))?);
    assert!(go_home(&mut ann, doctors, "ann")?, "she sees Bob");
    assert!(go_home(&mut bob, doctors, "bob")?, "he sees Ann");
    ann.commit()?;
    bob.commit().map(drop)
}

/// Bob goes while somebody changes the news, which he reads on the way.
fn go_past_the_news(db: &Database, (doctors, news): (&Table, &Table), tracked: bool) -> Result<()> {
    db.put(doctors, "ann", "on call")?;
    let mut tx = db.begin_with(options(Isolation::Serializable))?;
    let read = if tracked { tx.get(news, "today")? } else { tx.get_untracked(news, "today")? };
    assert!(read.is_some());
    assert!(go_home(&mut tx, doctors, "bob")?);
    db.put(news, "today", "rain")?;
    tx.commit().map(drop)
}

fn kind(lost: Result<()>) -> Option<ConflictKind> {
    lost.err().as_ref().and_then(Error::conflict).map(|conflict| conflict.kind)
}

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let (doctors, news) = (db.table("doctors")?, db.table("news")?);

    both_go(&db, &doctors, Isolation::Snapshot)?;
    println!("Snapshot: both go, {} on call", on_call(&db.snapshot()?, &doctors)?);
    assert_eq!(on_call(&db.snapshot()?, &doctors)?, 0, "nobody stays");

    let lost = both_go(&db, &doctors, Isolation::Serializable);
    println!("Serializable: {}", lost.as_ref().map_or_else(ToString::to_string, |()| "both go".into()));
    assert_eq!(kind(lost), Some(ConflictKind::Range), "the rows that he has scanned are others now");
    assert_eq!(on_call(&db.snapshot()?, &doctors)?, 1);

    // A runner begins anew after that, and Bob finds that he has to stay.
    let policy = RetryPolicy { transaction: options(Isolation::Serializable), ..RetryPolicy::default() };
    let policy = policy.name("go home");
    db.put(&doctors, "ann", "on call")?;
    let mut ann_goes = true;
    let outcome = db.transact_with(policy, |tx| {
        let may_go = go_home(tx, &doctors, "bob")?;
        if std::mem::take(&mut ann_goes) {
            db.put(&doctors, "ann", "at home")?;
        }
        Ok(may_go)
    })?;
    println!("by `transact`: {} attempts, and Bob stays", outcome.attempts);
    assert!(!outcome.value && outcome.attempts == 2);

    // The news is in no rule. Read as everything else is, it costs Bob his commit; untracked, it does not.
    db.put(&news, "today", "sun")?;
    let lost = kind(go_past_the_news(&db, (&doctors, &news), true));
    assert_eq!(lost, Some(ConflictKind::ReadWrite));
    go_past_the_news(&db, (&doctors, &news), false)?;
    println!("past the news: {lost:?} by `get`, committed by `get_untracked`");
    assert_eq!(on_call(&db.snapshot()?, &doctors)?, 1);

    // Who lost what, over which rows.
    let report = db.stats().conflicts;
    for hot in &report.hot_keys {
        println!("lost over {} {}: {}", hot.table, String::from_utf8_lossy(&hot.key), hot.count);
    }
    for names in &report.names {
        println!("lost by {}: {}", names.name.as_deref().unwrap_or("others"), names.conflicts);
    }
    assert_eq!((report.kinds.range, report.kinds.read_write, report.kinds.total()), (2, 1, 3));
    assert_eq!(report.absorbed, 1, "the runner made up for one");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}
