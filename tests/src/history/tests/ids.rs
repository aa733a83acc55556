//! Ids of a sequence.

use super::*;

const GOES_ON: End = End::Killed(u64::MAX);

fn told((invoked, ended): (u64, u64), ids: Ids) -> ToldIds {
    ToldIds { invoked, ended, ids }
}

fn given(when: (u64, u64), handle: u64, id: u64) -> ToldIds {
    told(when, Ids::Given { handle, id })
}

fn opened(when: (u64, u64), handle: u64) -> ToldIds {
    told(when, Ids::Opened { handle, block: 10 })
}

fn dropped(when: (u64, u64), was_there: bool) -> ToldIds {
    told(when, Ids::Dropped(was_there))
}

/// Handles that nobody opens are opened before everything else of their life.
fn lives<const N: usize>(lives: [(Vec<ToldIds>, End); N]) -> Result<(), String> {
    let lives = lives
        .map(|(mut ids, end)| {
            for handle in 0..2 {
                let opens =
                    |told: &ToldIds| matches!(told.ids, Ids::Opened { handle: of, .. } if of == handle);
                if !ids.iter().any(opens) {
                    ids.push(opened((0, 0), handle));
                }
            }
            Life { end, ids, ..Life::of(Vec::new()) }
        })
        .to_vec();
    History { lives }.check().map(drop).map_err(|violation| violation.0)
}

#[track_caller]
fn fails<const N: usize>(broken: [(Vec<ToldIds>, End); N], why: &str) {
    let found = lives(broken).expect_err("the checker misses it");
    assert!(found.contains(why), "{found}");
}

#[test]
fn none_is_given_twice_in_any_life() {
    let two = |id| vec![given((1, 2), 0, 7), given((1, 3), 1, id)];
    assert_eq!(lives([(two(8), GOES_ON)]), Ok(()));
    fails([(two(7), GOES_ON)], "the id 7 is given twice");
    for end in [End::PowerCut, End::Killed(9)] {
        let after = |id| [(vec![given((1, 2), 0, 7)], end), (vec![given((11, 12), 0, id)], GOES_ON)];
        assert_eq!(lives(after(8)), Ok(()));
        fails(after(7), "life 1: the id 7 is given twice");
    }
    let dead = |end| [(vec![given((1, 9), 0, 7)], end), (vec![given((11, 12), 0, 7)], GOES_ON)];
    assert_eq!(lives(dead(End::Killed(9))), Ok(()), "nobody hears it");
    fails(dead(End::PowerCut), "twice");
}

#[test]
fn those_of_a_handle_grow() {
    let then = |handle| vec![given((1, 2), 0, 9), given((3, 4), handle, 7)];
    assert_eq!(lives([(then(1), GOES_ON)]), Ok(()));
    fails([(then(0), GOES_ON)], "came before, of the same handle");
}

#[test]
fn none_comes_below_what_it_was_raised_to() {
    let raised = |when, id| vec![told((1, 4), Ids::RaisedTo(9)), given(when, 0, id)];
    assert_eq!(lives([(raised((5, 6), 9), GOES_ON)]), Ok(()));
    assert_eq!(lives([(raised((3, 6), 8), GOES_ON)]), Ok(()), "it was asked for before the answer");
    fails([(raised((5, 6), 8), GOES_ON)], "raised to 9 before this");
    for (end, lasts) in [(End::PowerCut, true), (End::Killed(5), true), (End::Killed(4), false)] {
        let after = [(raised((2, 3), 1), end), (vec![given((11, 12), 0, 8)], GOES_ON)];
        assert_eq!(lives(after).is_err(), lasts, "{end:?}");
    }
}

#[test]
fn what_is_not_reserved_was_not_given() {
    let asked = |when, next| {
        let raised = told((1, 2), Ids::RaisedTo(5));
        vec![raised, given((3, 5), 0, 7), told(when, Ids::Unreserved(Some(next)))]
    };
    assert_eq!(lives([(asked((6, 7), 8), GOES_ON)]), Ok(()));
    assert_eq!(lives([(asked((4, 7), 6), GOES_ON)]), Ok(()), "it was given meanwhile");
    fails([(asked((6, 7), 7), GOES_ON)], "was given before this");
    fails([(asked((3, 4), 4), GOES_ON)], "raised to 5 before this");
}

/// A sequence of its own, from its opening by handle 1 on.
fn anew(id: u64) -> Vec<ToldIds> {
    vec![given((1, 2), 0, 7), dropped((3, 4), true), opened((5, 6), 1), given((7, 8), 1, id)]
}

#[test]
fn what_is_made_anew_begins_anew() {
    for id in [1, 7, 10] {
        assert_eq!(lives([(anew(id), GOES_ON)]), Ok(()));
    }
    fails([(anew(11), GOES_ON)], "nobody reserved 11");
    let raised = |when, id| {
        let mut ids = anew(id);
        ids.push(told(when, Ids::RaisedTo(30)));
        lives([(ids, GOES_ON)])
    };
    assert_eq!(raised((5, 7), 39), Ok(()), "it may have been raised by then");
    assert!(raised((9, 10), 11).is_err_and(|why| why.contains("nobody reserved")));
    // What was raised before the drop is not any more.
    assert_eq!(raised((1, 2), 3), Ok(()));
    assert!(raised((1, 2), 31).is_err_and(|why| why.contains("nobody reserved")));
    let not_dropped = |id| vec![given((1, 2), 0, 7), opened((5, 6), 1), given((7, 8), 1, id)];
    assert_eq!(lives([(not_dropped(11), GOES_ON)]), Ok(()));
    let unreserved = |next| {
        let mut ids = anew(1);
        ids.push(told((9, 10), Ids::Unreserved(Some(next))));
        ids
    };
    assert_eq!(lives([(unreserved(11), GOES_ON)]), Ok(()));
    fails([(unreserved(12), GOES_ON)], "nobody reserved 11");
}

