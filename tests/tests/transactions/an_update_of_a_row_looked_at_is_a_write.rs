//! Who looks at a row and then says what to do with it has perhaps decided by what was seen: the update is a write, and the first
//! committer wins. Whatever was not looked at is updated as it is at the commit.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use braid::{
    ConflictKind, Cursor, Database, Error, Isolation, Options, Result, Table, Transaction, TransactionOptions,
};
use braid_tests::{Layering, Place, Session, assert_clean};

const ROW: &str = "m";

fn bytes(number: i64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// What is done before the update; a cursor stays open.
type Look = fn(&mut Transaction, &Table) -> Result<Option<Cursor>>;
type Update = fn(&mut Transaction, &Table) -> Result<()>;

const UPDATES: [Update; 4] = [
    |tx, table| tx.add(table, ROW, -10),
    |tx, table| tx.max(table, ROW, 70),
    |tx, table| tx.min(table, ROW, 3),
    |tx, table| tx.append(table, ROW, "more"),
];

fn read(
    range: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>,
    expected: &[&str],
) -> Result<Option<Cursor>> {
    let keys: Vec<_> = range.map(|row| row.map(|(key, _)| key)).collect::<Result<_>>()?;
    assert_eq!(keys, expected.iter().map(|key| key.as_bytes()).collect::<Vec<_>>());
    Ok(None)
}

/// The table has the rows a, m and z.
const LOOKS: [(&str, Look); 20] = [
    ("get", |tx, table| tx.get(table, ROW).map(|_| None)),
    ("get_with", |tx, table| tx.get_with(table, ROW, |_| ()).map(|_| None)),
    ("contains", |tx, table| tx.contains(table, ROW).map(|_| None)),
    ("insert", |tx, table| {
        assert!(matches!(tx.insert(table, ROW, ""), Err(Error::KeyExists { .. })));
        Ok(None)
    }),
    ("the transaction's clone", |tx, table| tx.clone().get(table, ROW).map(|_| None)),
    ("twice, once untracked", |tx, table| {
        tx.get(table, ROW)?;
        tx.get_untracked(table, ROW)?;
        read(tx.range_untracked::<&str>(table, ..)?, &["a", ROW, "z"])
    }),
    ("scan", |tx, table| read(tx.scan(table)?, &["a", ROW, "z"])),
    ("from behind", |tx, table| read(tx.scan(table)?.rev().take(2), &["z", ROW])),
    ("up to it", |tx, table| read(tx.scan(table)?.take(2), &["a", ROW])),
    ("from both ends", |tx, table| {
        let mut rows = tx.scan(table)?;
        rows.next().transpose()?;
        rows.next_back().transpose()?;
        rows.next().transpose()?;
        Ok(None)
    }),
    ("seek", |tx, table| {
        assert!(tx.cursor(table)?.seek_ge("b")?);
        Ok(None)
    }),
    ("seek back", |tx, table| {
        assert!(tx.cursor(table)?.seek_le("x")?);
        Ok(None)
    }),
    ("steps over it", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.first()? && cursor.next()? && cursor.next()? && cursor.prev()?);
        assert!(cursor.last()?);
        Ok(None)
    }),
    ("steps back over it", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.last()? && cursor.prev()? && cursor.prev()? && !cursor.prev()?);
        assert!(cursor.first()?);
        Ok(None)
    }),
    ("turns after it", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.seek_ge("n")? && cursor.prev()? && cursor.next()?);
        Ok(Some(cursor))
    }),
    ("is on it", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.first()? && cursor.next()?);
        Ok(Some(cursor))
    }),
    ("count", |tx, table| tx.count(table).map(|_| None)),
    ("count_range", |tx, table| tx.count_range(table, "b".."n").map(|_| None)),
    ("a savepoint before it", |tx, table| {
        let before = tx.savepoint()?;
        tx.put(table, "b", "")?;
        tx.get(table, ROW)?;
        tx.rollback_to(&before)?;
        Ok(None)
    }),
    ("an update that is taken back", |tx, table| {
        let before = tx.savepoint()?;
        tx.append(table, ROW, "less")?;
        tx.get_untracked(table, ROW)?;
        tx.rollback_to(&before)?;
        Ok(None)
    }),
];

