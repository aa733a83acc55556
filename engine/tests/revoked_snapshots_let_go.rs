//! Snapshots that are over a limit are revoked: what they kept is let go though nobody touches them, and who touches them
//! is told, and never shown a wrong row.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use braid::vfs::{Clock, Env, RealClock};
use braid::{
    Admission, Cursor, Database, Error, Isolation, JournalMode, Options, RetryPolicy, Snapshot, SnapshotLoss,
    SnapshotOptions, Table, Transaction, TransactionOptions,
};

const ROWS: u32 = 200;

/// With room enough that no checkpoint runs but those that are asked for.
fn roomy() -> Options {
    Options { row_store_bytes: 8 << 20, ..Options::default() }
}

/// Where whatever keeps anything from being freed is revoked by the next checkpoint.
fn strict() -> Options {
    Options { snapshot_max_pinned_bytes: Some(0), ..roomy() }
}

fn database(options: Options) -> (Database, Table) {
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    rewrite(&db, &table, 0);
    db.checkpoint().unwrap();
    (db, table)
}

/// Writes every row anew: a short value, and a long one every tenth row.
fn rewrite(db: &Database, table: &Table, round: u8) {
    for row in 0..ROWS {
        let long = if row % 10 == 0 { 9000 } else { 50 };
        db.put(table, row.to_be_bytes(), vec![round; long]).unwrap();
    }
}

