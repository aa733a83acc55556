//! An oracle that finds nothing proves nothing: each rule is shown a history that breaks it, beside one that does not.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use braid::{Durability, Isolation, JournalMode};

use super::*;
use crate::run::rows::{Datum, Key, Rows};

const TABLE: u32 = 16;

fn key(name: &str) -> Key {
    Key::from(name.as_bytes())
}

fn value(number: u64) -> Datum {
    Datum::of(&Datum::bytes(number, 20))
}

fn act(what: What) -> Act {
    Act { table: TABLE, tracked: true, what }
}

fn put(name: &str, number: u64) -> Act {
    act(What::Put { key: key(name), value: value(number) })
}

fn get(name: &str, number: Option<u64>) -> Act {
    act(What::Get { key: key(name), found: number.map(value) })
}

fn moment(number: u64) -> Moment {
    Moment { number, time: Duration::from_millis(number) }
}

fn transaction(begin: u64, outcome: Outcome, acts: Vec<Act>) -> Transaction {
    Transaction {
        session: 0,
        begin_ts: Some(begin),
        read_only: false,
        exclusive: false,
        isolation: Isolation::Snapshot,
        durability: Durability::Sync,
        stands: true,
        token: None,
        acts,
        outcome,
    }
}

fn committed(begin: u64, ts: u64, acts: Vec<Act>) -> Transaction {
    transaction(begin, Outcome::Committed { ts, acked: moment(ts * 10) }, acts)
}

fn snapshot(begin: u64, acts: Vec<Act>) -> Transaction {
    Transaction { read_only: true, ..transaction(begin, Outcome::Nothing, acts) }
}

/// One table with one row, at timestamp 10.
fn start() -> Start {
    let rows = Rows::from([(key("a"), value(1))]);
    Start { ts: 10, mode: JournalMode::Wal, tables: BTreeMap::from([("t".to_owned(), (TABLE, rows))]) }
}

fn of(transactions: Vec<Transaction>) -> History {
    History { transactions, ..History::default() }
}

fn passes(transactions: Vec<Transaction>) -> bool {
    replay(&start(), &of(transactions)).is_ok()
}

fn found(ts: u64, rows: &[(&str, u64)]) -> Dump {
    let rows = rows.iter().map(|(name, number)| (key(name), value(*number))).collect();
    Dump { ts, mode: JournalMode::Wal, tables: BTreeMap::from([("t".to_owned(), (TABLE, rows))]) }
}

#[test]
fn reads_are_held_to_their_snapshot_and_own_writes() {
    let write = || committed(10, 11, vec![get("a", Some(1)), put("a", 2), get("a", Some(2))]);
    assert!(passes(vec![
        write(),
        snapshot(10, vec![get("a", Some(1))]),
        snapshot(11, vec![get("a", Some(2))])
    ]));
    assert!(!passes(vec![write(), snapshot(10, vec![get("a", Some(2))])]), "it read the future");
    assert!(!passes(vec![write(), snapshot(11, vec![get("a", Some(1))])]), "it read the past");
    assert!(
        !passes(vec![committed(10, 11, vec![put("a", 2), get("a", Some(1))])]),
        "its own write is not there"
    );
    let aborted = transaction(10, Outcome::Nothing, vec![put("a", 3)]);
    assert!(!passes(vec![aborted, snapshot(11, vec![get("a", Some(3))])]), "what was rolled back was read");
}

#[test]
fn ranges_and_counts_are_held_to_their_snapshot() {
    let all = |front: &[(&str, u64)], ended| {
        let front = front.iter().map(|(name, number)| (key(name), value(*number))).collect();
        act(What::Range { from: Bound::Unbounded, to: Bound::Unbounded, front, back: Vec::new(), ended })
    };
    let insert = || committed(10, 11, vec![put("b", 2)]);
    assert!(passes(vec![insert(), snapshot(11, vec![all(&[("a", 1), ("b", 2)], true)])]));
    assert!(passes(vec![insert(), snapshot(11, vec![all(&[("a", 1)], false)])]));
    assert!(!passes(vec![insert(), snapshot(11, vec![all(&[("a", 1)], true)])]), "a row is missing");
    assert!(!passes(vec![insert(), snapshot(11, vec![all(&[("b", 2)], false)])]), "the first row is missing");
    assert!(!passes(vec![insert(), snapshot(10, vec![all(&[("a", 1), ("b", 2)], true)])]), "a phantom");
    let count = |found| act(What::Count { from: Bound::Unbounded, to: Bound::Excluded(key("b")), found });
    assert!(passes(vec![insert(), snapshot(11, vec![count(1)])]));
    assert!(!passes(vec![insert(), snapshot(11, vec![count(2)])]));
}

