//! In `JournalMode::Wal` writers take turns, so the anomalies of writers cannot arise; readers see their snapshot.

use braid::Result;
use braid_tests::run_script_in_wal;

#[test]
fn a_second_writer_waits_its_turn_and_then_sees_the_first() -> Result<()> {
    run_script_in_wal("x1 w1(1=11) x2! w1(2=21) c1 x2 r2(1)=11 w2(2=22) c2", "1=11 2=22")
}

#[test]
fn g1a_aborted_writes_are_never_read() -> Result<()> {
    run_script_in_wal("x1 s2 w1(1=101) r2(1)=10 a1 r2(1)=10 c2 s3 r3(1)=10", "1=10 2=20")
}

#[test]
fn g1b_intermediate_writes_are_never_read() -> Result<()> {
    run_script_in_wal("x1 s2 w1(1=101) r2(1)=10 w1(1=11) c1 r2(1)=10 c2 s3 r3(1)=11", "1=11 2=20")
}

#[test]
fn otv_an_observed_transaction_does_not_vanish() -> Result<()> {
    run_script_in_wal(
        "x1 s3 w1(1=11) w1(2=19) c1 r3(1)=10 x2 w2(1=12) w2(2=18) r3(2)=20 c2 r3(2)=20 r3(1)=10 c3",
        "1=12 2=18",
    )
}

#[test]
fn pmp_a_predicate_keeps_its_answer() -> Result<()> {
    run_script_in_wal("s1 p1(=30)={} x2 i2(3=30) c2 p1(%3)={} c1", "1=10 2=20 3=30")
}

#[test]
fn p4_updates_are_not_lost() -> Result<()> {
    run_script_in_wal("x1 r1(1)=10 x2! w1(1=11) c1 x2 r2(1)=11 w2(1=12) c2", "1=12 2=20")
}

#[test]
fn g_single_read_skew_does_not_happen() -> Result<()> {
    run_script_in_wal("s1 r1(1)=10 x2 w2(1=12) w2(2=18) c2 r1(2)=20 c1", "1=12 2=18")
}

#[test]
fn g2_write_skew_does_not_happen() -> Result<()> {
    run_script_in_wal("x1 r1(1)=10 r1(2)=20 x2! w1(1=11) c1 x2 r2(1)=11 r2(2)=20 w2(2=21) c2", "1=11 2=21")
}

#[test]
fn own_writes_are_read() -> Result<()> {
    run_script_in_wal("x1 w1(1=11) i1(3=30) d1(2) r1(2)=none p1(*)={1:11,3:30} c1", "1=11 3=30")
}

#[test]
fn a_one_statement_write_takes_its_turn() -> Result<()> {
    run_script_in_wal("x1 w1(1=11) c1 o2(1=12) x1 r1(1)=12 c1", "1=12 2=20")
}