/// After these it is blind.
const NO_LOOKS: [(&str, Look); 13] = [
    ("nothing", |_, _| Ok(None)),
    ("get_untracked", |tx, table| tx.get_untracked(table, ROW).map(|_| None)),
    ("untracked", |tx, table| {
        tx.untracked().count(table)?;
        let mut cursor = tx.untracked().cursor(table)?;
        assert!(cursor.first()? && cursor.next()? && cursor.next()?);
        read(tx.range_untracked::<&str>(table, ..)?, &["a", ROW, "z"])
    }),
    ("other rows", |tx, table| {
        for other in 0..100_u8 {
            tx.get(table, [other])?;
        }
        Ok(None)
    }),
    ("its own write, taken back", |tx, table| {
        let before = tx.savepoint()?;
        tx.put(table, ROW, "mine")?;
        tx.get(table, ROW)?;
        tx.rollback_to(&before)?;
        Ok(None)
    }),
    ("not asked", |tx, table| tx.scan(table).map(|_| None)),
    ("not come to", |tx, table| read(tx.scan(table)?.take(1), &["a"])),
    ("ends before", |tx, table| read(tx.range(table, ..ROW)?, &["a"])),
    ("begins after", |tx, table| read(tx.range_after(table, ROW)?, &["z"])),
    ("sought before", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.seek_ge("a")?);
        Ok(Some(cursor))
    }),
    ("went away from it", |tx, table| {
        let mut cursor = tx.cursor(table)?;
        assert!(cursor.first()? && !cursor.prev()? && cursor.last()? && !cursor.next()?);
        Ok(Some(cursor))
    }),
    ("count_range", |tx, table| {
        assert_eq!(tx.count_range(table, .."m")? + tx.count_range(table, "n"..)?, 2);
        assert_eq!(tx.count_range(table, "z".."a")?, 0);
        Ok(None)
    }),
    ("a range that is deleted beside it", |tx, table| {
        assert_eq!(tx.delete_range(table, "n"..)?, 1);
        Ok(None)
    }),
];

struct Desk {
    db: Database,
    tx: Option<Transaction>,
    cursor: Option<Cursor>,
}

fn run(isolation: Isolation, layering: Layering, look: Look, update: Update) -> Result<Result<()>> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    for row in ["a", ROW, "z"] {
        db.put(&table, row, bytes(50))?;
    }
    let settle = |moment: Layering| if moment == layering { db.checkpoint().map(drop) } else { Ok(()) };
    settle(Layering::Tree)?;
    let [user, rival] = [(); 2].map(|()| {
        let path = place.path();
        Session::start(move || Desk {
            db: Database::open(path).expect("a sibling opens"),
            tx: None,
            cursor: None,
        })
    });
    let of_user = table.clone();
    user.run(move |desk| {
        let options = TransactionOptions { isolation, ..TransactionOptions::default() };
        let tx = desk.tx.insert(desk.db.begin_with(options)?);
        desk.cursor = look(tx, &of_user)?;
        update(tx, &of_user)
    })?;
    let of_rival = table.clone();
    rival.run(move |desk| desk.db.transact(|tx| update(tx, &of_rival)).map(drop))?;
    settle(Layering::Moving)?;
    let committed = user.run(|desk| desk.tx.take().expect("it has begun").commit().map(drop));
    let updates = db.stats().updates;
    // Those that were taken or refused as writes count as none.
    assert_eq!((updates.made, updates.absorbed), if committed.is_ok() { (2, 1) } else { (1, 0) });
    let once = {
        let db = Place::in_memory().open_mvcc(Options::default())?;
        let table = db.table("rows")?;
        db.put(&table, ROW, bytes(50))?;
        let times = if committed.is_ok() { 2 } else { 1 };
        (0..times).try_for_each(|_| db.transact(|tx| update(tx, &table)).map(drop))?;
        db.get(&table, ROW)?
    };
    assert_eq!(db.get(&table, ROW)?, once, "what is committed is there, and nothing else");
    drop(user);
    assert_clean(&db)?;
    Ok(committed)
}

