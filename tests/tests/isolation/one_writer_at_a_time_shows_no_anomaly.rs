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

#[test]
fn g0_dirty_writes_do_not_interleave() -> Result<()> {
    run_script_in_wal("x1 w1(1=11) x2! s3 r3(1)=10 w1(2=21) c1 x2 w2(1=12) r3(2)=20 w2(2=22) c2", "1=12 2=22")
}

#[test]
fn g1c_information_does_not_flow_in_circles() -> Result<()> {
    run_script_in_wal(
        "x1 s2 w1(1=11) r2(1)=10 x3! r1(2)=20 c1 r2(1)=10 r2(2)=20 c2 x3 w3(2=22) r3(1)=11 c3",
        "1=11 2=22",
    )
}

#[test]
fn pmp_a_write_by_predicate_sees_what_came_before() -> Result<()> {
    run_script_in_wal(
        "x1 W1(*+10) s3 p3(*)={1:10,2:20} x2! c1 x2 p2(*)={1:20,2:30} D2(=20) c2 p3(=20)={2:20}",
        "2=30",
    )
}

#[test]
fn g_single_read_skew_by_predicate_does_not_happen() -> Result<()> {
    run_script_in_wal("s1 p1(%5)={1:10,2:20} x2 W2(=10,12) c2 p1(%3)={} c1 s3 p3(%3)={1:12} c3", "1=12 2=20")
}

#[test]
fn g_single_no_writer_is_skewed() -> Result<()> {
    run_script_in_wal(
        "s3 r3(1)=10 x1 r1(1)=10 x2! D1(=20) r1(2)=none c1 x2 r2(1)=10 r2(2)=none w2(1=12) w2(2=18) c2 r3(2)=20 c3",
        "1=12 2=18",
    )
}

#[test]
fn g_single_a_rolled_back_rival_does_not_count() -> Result<()> {
    run_script_in_wal(
        "s3 x1 r1(1)=10 D1(=20) x2! a1 x2 r2(1)=10 r2(2)=20 w2(1=12) w2(2=18) c2 r3(1)=10 r3(2)=20 c3",
        "1=12 2=18",
    )
}

#[test]
fn g2_write_skew_by_predicate_does_not_happen() -> Result<()> {
    run_script_in_wal(
        "x1 p1(%3)={} s3 x2! i1(3=30) c1 x2 p2(%3)={3:30} i2(4=42) c2 p3(%3)={} c3",
        "1=10 2=20 3=30 4=42",
    )
}

#[test]
fn g2_two_edges_do_not_close() -> Result<()> {
    run_script_in_wal(
        "s1 p1(*)={1:10,2:20} x2 W2(=20,25) c2 s3 p3(*)={1:10,2:25} c3 p1(*)={1:10,2:20} c1 x1 p1(*)={1:10,2:25} w1(1=0) c1",
        "1=0 2=25",
    )
}

#[test]
fn long_fork_does_not_happen() -> Result<()> {
    run_script_in_wal(
        "x1 w1(1=11) s3 r3(1)=10 c1 s4 r4(1)=11 r4(2)=20 x2 w2(2=22) c2 r3(2)=20 r4(2)=20 r3(1)=10 c3 c4 s5 r5(1)=11 r5(2)=22 c5",
        "1=11 2=22",
    )
}

#[test]
fn of_two_inserts_of_one_key_the_second_finds_the_first() -> Result<()> {
    run_script_in_wal("x1 r1(3)=none i1(3=30) x2! c1 x2 r2(3)=30 w2(3=31) c2", "1=10 2=20 3=31")
}

#[test]
fn an_update_and_a_delete_take_turns() -> Result<()> {
    run_script_in_wal(
        "x1 w1(1=11) s3 x2! c1 x2 r2(1)=11 d2(1) r2(1)=none c2 x1 r1(1)=none d1(1) c1 r3(1)=10 x2 i2(1=13) c2",
        "1=13 2=20",
    )
}

#[test]
fn what_a_savepoint_takes_back_is_not_committed() -> Result<()> {
    run_script_in_wal(
        "x1 s2 w1(2=21) m1 w1(1=11) d1(2) r1(2)=none t1 r1(1)=10 r1(2)=21 r2(2)=20 c1 r2(2)=20 c2 s3 r3(2)=21",
        "1=10 2=21",
    )
}

#[test]
fn a_read_only_snapshot_is_never_busy() -> Result<()> {
    run_script_in_wal(
        "s1 r1(1)=10 x2 w2(1=12) w2(2=18) c2 r1(1)=10 x3 d3(1) i3(3=30) c3 p1(*)={1:10,2:20} c1 s4 p4(*)={2:18,3:30} c4",
        "2=18 3=30",
    )
}

#[test]
fn an_acknowledged_commit_is_seen_by_the_next() -> Result<()> {
    run_script_in_wal(
        "x1 w1(1=11) c1 x2 r2(1)=11 w2(1=12) c2 s3 r3(1)=12 c3 x1 r1(1)=12 w1(1=13) c1",
        "1=13 2=20",
    )
}