#[test]
fn lost_updates_write_skew_and_doubles_are_found() {
    let (one, two) = (committed(10, 11, vec![put("a", 2)]), committed(10, 12, vec![put("a", 3)]));
    assert!(!passes(vec![one.clone(), two]), "a lost update");
    assert!(passes(vec![one.clone(), committed(11, 12, vec![put("a", 3)])]));
    assert!(!passes(vec![one.clone(), committed(10, 11, vec![put("b", 3)])]), "two at one place");
    assert!(!passes(vec![one.clone(), committed(12, 12, vec![put("b", 3)])]), "before its snapshot");
    assert!(!passes(vec![one.clone(), committed(11, 14, vec![put("b", 3)])]), "a commit of nobody's");

    let reader =
        |isolation| Transaction { isolation, ..committed(10, 12, vec![get("a", Some(1)), put("b", 4)]) };
    assert!(passes(vec![one.clone(), reader(Isolation::Snapshot)]));
    assert!(!passes(vec![one.clone(), reader(Isolation::Serializable)]), "write skew");
    let mut untracked = reader(Isolation::Serializable);
    untracked.acts[0].tracked = false;
    assert!(passes(vec![one.clone(), untracked.clone()]), "it does not answer for that");
    untracked.acts[0] = Act { tracked: false, ..get("a", Some(2)) };
    assert!(!passes(vec![one.clone(), untracked]), "it read it at its begin all the same");
    let alone = Transaction { exclusive: true, ..committed(10, 12, vec![put("b", 4)]) };
    assert!(!passes(vec![one, alone]), "it was not alone");
}

#[test]
fn tables_come_and_go_where_they_may() {
    let drop = |after, until| Schema {
        session: 0,
        name: "t".to_owned(),
        change: SchemaChange::Drop,
        at: Span { after, until },
        order: 1,
        durability: Durability::Sync,
        acked: Some(moment(5)),
    };
    let gone = |at, begin| {
        let transactions = vec![snapshot(begin, vec![act(What::Gone)])];
        replay(&start(), &History { schema: vec![drop(10, at)], ..of(transactions) }).is_ok()
    };
    assert!(gone(12, 12) && gone(12, 11));
    assert!(!gone(12, 10), "it was there still");
    let model = replay(&start(), &History { schema: vec![drop(10, 11)], ..History::default() }).unwrap();
    let promised = (10, String::new());
    assert!(judge(&model, &found(10, &[("a", 1)]), &promised).is_ok());
    assert!(judge(&model, &found(11, &[("a", 1)]), &promised).is_err(), "it has come back");
    let nothing = Dump { ts: 11, mode: JournalMode::Wal, tables: BTreeMap::new() };
    assert!(judge(&model, &nothing, &promised).is_ok());
    assert!(judge(&model, &Dump { ts: 10, ..nothing }, &promised).is_err(), "it went too early");
}

#[test]
fn what_is_left_must_be_a_moment_that_is_late_enough() {
    let deferred = Transaction { durability: Durability::Deferred, ..committed(11, 12, vec![put("c", 3)]) };
    let history = of(vec![committed(10, 11, vec![put("b", 2)]), deferred]);
    let model = replay(&start(), &history).unwrap();
    let cut = Ending::PowerCut { after: Duration::ZERO };
    let after = |ending| promise(&start(), &history, ending, Duration::ZERO);
    assert_eq!((after(cut).0, after(Ending::Stop).0), (11, 12));

    let whole = found(12, &[("a", 1), ("b", 2), ("c", 3)]);
    let without_last = found(11, &[("a", 1), ("b", 2)]);
    assert!(judge(&model, &whole, &after(Ending::Stop)).is_ok());
    assert!(judge(&model, &without_last, &after(cut)).is_ok());
    assert!(judge(&model, &without_last, &after(Ending::Stop)).is_err(), "a kill takes nothing");
    assert!(judge(&model, &found(10, &[("a", 1)]), &after(cut)).is_err(), "a promise is broken");
    assert!(judge(&model, &found(12, &[("a", 1), ("c", 3)]), &after(cut)).is_err(), "a hole");
    assert!(judge(&model, &found(11, &[("a", 1), ("b", 2), ("c", 3)]), &after(cut)).is_err(), "half of it");
}

