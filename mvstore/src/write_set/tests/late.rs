//! Updates that are not settled, against a map of what each row is told to become.

use super::*;
use crate::update::Refusal;
use crate::{Direction, Update};

/// What the transaction did to a row.
#[derive(Clone, Debug, PartialEq)]
enum Does {
    Write(Option<Vec<u8>>),
    Update(Update),
}

type Model = BTreeMap<(TableId, Vec<u8>), Does>;

const VALUE_BYTES: usize = 60;
/// What an update counts beside a written row, and beside the least length of its value.
const UPDATE_OVERHEAD: usize = 96;

fn limits(set_bytes: usize) -> UpdateLimits {
    UpdateLimits { value_bytes: VALUE_BYTES, set_bytes }
}

fn some_update(rng: &mut Rng) -> Update {
    let number = i64::from(rng.below(20_u8)) - 10;
    match rng.below(5) {
        0 => Update::max(number),
        1 => Update::min(number),
        2 => Update::append(&vec![b'+'; rng.below(20_usize)]),
        _ => Update::add(number),
    }
}

/// What becomes of a row by the map; the error where nothing does.
fn told(model: &Model, row: &(TableId, Vec<u8>), update: &Update) -> Result<Does, NotUpdated> {
    match model.get(row) {
        None => Ok(Does::Update(update.clone())),
        Some(Does::Update(first)) => first.then(update).map(Does::Update).ok_or(NotUpdated::OtherShape),
        Some(Does::Write(value)) => match update.apply(value.as_deref(), VALUE_BYTES) {
            Ok(value) => Ok(Does::Write(Some(value.as_ref().to_vec()))),
            Err(refusal) => Err(NotUpdated::Refused(refusal)),
        },
    }
}

/// Changes the set within the bytes that it says it needs, after it has refused to do it within one less. Whether it did.
fn within_the_limit(
    set: &mut WriteSet,
    change: impl Fn(&mut WriteSet, UpdateLimits) -> Result<(), NotUpdated>,
) -> Result<(), NotUpdated> {
    let before = (set.bytes(), set.held_bytes(), set.version());
    let bytes = match change(set, limits(0)) {
        Err(NotUpdated::TooLarge { bytes }) => bytes,
        changed => {
            assert!(changed.is_err(), "no set with a row has room in nothing");
            return changed;
        }
    };
    assert_eq!(change(set, limits(bytes - 1)), Err(NotUpdated::TooLarge { bytes }));
    assert_eq!((set.bytes(), set.held_bytes(), set.version()), before, "a refusal changes nothing");
    change(set, limits(bytes))?;
    assert_eq!(set.held_bytes(), bytes, "what it costs is known before it");
    assert!(set.version() > before.2, "a cursor notices");
    Ok(())
}

fn assert_like(set: &WriteSet, model: &Model, rng: &mut Rng, spread: u64) {
    let (mut written, mut updated, mut bytes) = (Vec::new(), Vec::new(), 0);
    for ((table, key), does) in model {
        bytes += key.len() + ROW_OVERHEAD;
        match does {
            Does::Write(value) => {
                bytes += value.as_ref().map_or(0, Vec::len);
                written.push((*table, &**key, value.as_deref()));
            }
            Does::Update(update) => {
                bytes += UPDATE_OVERHEAD + update.least_len();
                updated.push((*table, &**key));
            }
        }
    }
    assert_eq!(set.bytes(), bytes);
    assert_eq!((set.written(), set.updates()), (written.len(), updated.len()));
    assert_eq!(set.is_empty(), model.is_empty());
    assert_eq!(set.iter().map(|row| pair(&row)).collect::<Vec<_>>(), written);
    assert_eq!(set.updated().collect::<Vec<_>>(), updated);
    let mut tables: Vec<_> = model.keys().map(|(table, _)| *table).collect();
    tables.dedup();
    assert_eq!(set.tables(), tables);

    let (table, key) = key(rng, spread);
    let update = match model.get(&(table, key.clone())) {
        Some(Does::Update(update)) => Some(update),
        _ => None,
    };
    assert_eq!(set.is_updated(table, &key), update.is_some());
    let row = [3, 0, 0, 0, 0, 0, 0, 0];
    let guess = update.and_then(|update| update.apply(Some(&row), usize::MAX).ok());
    assert_eq!(set.guess(table, &key, Some(&row)), guess.map(|value| value.as_ref().to_vec()));

    let from = bound(rng, spread);
    let mut of_table = updated.iter().filter(|(of, _)| *of == table).map(|(_, key)| *key);
    let forward = of_table.clone().find(|key| contains((&from, &Unbounded), key));
    let backward = of_table.rfind(|key| contains((&Unbounded, &from), key));
    let from = from.as_ref().map(Vec::as_slice);
    assert_eq!(set.first_updated(table, from, Direction::Forward), forward);
    assert_eq!(set.first_updated(table, from, Direction::Backward), backward);
}