fn all(isolation: Isolation) -> Result<()> {
    for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
        for update in UPDATES {
            for (name, look) in LOOKS {
                let lost = run(isolation, layering, look, update)?.expect_err(name);
                let conflict = lost.conflict().unwrap_or_else(|| panic!("{name}: {lost}"));
                assert_eq!(conflict.key.as_deref(), Some(ROW.as_bytes()), "{name}: {conflict}");
            }
        }
    }
    Ok(())
}

#[test]
fn under_snapshot() -> Result<()> {
    all(Isolation::Snapshot)
}

#[test]
fn under_serializable() -> Result<()> {
    all(Isolation::Serializable)
}

#[test]
fn what_was_not_looked_at_is_updated_blindly() -> Result<()> {
    for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
        for update in UPDATES {
            for (name, look) in NO_LOOKS {
                if let Err(error) = run(Isolation::Snapshot, layering, look, update)? {
                    panic!("{name}: {error}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn of_two_who_take_what_there_is_one_does() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let stock = db.table("stock")?;
    db.put(&stock, "apple", bytes(10))?;
    let take = |tx: &mut Transaction| -> Result<bool> {
        let there = tx.get(&stock, "apple")?.is_some_and(|value| value >= bytes(10));
        if there {
            tx.add(&stock, "apple", -10)?;
        }
        Ok(there)
    };
    let (mut one, mut other) = (db.begin_concurrent()?, db.begin_concurrent()?);
    assert!(take(&mut one)? && take(&mut other)?);
    one.commit()?;
    assert!(matches!(other.commit(), Err(Error::Busy(_))));
    assert!(!db.transact(take)?.value, "there is none left");
    assert_eq!(db.get(&stock, "apple")?, Some(bytes(0)));
    // Nobody is beside an exclusive one.
    let mut alone = db.begin_immediate()?;
    alone.get(&stock, "apple")?;
    alone.add(&stock, "apple", 5)?;
    alone.commit()?;
    assert_eq!(db.stats().updates.made, 1);
    Ok(())
}

/// What is kept of looks is bounded: then a table counts as looked at as a whole, and others do not.
#[test]
fn after_very_many_looks_a_table_was_looked_at() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let (much, little) = (db.table("much")?, db.table("little")?);
    let attempt = |look: &dyn Fn(&Transaction) -> Result<()>, table: &Table| -> Result<bool> {
        let mut tx = db.begin_concurrent()?;
        look(&tx)?;
        tx.add(table, "counter", 1)?;
        db.add(table, "counter", 1)?;
        Ok(tx.commit().is_ok())
    };
    let lookups = |number: u32, repeated: u32| {
        let much = much.clone();
        move |tx: &Transaction| {
            (0..number * repeated).try_for_each(|row| tx.get(&much, (row % number).to_be_bytes()).map(drop))
        }
    };
    assert!(attempt(&lookups(4000, 1), &much)?);
    assert!(attempt(&lookups(1000, 10), &much)?, "the same again");
    assert!(!attempt(&lookups(5000, 1), &much)?);
    assert!(attempt(&lookups(5000, 1), &little)?);
    let seeks = |number: u32| {
        let much = much.clone();
        move |tx: &Transaction| {
            (0..number).try_for_each(|row| tx.count_range(&much, ..row.to_be_bytes()).map(drop))
        }
    };
    assert!(attempt(&seeks(200), &much)?);
    assert!(!attempt(&seeks(400), &much)?);
    assert!(attempt(&seeks(400), &little)?);
    Ok(())
}

/// What a rival commits meanwhile.
type Rival = fn(&Database, &Table) -> Result<()>;

/// A row that nothing can be added to.
const FULL: i64 = i64::MAX;

/// A transaction looks at two rows, writes one and updates the other in vain; what its commit is told.
fn in_vain(
    isolation: Isolation,
    layering: Layering,
    (row, update): (&[u8], Update),
    rival: Option<Rival>,
) -> Result<Error> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, ROW, row)?;
    if layering == Layering::Tree {
        db.checkpoint()?;
    }
    let mut tx = db.begin_with(TransactionOptions { isolation, ..TransactionOptions::default() })?;
    tx.get(&table, ROW)?;
    tx.get(&table, "z")?;
    tx.put(&table, "z", "mine")?;
    update(&mut tx, &table)?;
    if let Some(rival) = rival {
        rival(&db, &table)?;
    }
    if layering == Layering::Moving {
        db.checkpoint()?;
    }
    let error = tx.commit().expect_err("it cannot be made");
    let conflicts = db.stats().conflicts;
    let lost = u64::from(error.is_retryable());
    assert_eq!((conflicts.kinds.total(), conflicts.wasted.rows), (lost, 2 * lost), "{error}");
    assert_clean(&db)?;
    Ok(error)
}

/// An update that cannot be made of what the snapshot has may well be made of what is there now: who looked at the row
/// is told that others were there, as it would be by any write, and that it cannot be made only where that is still so.
#[test]
fn what_cannot_be_made_of_a_row_that_has_moved_on_may_be_tried_again() -> Result<()> {
    let full = FULL.to_le_bytes();
    let vain: [(&[u8], Update); 4] = [
        (&full, |tx, table| tx.add(table, ROW, 1)),
        (b"text", |tx, table| tx.add(table, ROW, 1)),
        (b"text", |tx, table| tx.max(table, ROW, 1)),
        (b"text", |tx, table| tx.min(table, ROW, 1)),
    ];
    let busy: [(Rival, &str); 4] = [
        (|db, table| db.put(table, ROW, bytes(5)).map(drop), ROW),
        (|db, table| db.delete(table, ROW).map(drop), ROW),
        // What others wrote comes before what is wrong with an update in every commit.
        (|db, table| db.put(table, "z", "theirs").map(drop), "z"),
        (|db, _| db.drop_table("rows").map(drop), "the table"),
    ];
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
            for vain in vain {
                let beside: Rival = |db, table| db.put(table, "a", "theirs").map(drop);
                for rival in [None, Some(beside)] {
                    let refused = in_vain(isolation, layering, vain, rival)?;
                    assert!(
                        matches!(&refused, Error::UpdateRefused { key, .. } if key == ROW.as_bytes()),
                        "{refused}"
                    );
                }
                for (rival, over) in busy {
                    let error = in_vain(isolation, layering, vain, Some(rival))?;
                    let Some(conflict) = error.conflict() else { panic!("{over}: {error}") };
                    let kind = match (over, isolation) {
                        ("the table", _) => ConflictKind::Schema,
                        (ROW, Isolation::Serializable) => ConflictKind::ReadWrite,
                        _ => ConflictKind::WriteWrite,
                    };
                    assert_eq!(conflict.kind, kind, "{conflict}");
                    let key = (over != "the table").then_some(over.as_bytes());
                    assert_eq!((conflict.key.as_deref(), conflict.winner_ts.is_some()), (key, true));
                }
            }
        }
    }
    Ok(())
}

