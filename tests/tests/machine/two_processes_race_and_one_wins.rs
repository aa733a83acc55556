//! Processes that open one file at the same time: exactly one writer gets it, the others are told who has it; readers share
//! it among themselves and with no writer.

use braid::Result;
use braid_tests::{Actor, Place, assert_clean, scale};

use crate::actor;

#[test]
fn for_writing() -> Result<()> {
    let place = Place::new();
    for round in 0..12 * scale() {
        // In the first round the file is new, and made by whoever comes first.
        let mut racers: Vec<Actor> =
            (0..4).map(|_| Actor::start_as(&actor(), "hold", &place.path(), &[])).collect();
        let said: Vec<String> = racers.iter_mut().map(|racer| racer.line().unwrap_or_default()).collect();
        let winners: Vec<usize> =
            (0..said.len()).filter(|racer| said.get(*racer).is_some_and(|said| said == "ready")).collect();
        let [winner] = winners.as_slice() else { panic!("round {round}: {said:?}") };
        let pid = racers[*winner].id();
        for (racer, said) in said.iter().enumerate().filter(|(racer, _)| racer != winner) {
            assert!(
                *said == format!("locked {pid}") || said.as_str() == "locked unknown",
                "round {round}: racer {racer} says `{said}`, and {pid} has the file"
            );
        }
        let reader = Actor::start_as(&actor(), "read", &place.path(), &[]).line();
        assert_eq!(reader, Some(format!("locked {pid}")), "round {round}");
        for racer in racers {
            assert!(racer.finish(), "round {round}");
        }
    }
    assert_clean(&place.open()?)
}

#[test]
fn readers_share_and_keep_writers_out() -> Result<()> {
    let place = Place::new();
    place.open()?.close()?;
    let mut readers: Vec<Actor> =
        (0..4).map(|_| Actor::start_as(&actor(), "hold-read", &place.path(), &[])).collect();
    for reader in &mut readers {
        assert_eq!(reader.line().as_deref(), Some("ready"));
    }
    let writer = Actor::start_as(&actor(), "open", &place.path(), &[]).line().unwrap_or_default();
    assert!(writer.starts_with("locked "), "{writer}");
    for reader in readers {
        assert!(reader.finish());
    }
    assert_clean(&place.open()?)
}
