//! What transactions that run at the same time see of each other.
//!
//! The anomalies carry the names that the literature gives them (Adya; the cases follow the Hermitage suite). Every one
//! runs through sibling handles on threads of their own, once with its rows in the row store, once with them in the
//! tree, and once with a checkpoint after each step.

mod a_changed_table_is_busy_for_its_users;
mod a_commit_answers_for_what_it_read_and_no_more;
mod a_delete_conflicts_with_a_delete;
mod a_phantom_in_an_index_range_stays_out;
mod a_read_only_snapshot_is_never_busy;
mod a_read_only_transaction_is_never_busy;
mod a_unique_index_race_has_one_winner;
mod an_acknowledged_commit_is_seen_by_the_next;
mod an_autocommit_write_conflicts_with_a_transaction;
mod an_update_conflicts_with_a_delete;
mod desk;
mod disjoint_writers_do_not_conflict;
mod g0_dirty_writes_do_not_interleave;
mod g1a_aborted_writes_are_never_read;
mod g1b_intermediate_writes_are_never_read;
mod g1c_information_does_not_flow_in_circles;
mod g2_item_write_skew_is_refused_when_asked;
mod g2_two_edges_are_refused_when_asked;
mod g2_write_skew_by_predicate_is_refused_when_asked;
mod g_single_a_rolled_back_rival_does_not_count;
mod g_single_a_skewed_writer_is_refused;
mod g_single_read_skew_by_predicate_does_not_happen;
mod g_single_read_skew_does_not_happen;
mod histories_replay_in_commit_order;
mod long_fork_does_not_happen;
mod one_writer_at_a_time_shows_no_anomaly;
mod otv_an_observed_transaction_does_not_vanish;
mod own_writes_are_read;
mod p4_lost_updates_are_refused;
mod pmp_a_predicate_keeps_its_answer;
mod pmp_a_write_by_predicate_conflicts;
mod two_inserts_of_one_key_conflict;
mod what_a_savepoint_takes_back_is_not_validated;

/// A script of steps with the rows that it leaves under each isolation level.
macro_rules! case {
    ($steps:literal, snapshot: $snapshot:literal, serializable: $serializable:literal) => {
        #[test]
        fn under_snapshot() -> braid::Result<()> {
            braid_tests::run_script(braid::Isolation::Snapshot, $steps, $snapshot)
        }

        #[test]
        fn under_serializable() -> braid::Result<()> {
            braid_tests::run_script(braid::Isolation::Serializable, $steps, $serializable)
        }
    };
}
pub(crate) use case;