fn loss<T: std::fmt::Debug>(answer: Result<T, Error>) -> SnapshotLoss {
    match answer {
        Err(Error::BusySnapshot { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn is_lost<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    loss::<()>(Err(error));
}

/// Everything that can be asked of a snapshot is refused.
fn assert_refuses(snapshot: &Snapshot, table: &Table) {
    is_lost(snapshot.get(table, 0_u32.to_be_bytes()));
    is_lost(snapshot.get_with(table, 1_u32.to_be_bytes(), <[u8]>::len));
    is_lost(snapshot.contains(table, 9999_u32.to_be_bytes()));
    is_lost(snapshot.count(table));
    is_lost(snapshot.count_range(table, 1_u32.to_be_bytes()..));
    is_lost(snapshot.cursor(table));
    is_lost(snapshot.scan(table));
    is_lost(snapshot.range::<[u8; 4]>(table, ..));
}

fn writer(db: &Database, max_age: Option<Duration>) -> Transaction {
    let admission = Admission::Concurrent;
    db.begin_with(TransactionOptions { admission, max_age, ..TransactionOptions::default() }).unwrap()
}

/// What is kept from being freed, over all.
fn kept(db: &Database) -> u64 {
    let stats = db.stats();
    stats.row_store.pinned_bytes + stats.file.withheld_bytes
}

/// Nothing is kept any more. The checkpointer may look at the same moment, and holds what it looks at.
fn assert_nothing_is_kept(db: &Database) {
    let clock = Env::real().clock;
    while kept(db) > 0 {
        clock.sleep(Duration::from_millis(2));
        db.checkpoint().unwrap();
    }
}

#[test]
fn one_that_keeps_too_much_is_revoked_and_says_so() {
    let (db, table) = database(strict());
    let snapshot = db.snapshot_with(SnapshotOptions::default().name("report")).unwrap();
    let at = snapshot.timestamp();
    db.checkpoint().unwrap();
    assert_eq!(snapshot.count(&table).unwrap(), u64::from(ROWS), "it keeps nothing yet");
    rewrite(&db, &table, 1);
    db.checkpoint().unwrap();
    let error = snapshot.get(&table, 0_u32.to_be_bytes()).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("snapshot_max_pinned_bytes") && words.contains("begin a new one"), "{words}");
    let Error::BusySnapshot {
        begin_ts, why: SnapshotLoss::PinsTooMuch { pinned_bytes, limit: 0, .. }, ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(begin_ts == at && pinned_bytes > 0, "{words}");
    assert_refuses(&snapshot, &table);
    assert_refuses(&snapshot.clone(), &table);
    let stats = db.stats();
    assert_eq!((stats.open_snapshots, stats.pinned_bytes), (0, 0));
    assert!(stats.revoked_snapshots > 0);
    drop(snapshot);
    let again = db.snapshot().unwrap();
    assert_eq!(again.get(&table, 1_u32.to_be_bytes()).unwrap(), Some(vec![1; 50]));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn its_memory_and_pages_go_though_nobody_touches_it() {
    for limited in [true, false] {
        let (db, table) = database(if limited { strict() } else { roomy() });
        let snapshot = db.snapshot().unwrap();
        let mut cursor = db.snapshot().unwrap().cursor(&table).unwrap();
        assert!(cursor.next().unwrap());
        let mut range = db.snapshot().unwrap().scan(&table).unwrap();
        assert!(range.next().unwrap().is_ok() && range.next_back().unwrap().is_ok());
        let mut tx = writer(&db, None);
        tx.put(&table, "mine", "").unwrap();
        let mut walker = tx.cursor(&table).unwrap();
        assert!(walker.last().unwrap());
        for round in 1..4 {
            rewrite(&db, &table, round);
            db.checkpoint().unwrap();
        }
        if !limited {
            assert!(kept(&db) > 0, "without a limit they keep what they read");
            assert!(cursor.next().unwrap() && range.next().unwrap().is_ok() && walker.prev().unwrap());
            continue;
        }
        assert_nothing_is_kept(&db);
        assert_eq!(db.stats().row_store.history_bytes, 0);
        assert_refuses(&snapshot, &table);
        let stood_on = cursor.key().map(<[u8]>::to_vec);
        assert_eq!(stood_on.as_deref(), Some(&0_u32.to_be_bytes()[..]), "what it came to it keeps");
        let moves: [fn(&mut Cursor) -> braid::Result<bool>; 4] =
            [Cursor::next, Cursor::prev, Cursor::first, |cursor| cursor.seek_le(b"x")];
        for go in moves {
            is_lost(go(&mut cursor));
            is_lost(go(&mut walker));
        }
        is_lost(range.next().unwrap());
        assert!(range.next_back().is_none(), "after an error it is at its end");
        is_lost(tx.put(&table, "more", ""));
        is_lost(tx.get_untracked(&table, "mine"));
        is_lost(tx.untracked().count(&table));
        is_lost(tx.commit());
    }
}

#[test]
fn a_long_value_that_was_not_read_yet_is_refused() {
    let (db, table) = database(strict());
    let mut cursor = db.snapshot().unwrap().cursor(&table).unwrap();
    assert!(cursor.first().unwrap());
    rewrite(&db, &table, 1);
    db.checkpoint().unwrap();
    rewrite(&db, &table, 2);
    db.checkpoint().unwrap();
    is_lost(cursor.value());
    is_lost(cursor.row());
}

/// A clock that counts how often it is looked at.
#[derive(Debug, Default)]
struct CountingClock {
    clock: RealClock,
    looks: AtomicU64,
}

impl Clock for CountingClock {
    fn now(&self) -> Duration {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }

    fn now_coarse(&self) -> Duration {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.clock.now_coarse()
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }
}

/// Whoever looks after leases rests until one may be too old.
#[test]
fn an_age_that_is_far_off_is_not_looked_at_again_and_again() {
    let clock = Arc::new(CountingClock::default());
    let env = Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Env::in_memory() };
    let options = Options { snapshot_max_age: Some(Duration::from_secs(3600)), ..roomy() };
    let db = Database::open_in(env, "/db", options).unwrap();
    let table = db.table("t").unwrap();
    let held = db.snapshot().unwrap();
    rewrite(&db, &table, 1);
    db.checkpoint().unwrap();
    let before = clock.looks.load(Ordering::Relaxed);
    clock.sleep(Duration::from_millis(300));
    let looks = clock.looks.load(Ordering::Relaxed) - before;
    assert!(looks < 1000, "{looks} looks while nobody does anything");
    held.get(&table, "x").unwrap();
}

#[test]
fn age_is_looked_after_by_a_timer() {
    // Long enough for a thread that has to wait for its processor to begin and to write one row.
    let limit = Duration::from_millis(500);
    let clock = Env::real().clock;
    for all in [true, false] {
        let options = Options { snapshot_max_age: all.then_some(limit), ..Options::default() };
        let (db, table) = database(options);
        let own = if all { None } else { Some(limit) };
        // Whoever was slow while the rows were made was revoked, and tried again.
        let before = db.stats().revoked_snapshots;
        let began = clock.now();
        let snapshot = db.snapshot_with(SnapshotOptions { max_age: own, ..Default::default() }).unwrap();
        let tx = writer(&db, own);
        let open = db.stats().snapshots;
        assert!(open.iter().all(|one| one.max_age == Some(limit)), "{open:?}");
        assert!(open.len() == 2 || db.stats().revoked_snapshots > before, "{open:?}");
        while db.stats().revoked_snapshots < before + 2 {
            clock.sleep(Duration::from_millis(5));
        }
        assert!(clock.now() >= began + limit - Duration::from_millis(10), "it was revoked too early");
        let why = loss(snapshot.get(&table, "x"));
        assert!(
            matches!(why, SnapshotLoss::TooOld { age, limit: told, .. } if age >= limit && told == limit),
            "{why}"
        );
        assert!(why.to_string().contains("500ms"), "{why}");
        is_lost(tx.commit());
    }
}

#[test]
fn the_shorter_limit_is_its_own_and_none_is_none() {
    let options = Options { snapshot_max_age: Some(Duration::from_secs(3600)), ..Options::default() };
    let (db, table) = database(options);
    let short = db
        .snapshot_with(SnapshotOptions { max_age: Some(Duration::ZERO), name: Some("short".into()) })
        .unwrap();
    let long = db.snapshot().unwrap();
    db.checkpoint().unwrap();
    is_lost(short.count(&table));
    assert!(long.count(&table).is_ok());
    let (db, table) = database(Options::default());
    let unlimited = db.snapshot().unwrap();
    rewrite(&db, &table, 1);
    db.checkpoint().unwrap();
    assert_eq!(unlimited.get(&table, 1_u32.to_be_bytes()).unwrap(), Some(vec![0; 50]));
    assert_eq!(db.stats().revoked_snapshots, 0);
}

#[test]
fn the_oldest_goes_first_and_no_more_than_need_be() {
    let (db, table) = database(roomy());
    let mut shares = Vec::new();
    let mut open = Vec::new();
    for round in 1..4 {
        open.push(db.snapshot_with(SnapshotOptions::default().name(format!("{round}"))).unwrap());
        rewrite(&db, &table, round);
        db.checkpoint().unwrap();
    }
    for one in &db.stats().snapshots {
        assert!(one.pinned_bytes > 0, "{one:?}");
        shares.push(one.pinned_bytes);
    }
    let stats = db.stats();
    assert_eq!(stats.pinned_bytes, shares.iter().sum::<u64>(), "the shares are the whole");
    assert_eq!(stats.oldest_snapshot.unwrap().name.as_deref(), Some("1"));
    drop(open);

    // The same with room for the two younger ones.
    let room = shares[1] + shares[2] + shares[0] / 2;
    let (db, table) = database(Options { snapshot_max_pinned_bytes: Some(room), ..roomy() });
    let mut open = Vec::new();
    for round in 1..4 {
        open.push(db.snapshot_with(SnapshotOptions::default().name(format!("{round}"))).unwrap());
        rewrite(&db, &table, round);
        db.checkpoint().unwrap();
    }
    is_lost(open[0].count(&table));
    for (round, snapshot) in open.iter().enumerate().skip(1) {
        let found = snapshot.get(&table, 1_u32.to_be_bytes()).unwrap();
        assert_eq!(found, Some(vec![u8::try_from(round).unwrap(); 50]));
    }
    assert_eq!(db.stats().revoked_snapshots, 1);
}

#[test]
fn an_exclusive_transaction_and_a_backup_are_not_revoked() {
    let (db, table) = database(Options { snapshot_max_age: Some(Duration::ZERO), ..strict() });
    let mut tx = db.begin_immediate().unwrap();
    db.checkpoint().unwrap();
    assert_eq!(tx.get(&table, 1_u32.to_be_bytes()).unwrap(), Some(vec![0; 50]));
    tx.put(&table, "mine", "").unwrap();
    db.checkpoint().unwrap();
    tx.commit().unwrap();
    assert!(db.check().unwrap().is_ok());
    // A closure is tried anew until it is admitted alone.
    let outcome = db.transact_with(RetryPolicy { exclusive_after: 2, ..RetryPolicy::default() }, |tx| {
        let count = tx.count(&table)?;
        db.checkpoint()?;
        tx.put(&table, "count", count.to_be_bytes())
    });
    assert_eq!(outcome.unwrap().attempts, 3);
}

#[test]
fn a_revoked_writer_overwrites_nothing_and_holds_nobody_up() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let (db, table) = database(strict());
        let mut tx =
            db.begin_with(TransactionOptions { isolation, ..TransactionOptions::default() }).unwrap();
        assert!(tx.get(&table, 1_u32.to_be_bytes()).unwrap().is_some());
        tx.put(&table, 1_u32.to_be_bytes(), "mine").unwrap();
        rewrite(&db, &table, 1);
        db.checkpoint().unwrap();
        // Its history is gone, and it no longer counts as open.
        assert_eq!(db.stats().row_store.history_generations, 0);
        db.set_journal_mode(JournalMode::Wal).unwrap();
        let error = tx.commit().unwrap_err();
        assert!(
            matches!(error, Error::BusySnapshot { why: SnapshotLoss::PinsTooMuch { .. }, .. }),
            "{error}"
        );
        assert_eq!(db.get(&table, 1_u32.to_be_bytes()).unwrap(), Some(vec![1; 50]));
        assert!(db.stats().conflicts.kinds.snapshot > 0);
    }
}

/// Readers that are begun and forgotten, one after each rewrite: with a limit, neither memory nor file grows with them.
#[test]
fn forgotten_readers_cost_a_bounded_share() {
    let run = |limit: Option<u64>| {
        let (db, table) = database(Options { snapshot_max_pinned_bytes: limit, ..roomy() });
        let mut forgotten = Vec::new();
        let mut sizes = Vec::new();
        for round in 0..40 {
            forgotten.push(db.snapshot().unwrap());
            rewrite(&db, &table, round);
            db.checkpoint().unwrap();
            let stats = db.stats();
            assert!(limit.is_none_or(|limit| stats.pinned_bytes <= limit), "{}", stats.pinned_bytes);
            sizes.push((stats.file.bytes, stats.row_store.pinned_bytes));
        }
        let open = forgotten.iter().filter(|one| one.count(&table).is_ok()).count();
        (sizes[15], sizes[39], open)
    };
    let ((file_15, memory_15), (file_39, memory_39), open) = run(None);
    assert!(file_39 > 2 * file_15 && memory_39 > 2 * memory_15 && open == 40, "without a limit it grows");
    // What is pinned is within the limit in every round.
    let ((file_15, _), (file_39, _), open) = run(Some(1 << 20));
    assert!(file_39 <= file_15 + file_15 / 4, "{file_15} {file_39}");
    assert!((1..30).contains(&open), "{open}");
}

#[test]
fn a_revoked_one_takes_its_place_until_it_ends() {
    let (db, table) = database(Options { max_snapshots: 3, ..strict() });
    let forgotten: Vec<_> = (0..3).map(|_| db.snapshot().unwrap()).collect();
    assert!(matches!(db.snapshot(), Err(Error::TooManySnapshots { limit: 3, .. })));
    drop(forgotten);
    let forgotten: Vec<_> = (0..2).map(|_| db.snapshot().unwrap()).collect();
    rewrite(&db, &table, 1);
    db.checkpoint().unwrap();
    assert_eq!(db.stats().open_snapshots, 0);
    drop(forgotten);
    let open: Vec<_> = (0..3).map(|_| db.snapshot().unwrap()).collect();
    assert!(open.iter().all(|one| one.count(&table).is_ok()));
}

#[test]
fn the_list_is_bounded() {
    let (db, table) = database(roomy());
    let mut open = Vec::new();
    for round in 0..50 {
        open.push(db.snapshot_with(SnapshotOptions::default().name(format!("{round}"))).unwrap());
        if round % 10 == 5 {
            rewrite(&db, &table, round);
            db.checkpoint().unwrap();
        }
    }
    let stats = db.stats();
    assert_eq!((stats.open_snapshots, stats.snapshots.len()), (50, braid::limits::MAX_LISTED_SNAPSHOTS));
    assert!(stats.snapshots.is_sorted_by_key(|one| one.begin_ts));
    assert_eq!(stats.snapshots[0].name.as_deref(), Some("0"));
    let listed: u64 = stats.snapshots.iter().map(|one| one.pinned_bytes).sum();
    assert_eq!(listed, stats.pinned_bytes, "whoever keeps something is listed");
}