#[test]
fn deferred_commits_stand_after_a_sync_and_after_their_interval() {
    let deferred = Transaction { durability: Durability::Deferred, ..committed(10, 11, vec![put("b", 2)]) };
    let cut = |after| Ending::PowerCut { after: Duration::from_millis(after) };
    let interval = Duration::from_millis(50);
    let mut history = of(vec![deferred]);
    assert_eq!(promise(&start(), &history, cut(200), interval).0, 10);
    assert_eq!(promise(&start(), &history, cut(1000), interval).0, 11, "the background sync has come");
    history.promises.push(Promise { began: moment(100) });
    assert_eq!(promise(&start(), &history, cut(0), interval).0, 10, "it was acknowledged later");
    history.promises.push(Promise { began: moment(111) });
    assert_eq!(promise(&start(), &history, cut(0), interval).0, 11);
}

#[test]
fn an_unknown_commit_that_a_snapshot_saw_is_found() {
    let unknown = || transaction(10, Outcome::Unknown { ts: 11 }, vec![put("a", 2)]);
    assert!(passes(vec![unknown(), snapshot(10, vec![get("a", Some(1))])]));
    assert!(!passes(vec![unknown(), snapshot(11, vec![get("a", Some(2))])]));
}

#[test]
fn the_mode_is_one_that_was_set_last() {
    let set =
        |mode, began, stands| ModeChange { mode, began: moment(began), ended: moment(began + 2), stands };
    let left = |modes: &[ModeChange], found| {
        let history = History { modes: modes.to_vec(), ..History::default() };
        judge_mode(&start(), &history, found).is_ok()
    };
    let (wal, mvcc) = (JournalMode::Wal, JournalMode::Mvcc);
    assert!(left(&[], wal) && !left(&[], mvcc));
    assert!(left(&[set(mvcc, 1, true)], mvcc) && !left(&[set(mvcc, 1, true)], wal));
    assert!(left(&[set(mvcc, 1, false)], mvcc) && left(&[set(mvcc, 1, false)], wal));
    let both = [set(mvcc, 1, true), set(wal, 5, true)];
    assert!(left(&both, wal) && !left(&both, mvcc));
    let at_once = [set(mvcc, 1, true), set(wal, 2, true)];
    assert!(left(&at_once, wal) && left(&at_once, mvcc));
}