#[test]
fn none_is_given_twice_in_the_life_of_a_sequence() {
    let again = |drop: (u64, u64), open| {
        vec![
            opened((0, 1), 0),
            given((2, 3), 0, 7),
            dropped(drop, true),
            opened(open, 1),
            given((9, 10), 1, 7),
        ]
    };
    assert_eq!(lives([(again((4, 5), (6, 7)), GOES_ON)]), Ok(()));
    assert_eq!(
        lives([(again((4, 7), (5, 6)), GOES_ON)]),
        Ok(()),
        "it may have been dropped before it was opened"
    );
    fails([(again((7, 8), (4, 5)), GOES_ON)], "its sequence was gone before");
    fails([(again((11, 12), (4, 5)), GOES_ON)], "the id 7 is given twice");
    let mut never = again((4, 5), (6, 7));
    never[2] = dropped((4, 5), false);
    fails([(never, GOES_ON)], "it was there, and nobody dropped it");
}

#[test]
fn a_handle_of_a_dropped_one_gives_nothing() {
    let uses =
        |when, ids| vec![opened((0, 1), 0), given((2, 3), 0, 1), dropped((4, 6), true), told(when, ids)];
    let (gone, id) = (Ids::Gone { handle: 0 }, Ids::Given { handle: 0, id: 2 });
    assert_eq!(lives([(uses((7, 8), gone), GOES_ON)]), Ok(()));
    fails([(uses((7, 8), id), GOES_ON)], "its sequence was gone before");
    for ids in [gone, id] {
        assert_eq!(lives([(uses((5, 8), ids), GOES_ON)]), Ok(()), "beside the drop it is either");
    }
    fails([(vec![opened((0, 1), 0), told((2, 3), gone)], GOES_ON)], "nobody dropped it");
    let of_the_next = vec![dropped((1, 2), true), opened((3, 4), 0), told((5, 6), gone)];
    fails([(of_the_next, GOES_ON)], "nobody dropped it");
    let by_nobody = vec![dropped((1, 2), false), opened((3, 4), 0)];
    fails([(by_nobody, GOES_ON)], "it was there");
}

#[test]
fn what_is_there_was_made_and_what_is_not_was_dropped() {
    let asked = |next| vec![told((9, 10), Ids::Unreserved(next))];
    assert_eq!(lives([(asked(Some(1)), GOES_ON)]), Ok(()));
    fails([(asked(None), GOES_ON)], "it was there, and nobody dropped it");
    let after_a_drop = |next| vec![dropped((1, 2), true), told((3, 4), Ids::Unreserved(next))];
    assert_eq!(lives([(after_a_drop(None), GOES_ON)]), Ok(()));
    fails([(after_a_drop(Some(1)), GOES_ON)], "nobody had made it");
    fails([(vec![dropped((1, 2), true), dropped((3, 4), true)], GOES_ON)], "nobody had made it");
    assert_eq!(lives([(vec![dropped((1, 2), true), dropped((3, 4), false)], GOES_ON)]), Ok(()));
}

#[test]
fn a_drop_lasts_and_one_in_doubt_stays_in_doubt() {
    let no_handle = |ids: Vec<ToldIds>| Life { ids, ..Life::of(Vec::new()) };
    let then = |end, ended, next| {
        let first = vec![opened((0, 1), 0), given((2, 3), 0, 7), dropped((4, ended), true)];
        let lives =
            vec![Life { end, ..no_handle(first) }, no_handle(vec![told((21, 22), Ids::Unreserved(next))])];
        History { lives }.check().map(drop).map_err(|violation| violation.0)
    };
    for end in [End::Killed(9), End::PowerCut] {
        assert_eq!(then(end, 5, None), Ok(()), "{end:?}");
        assert!(then(end, 5, Some(11)).is_err_and(|why| why.contains("nobody had made it")), "{end:?}");
        // It failed, and may have come through.
        for next in [None, Some(11)] {
            assert_eq!(then(end, u64::MAX, next), Ok(()), "{end:?}");
        }
    }
    for next in [None, Some(11)] {
        assert_eq!(then(End::Killed(5), 6, next), Ok(()), "nobody hears it");
    }
    // But not once the life is over in which it was tried.
    let lives = |later: Vec<ToldIds>| {
        let tried = vec![opened((0, 1), 0), given((2, 3), 0, 7), dropped((4, u64::MAX), true)];
        let first = Life { end: End::PowerCut, ..no_handle(tried) };
        History { lives: vec![first, no_handle(later)] }.check().map(drop).map_err(|violation| violation.0)
    };
    let later = |next, id| {
        let asked = told((21, 22), Ids::Unreserved(next));
        vec![
            asked,
            opened((23, 24), 0),
            given((25, 26), 0, id),
            told((27, 28), Ids::Unreserved(Some(id + 1))),
        ]
    };
    assert_eq!((lives(later(Some(11), 11)), lives(later(None, 1))), (Ok(()), Ok(())));
    assert!(lives(later(None, 11)).is_err(), "it is gone, and what is made then begins anew");
    let gone = vec![opened((21, 22), 0), told((23, 24), Ids::Gone { handle: 0 })];
    assert!(lives(gone).is_err_and(|why| why.contains("nobody dropped it")));
}