/// The runner takes it for what it is, and a future is told the same.
#[test]
fn who_tries_again_makes_it_of_what_is_there_now() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let stock = db.table("stock")?;
    db.put(&stock, "apple", bytes(FULL))?;
    let mut attempts = 0;
    let outcome = db.transact(|tx| {
        attempts += 1;
        tx.get(&stock, "apple")?;
        tx.add(&stock, "apple", 1)?;
        if attempts == 1 { db.put(&stock, "apple", bytes(1)).map(drop) } else { Ok(()) }
    })?;
    assert_eq!((attempts, outcome.attempts), (2, 2));
    assert_eq!(db.get(&stock, "apple")?, Some(bytes(2)));
    let mut tx = db.begin_concurrent()?;
    tx.get(&stock, "apple")?;
    tx.add(&stock, "apple", FULL)?;
    db.put(&stock, "apple", bytes(-1))?;
    let mut commit = std::pin::pin!(tx.commit_async());
    let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(Error::Busy(_)))), "{polled:?}");
    Ok(())
}

/// Whose token was committed is told so, whatever else stood in the way.
#[test]
fn a_token_that_was_committed_comes_first() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, ROW, bytes(FULL))?;
    let begin = || db.begin_with(TransactionOptions::default().token("work"));
    let (mut one, mut other) = (begin()?, begin()?);
    one.put(&table, ROW, bytes(1))?;
    other.get(&table, ROW)?;
    other.add(&table, ROW, 1)?;
    let done = one.commit()?.timestamp;
    let refused = other.commit();
    assert!(
        matches!(refused, Err(Error::AlreadyCommitted { timestamp, .. }) if timestamp == done),
        "{refused:?}"
    );
    Ok(())
}