#[test]
fn names_are_held_to_their_snapshot_and_their_transactions() {
    type Found<'a> = (&'a str, u32, &'a [(&'a str, u64)]);
    let on = |table, what| Act { table, tracked: true, what };
    let make = |name: &str, id| on(0, What::Make { name: key(name), id });
    let unmake = |name: &str, id| on(0, What::Unmake { name: key(name), id });
    let rename = |from: &str, to: &str, id| on(0, What::Rename { from: key(from), to: key(to), id });
    let named = |name: &str, found| on(0, What::Named { name: key(name), found });
    let names = |found: &[&str]| on(0, What::Names { found: found.iter().map(|name| key(name)).collect() });
    let put_in = |table| on(table, What::Put { key: key("a"), value: value(7) });
    let gone = |table| on(table, What::Gone);
    let made = || committed(10, 11, vec![make("x1", 20), put_in(20), named("x1", Some(20))]);

    assert!(passes(vec![made(), snapshot(11, vec![named("x1", Some(20)), names(&["x1"])])]));
    assert!(passes(vec![made(), snapshot(10, vec![named("x1", None), names(&[])])]));
    assert!(!passes(vec![made(), snapshot(10, vec![named("x1", Some(20))])]), "it was not there yet");
    assert!(!passes(vec![made(), snapshot(11, vec![names(&[])])]), "it was there");
    assert!(!passes(vec![made(), committed(10, 12, vec![make("x1", 21)])]), "two of one name");
    assert!(!passes(vec![made(), committed(11, 12, vec![make("x1", 21)])]), "the name was taken");

    let swap = || committed(11, 12, vec![make("x2", 21), unmake("x1", 20), rename("x2", "x1", 21)]);
    assert!(passes(vec![
        made(),
        swap(),
        snapshot(12, vec![named("x1", Some(21)), names(&["x1"]), gone(20)])
    ]));
    assert!(!passes(vec![made(), swap(), snapshot(12, vec![named("x1", Some(20))])]), "it was replaced");
    assert!(!passes(vec![made(), swap(), snapshot(11, vec![gone(20)])]), "it was there still");
    assert!(!passes(vec![made(), swap(), committed(11, 13, vec![put_in(20)])]), "a row in a dropped table");
    assert!(passes(vec![
        made(),
        committed(11, 12, vec![put_in(20)]),
        committed(11, 13, vec![unmake("x1", 20)])
    ]));

    let renamed = |to: &str| committed(11, 12, vec![rename("x1", to, 20)]);
    assert!(!passes(vec![made(), renamed("x3"), committed(11, 13, vec![put_in(20)])]), "a row put aside");
    assert!(passes(vec![made(), renamed("x3"), committed(12, 13, vec![put_in(20)])]));
    let back = vec![rename("x1", "x3", 20), rename("x3", "x1", 20)];
    assert!(passes(vec![made(), committed(11, 12, back), committed(11, 13, vec![put_in(20)])]));

    let alone = |from: &str, to: &str| {
        let what = What::RenameAlone { from: key(from), to: key(to) };
        Transaction { begin_ts: None, ..committed(11, 12, vec![on(0, what)]) }
    };
    assert!(passes(vec![
        made(),
        alone("x1", "x3"),
        snapshot(12, vec![named("x3", Some(20)), names(&["x3"])])
    ]));
    assert!(passes(vec![made(), alone("x1", "x3"), snapshot(11, vec![named("x1", Some(20))])]));
    assert!(
        !passes(vec![made(), alone("x1", "x3"), snapshot(12, vec![named("x1", Some(20))])]),
        "it was renamed"
    );
    assert!(!passes(vec![made(), alone("x2", "x3")]), "there was none of that name");
    assert!(!passes(vec![made(), alone("x1", "x3"), committed(11, 13, vec![put_in(20)])]), "a row put aside");

    let never = || transaction(10, Outcome::Nothing, vec![make("x1", 20), put_in(20)]);
    assert!(passes(vec![never(), snapshot(10, vec![gone(20), names(&[])])]));
    assert!(!passes(vec![never(), committed(10, 11, vec![put_in(20)])]), "it never came to be");
    let left = |ts, tables: &[Found<'_>]| {
        let rows =
            |rows: &[(&str, u64)]| rows.iter().map(|(name, number)| (key(name), value(*number))).collect();
        let exact = tables.iter().map(|(name, id, found)| ((*name).to_owned(), (*id, rows(found))));
        let all = exact.chain([("t".to_owned(), (TABLE, rows(&[("a", 1)])))]);
        let dump = Dump { ts, mode: JournalMode::Wal, tables: all.collect() };
        let model = replay(&start(), &of(vec![made(), swap()])).unwrap();
        judge(&model, &dump, &(10, String::new())).is_ok()
    };
    assert!(left(10, &[]) && left(11, &[("x1", 20, &[("a", 7)])]) && left(12, &[("x1", 21, &[])]));
    assert!(!left(11, &[]), "a table is missing");
    assert!(!left(12, &[("x1", 20, &[("a", 7)])]), "a dropped table has come back");
    assert!(!left(12, &[("x1", 21, &[]), ("x2", 21, &[])]), "it has both names");
    assert!(!left(12, &[("x1", 21, &[("a", 7)])]), "rows of the old table");
}

#[test]
fn savepoints_are_gone_back_to() {
    let act = |what| Act { table: 0, tracked: true, what };
    let made = |number| act(What::Savepoint { number });
    let back = |to| act(What::TakenBack { to });
    assert!(passes(vec![
        committed(
            10,
            11,
            vec![
                put("a", 2),
                made(0),
                put("a", 3),
                made(1),
                put("b", 4),
                back(0),
                get("a", Some(2)),
                get("b", None),
            ]
        ),
        snapshot(11, vec![get("a", Some(2)), get("b", None)]),
    ]));
    let forgotten = vec![put("a", 2), made(0), put("a", 3), back(0), get("a", Some(3))];
    assert!(!passes(vec![committed(10, 11, forgotten)]), "it is not what it was");
    assert!(!passes(vec![committed(10, 11, vec![put("a", 2), back(0)])]), "there is no such savepoint");
    let released = vec![made(0), put("a", 2), act(What::Released { number: 0 }), back(0)];
    assert!(!passes(vec![committed(10, 11, released)]), "it was released");
    let refused = |number| vec![put("a", 2), made(0), made(1), back(0), act(What::NoSavepoint { number })];
    assert!(passes(vec![committed(10, 11, refused(1))]));
    assert!(!passes(vec![committed(10, 11, refused(0))]), "it is open");
    assert!(passes(vec![committed(10, 10, vec![made(0), put("a", 2), back(0)])]));
    let all = What::DeleteRange { from: Bound::Unbounded, to: Bound::Unbounded, removed: 1 };
    assert!(passes(vec![committed(10, 10, vec![made(0), self::act(all), back(0)])]));
    assert!(!passes(vec![committed(10, 11, vec![made(0), put("a", 2), back(0)])]), "it wrote nothing");
}

