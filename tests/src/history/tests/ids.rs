//! Ids of a sequence.

use super::*;

const GOES_ON: End = End::Killed(u64::MAX);

fn told((invoked, ended): (u64, u64), ids: Ids) -> ToldIds {
    ToldIds { invoked, ended, ids }
}

fn given(when: (u64, u64), handle: u64, id: u64) -> ToldIds {
    told(when, Ids::Given { handle, id })
}

fn lives<const N: usize>(lives: [(Vec<ToldIds>, End); N]) -> Result<(), String> {
    let lives = lives.map(|(ids, end)| Life { end, ids, ..Life::of(Vec::new()) }).to_vec();
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
        vec![raised, given((3, 5), 0, 7), told(when, Ids::Unreserved(next))]
    };
    assert_eq!(lives([(asked((6, 7), 8), GOES_ON)]), Ok(()));
    assert_eq!(lives([(asked((4, 7), 6), GOES_ON)]), Ok(()), "it was given meanwhile");
    fails([(asked((6, 7), 7), GOES_ON)], "was given before this");
    fails([(asked((3, 4), 4), GOES_ON)], "raised to 5 before this");
}