/// What the map said at an open savepoint.
type Open = (SavepointId, Model);

fn step(set: &mut WriteSet, model: &mut Model, open: &mut Vec<Open>, rng: &mut Rng, spread: u64) {
    let row = key(rng, spread);
    let (table, key) = (row.0, &*row.1);
    match rng.below(16) {
        0 => open.push((set.savepoint(|| NonZeroU64::MIN), model.clone())),
        1 if !open.is_empty() => {
            let place = rng.below(open.len());
            open.truncate(place + 1);
            assert_eq!(set.rollback_to(open[place].0), Ok(()));
            model.clone_from(&open[place].1);
        }
        2 if !open.is_empty() => {
            let place = rng.below(open.len());
            assert_eq!(set.release(open[place].0), Ok(()));
            open.truncate(place);
        }
        3..6 => {
            let value = (rng.below(4) > 0).then(|| vec![7; rng.below(12_usize)]);
            let length = value.as_ref().map_or(0, Vec::len);
            let expected = set.bytes_after(set.held_bytes(), table, key, length);
            assert!(expected <= set.held_bytes() + WriteSet::most_bytes(key.len(), length));
            set.write(table, key, value.as_deref());
            assert_eq!(set.held_bytes(), expected, "what a write costs is known before it");
            model.insert(row, Does::Write(value));
        }
        6..8 => {
            let is = (rng.below(2) > 0).then(|| vec![0; 8 + rng.below(2_usize) * 60]);
            let told = match model.get(&row) {
                Some(Does::Update(update)) => update.apply(is.as_deref(), VALUE_BYTES),
                _ => {
                    let before = set.version();
                    assert_eq!(set.settle(table, key, is.as_deref(), limits(0)), Ok(()));
                    assert_eq!(set.version(), before, "there is nothing to settle");
                    return;
                }
            };
            let settled = within_the_limit(set, |set, limits| set.settle(table, key, is.as_deref(), limits));
            match told {
                Ok(value) => {
                    assert_eq!(settled, Ok(()));
                    model.insert(row, Does::Write(Some(value.as_ref().to_vec())));
                }
                Err(refusal) => assert_eq!(settled, Err(NotUpdated::Refused(refusal))),
            }
        }
        _ => {
            let update = some_update(rng);
            let told = told(model, &row, &update);
            let updated = within_the_limit(set, |set, limits| set.update(table, key, &update, limits));
            assert_eq!(updated, told.clone().map(drop));
            if let Ok(does) = told {
                model.insert(row, does);
            }
        }
    }
}

#[test]
fn updates_writes_and_savepoints_behave_like_a_map() {
    let mut rng = Rng::new(19);
    for round in 0..300 {
        let (spread, steps) = if round % 4 == 0 { (300, 250) } else { (12, 60) };
        let (mut set, mut model, mut open) = (WriteSet::new(), Model::new(), Vec::new());
        for _ in 0..steps {
            step(&mut set, &mut model, &mut open, &mut rng, spread);
            if open.is_empty() {
                assert_eq!(set.held_bytes(), set.bytes(), "nothing is kept while none is open");
            }
            if rng.below(4) == 0 {
                assert_like(&set, &model, &mut rng, spread);
            }
        }
        assert_like(&set, &model, &mut rng, spread);
        while let Some((outermost, then)) = open.first().cloned() {
            assert_eq!(set.rollback_to(outermost), Ok(()));
            assert_like(&set, &then, &mut rng, spread);
            assert_eq!(set.held_bytes(), set.bytes() + WriteSet::SAVEPOINT_BYTES, "nothing is left to undo");
            assert_eq!(set.release(outermost), Ok(()));
            open.clear();
            assert_eq!(set.held_bytes(), set.bytes());
        }
        set.clear();
        assert_eq!((set.held_bytes(), set.updates()), (0, 0));
    }
}

#[test]
fn an_update_is_refused_where_it_cannot_be_made_of_what_was_written() {
    const T: TableId = TableId(2);
    let mut set = WriteSet::new();
    set.put(T, b"text", b"abc");
    let refused = set.update(T, b"text", &Update::add(1), limits(usize::MAX));
    assert_eq!(refused, Err(NotUpdated::Refused(Refusal::NotANumber { bytes: 3 })));
    assert_eq!(set.update(T, b"new", &Update::add(1), limits(usize::MAX)), Ok(()));
    let other = set.update(T, b"new", &Update::append(b"x"), limits(usize::MAX));
    assert_eq!(other, Err(NotUpdated::OtherShape));
    assert_eq!((set.written(), set.updates()), (1, 1));
}