#[test]
fn updates_are_made_of_what_is_there_at_the_commit() {
    let number = |number: i64| Datum::of(&number.to_le_bytes());
    let add = |by| act(What::Update { key: key("n"), step: Step::Add(by) });
    let get = |found| act(What::Get { key: key("n"), found });
    let sees = |is| snapshot(13, vec![get(Some(number(is)))]);
    let first = || committed(10, 11, vec![act(What::Put { key: key("n"), value: number(5) })]);
    let adds = |ts, by| committed(10, ts, vec![add(by)]);
    assert!(passes(vec![first(), adds(12, 2), adds(13, 3), sees(10)]));
    assert!(!passes(vec![first(), adds(12, 2), adds(13, 3), sees(8)]), "one of them is lost");
    assert!(
        !passes(vec![first(), committed(10, 12, vec![add(2), get(None)])]),
        "it reads nothing of its own"
    );
    let looked = || committed(10, 12, vec![add(2), get(Some(number(2)))]);
    assert!(!passes(vec![first(), looked()]), "a lost update, as it looked at the row");
    assert!(passes(vec![first(), committed(11, 12, vec![add(2), get(Some(number(7)))])]));
    assert!(!passes(vec![first(), adds(12, i64::MAX)]), "it should have been refused");
    let refuses = |by| transaction(10, Outcome::Refused { key: key("n") }, vec![add(by)]);
    assert!(passes(vec![first(), refuses(i64::MAX)]));
    assert!(!passes(vec![first(), refuses(1)]), "it could be made");
    let at_once = |by| {
        let step = Step::Add(by);
        committed(11, 12, vec![add(1), get(Some(number(6))), act(What::NotUpdated { key: key("n"), step })])
    };
    assert!(passes(vec![first(), at_once(i64::MAX)]));
    assert!(!passes(vec![first(), at_once(1)]), "it could be made");
    assert!(passes(vec![first(), committed(10, 12, vec![add(1), act(What::Delete { key: key("x") })])]));
}

#[test]
fn an_update_of_a_row_that_was_looked_at_is_a_write() {
    let add = || act(What::Update { key: key("n"), step: Step::Add(1) });
    let rival =
        || committed(10, 11, vec![act(What::Put { key: key("n"), value: Datum::of(&5_i64.to_le_bytes()) })]);
    let both = |acts: Vec<Act>| passes(vec![rival(), committed(10, 12, acts)]);
    let untracked = |act: Act| Act { tracked: false, ..act };
    let range = |to: Bound<Key>, ended| {
        let front = vec![(key("a"), value(1))];
        act(What::Range { from: Bound::Unbounded, to, front, back: Vec::new(), ended })
    };
    let to = |name| Bound::Excluded(key(name));
    let count = |to| act(What::Count { from: Bound::Unbounded, to, found: 1 });
    assert!(both(vec![add()]));
    assert!(both(vec![get("o", None), add()]), "another row");
    assert!(both(vec![untracked(get("n", None)), add()]), "it wants to answer for nothing");
    assert!(!both(vec![get("n", None), add()]), "looked up");
    assert!(!both(vec![get("n", None), untracked(get("n", None)), add()]), "looked up before");
    assert!(!both(vec![range(Bound::Unbounded, true), add()]), "passed");
    assert!(both(vec![range(Bound::Unbounded, false), add()]), "not come to");
    assert!(both(vec![range(to("n"), true), add()]), "it ends before");
    assert!(!both(vec![count(Bound::Unbounded), add()]), "counted");
    assert!(both(vec![count(to("n")), add()]), "the count ends before");
    let (made, back) = (What::Savepoint { number: 0 }, What::TakenBack { to: 0 });
    assert!(!both(vec![act(made), get("n", None), act(back), add()]), "what was seen is not taken back");
}
