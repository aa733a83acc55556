//! What is known to find each bug: tried first, and listed in `docs/testing.md`.
//!
//! A line names a test program and a test in it (`wal the_test`), or a command (`sim histories --transactions 4000`).

/// What finds a bug, the quickest first.
pub fn known(bug: &str) -> impl Iterator<Item = &'static str> + use<> {
    KNOWN.iter().find(|(name, _)| *name == bug).into_iter().flat_map(|(_, lines)| lines.iter().copied())
}

/// Everything that finds some bug, each once.
pub fn all_known() -> std::collections::BTreeSet<&'static str> {
    KNOWN.iter().flat_map(|(_, lines)| lines.iter().copied()).collect()
}

const KNOWN: &[(&str, &[&str])] = &[
    (
        "TokenWithoutTimestamp",
        &[
            "engine/tokens_tell_what_was_committed a_token_is_answered_once_it_is_committed",
            "sim histories --transactions 4000",
            "sim crash-states --workload tokens --states 2000",
        ],
    ),
    (
        "TokenRetentionNotCompared",
        &["engine options::tests::a_second_handle_with_another_one_is_refused_by_its_name"],
    ),
    (
        "TokenForgottenEarly",
        &[
            "engine/tokens_tell_what_was_committed old_tokens_are_forgotten_and_young_ones_are_not",
            "sim crash-states --workload tokens --states 2000",
        ],
    ),
    (
        "LogSyncSkipped",
        &[
            "wal tests::crashes::a_power_cut_at_any_operation_loses_nothing_acknowledged",
            "sim crash-states --states 2000",
        ],
    ),
    ("FailedSyncRetried", &["tests/durability a_failed_sync_poisons_the_core"]),
    ("FollowerWokenEarly", &["wal group::tests::native::a_failure_reaches_everybody_and_stops_durable"]),
    (
        "WakerLost",
        &[
            "engine/commits_hold_no_thread it_waits_for_the_sync_and_is_woken_by_it",
            "wal group::tests::futures::native::threads_and_futures_are_all_covered",
        ],
    ),
    ("HolderNeverLeads", &["wal group::tests::native::who_holds_a_sync_leads_when_the_time_is_up"]),
    ("OneTooManyAwaited", &["wal group::tests::native::who_commits_is_awaited_and_who_does_not_is_not"]),
    ("ServerNotCalled", &["wal group::tests::futures::native::the_last_one_is_not_forgotten"]),
    (
        "KeeperNeverLooks",
        &["wal group::tests::futures::native::the_server_leads_when_the_time_of_those_who_do_not_come_is_up"],
    ),
    ("ReadyBeforeSync", &["engine/commits_hold_no_thread it_waits_for_the_sync_and_is_woken_by_it"]),
    ("LoanNotTakenBack", &["engine/the_gate_is_fair a_future_that_nobody_polls_holds_nobody_up"]),
    (
        "TurnNotTakenBack",
        &[
            "engine/transactions_hold_no_thread one_whose_turn_has_come_and_that_nobody_polls_holds_nobody_up",
            "engine core::gate::tests::a_future_that_is_not_polled_is_overtaken_and_keeps_its_place",
        ],
    ),
    (
        "GateNotLookedAfter",
        &[
            "engine core::gate::tests::one_who_looks_is_enough_for_all_who_wait",
            "engine/transactions_hold_no_thread nobody_is_woken_for_nothing",
        ],
    ),
    (
        "OfferOutlivesPass",
        &["engine core::gate::tests::a_commit_that_passes_takes_the_gate_from_nobody_for_good"],
    ),
    (
        "SeatKept",
        &["engine/transactions_hold_no_thread dropped_while_it_waits_for_its_turn_it_is_in_nobodys_way"],
    ),
    ("TimerLost", &["engine/transactions_hold_no_thread it_is_woken_when_its_time_has_come"]),
    ("EndTakenAfterSync", &["wal group::tests::native::a_failure_reaches_everybody_and_stops_durable"]),
    (
        "OneSegmentSynced",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "SegmentNameNotSynced",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "FreshNameNotSynced",
        &[
            "wal tests::crashes::a_crash_while_the_log_is_created_leaves_all_or_nothing",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "FreshSegmentNotSynced",
        &[
            "wal tests::crashes::a_crash_while_the_log_is_created_leaves_all_or_nothing",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "LogFolderNotSynced",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "PageCacheTrusted",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "FoldedBeforeTheLog",
        &[
            "engine/recovery_survives_a_power_cut a_power_cut_while_a_recovery_folds_leaves_no_hole_in_the_change_feed",
        ],
    ),
    (
        "RowsOfAFailedFoldLost",
        &["engine/opens_outlive_a_fold_that_fails a_full_disk_while_an_open_folds_keeps_nobody_out"],
    ),
    ("NamedSegmentTakenForSpare", &["wal tests::scarcity::the_segment_that_the_log_went_on_in_is_no_spare"]),
    (
        "WrongSalt",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "DurableOverstated",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim crash-states --states 2000",
        ],
    ),
    ("PoisonedLogAppends", &["wal tests::failures::a_failed_sync_poisons_for_good_and_moves_nothing"]),
    (
        "HalfHeaderForgiven",
        &["wal tests::failures::a_full_disk_takes_the_record_back_and_goes_on_when_there_is_room"],
    ),
    ("ClosedBeforeSync", &["wal tests::crashes::a_power_cut_at_any_operation_loses_nothing_acknowledged"]),
    (
        "ClosedWithoutSync",
        &["wal tests::io_faults::a_call_that_moves_nothing_is_an_error_and_no_endless_loop"],
    ),
    ("SegmentReleasedEarly", &["wal tests::segments::nothing_that_is_not_durable_is_released"]),
    (
        "SuccessorNotSynced",
        &["wal tests::failures::a_segment_stays_until_something_of_the_next_one_is_on_the_disk"],
    ),
    ("SpareOutranksTheLog", &["wal tests::damage::salvage_takes_no_spare_for_the_end_of_the_log"]),
    ("UnreadableTakenForUnused", &["wal tests::bad_sectors::a_segment_of_which_nothing_can_be_read_is_told"]),
    (
        "SpareKeepsHeader",
        &["wal tests::segments::released_segments_are_reused_and_their_stale_records_stay_dead"],
    ),
    (
        "StaleTailRevived",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim crash-states --states 2000",
        ],
    ),
    ("CutNotRefused", &["wal tests::damage::a_fresh_segment_without_its_header_is_damage"]),
    ("MetaPageNotBelieved", &["wal tests::damage::cut_at_every_byte_the_log_is_a_prefix_or_refused"]),
    (
        "LostSegmentPassedOver",
        &["tests/durability misplaced_files_are_refused::every_single_missing_segment"],
    ),
    (
        "PayloadUnchecked",
        &[
            "wal tests::crashes::a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "HeaderUnchecked",
        &[
            "wal record::tests::a_header_of_another_database_or_with_a_flipped_bit_is_none",
            "sim crash-states --states 2000",
        ],
    ),
    ("ForeignLogAccepted", &["wal tests::segments::missing_foreign_and_newer_logs_are_told_apart"]),
    (
        "OneKeyValidated",
        &["mvstore commit::tests::the_first_committer_wins", "sim histories --transactions 4000"],
    ),
    (
        "DeleteNoConflict",
        &["mvstore commit::tests::the_first_committer_wins", "sim histories --transactions 4000"],
    ),
    (
        "NewerVersionRead",
        &[
            "mvstore chain::tests::a_reader_sees_the_newest_version_that_is_not_later",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "TrimmedTooFar",
        &["mvstore chain::tests::readers_and_trims_get_along", "sim histories --transactions 4000"],
    ),
    (
        "FilterForgets",
        &["mvstore commit::tests::installing_spends_the_write_set", "sim histories --transactions 4000"],
    ),
    (
        "UpperHalfForgotten",
        &[
            "mvstore index::tests::it_holds_what_was_put_in_whatever_the_order",
            "sim histories --transactions 4000",
        ],
    ),
    ("SplitByKey", &["mvstore index::tests::a_split_that_comes_late_has_no_effect"]),
    (
        "PhantomUnseen",
        &["mvstore scan::tests::ranges_know_their_newest_change", "sim histories --transactions 4000"],
    ),
    (
        "RangeEndUnchecked",
        &[
            "engine/serializable_conflicts_are_exact a_range_conflicts_up_to_its_ends_and_no_further",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "TombstoneOverlooked",
        &[
            "mvstore generation::tests::snapshots_see_what_was_committed_when_they_began",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "FirstCommitSkipped",
        &["mvstore commit::tests::installing_spends_the_write_set", "sim crash-states --states 2000"],
    ),
    (
        "SlotNotWatched",
        &[
            "mvstore registry::tests::a_begin_in_progress_counts_for_every_generation",
            "sim histories --transactions 4000",
        ],
    ),
    ("GroupClosedEarly", &["mvstore registry::slots::tests::survivors_of_a_burst_are_seen"]),
    (
        "SweptInTwoLooks",
        &["mvstore registry::slots::tests::a_sweep_takes_the_views_of_a_group_that_is_opened_meanwhile"],
    ),
    ("TimestampFirst", &["mvstore registry::tests::a_begin_in_progress_counts_for_every_generation"]),
    ("ViewNotLookedAtAgain", &["mvstore registry::tests::a_begin_whose_view_is_replaced_takes_the_new_one"]),
    (
        "OldestReplayed",
        &[
            "mvstore replay::tests::only_the_newest_version_of_each_row_is_kept",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "DeleteNotFolded",
        &["engine base::tests::damage::salvage_gives_the_rest", "sim histories --transactions 4000"],
    ),
    (
        "DataNotSynced",
        &[
            "engine base::tests::failing::a_power_cut_leaves_the_old_base_or_the_new_one",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "MetaPageNotSynced",
        &[
            "engine base::tests::failing::a_power_cut_leaves_the_old_base_or_the_new_one",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "MetaPageOverwritten",
        &[
            "engine base::tests::failing::a_power_cut_leaves_the_old_base_or_the_new_one",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "PagesReusedAtOnce",
        &[
            "engine base::tests::failing::a_fold_that_fails_anywhere_can_be_tried_again",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "PagesNotWithheld",
        &["engine base::tests::readers::a_cursor_outlives_everything", "sim histories --transactions 4000"],
    ),
    ("StalePageAccepted", &["engine base::tests::damage::stale_and_misdirected_pages_are_found"]),
    ("PageUnchecked", &["engine base::tests::damage::salvage_gives_the_rest"]),
    ("LongValueUnchecked", &["engine base::tests::damage::salvage_gives_the_rest"]),
    (
        "MetaPageUnchecked",
        &[
            "engine base::tests::damage::every_flipped_byte_is_found_or_harmless",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "AcknowledgedBeforeSync",
        &[
            "tests/durability a_damaged_file_is_never_believed::flipped_bits_in_the_records_of_a_log",
            "sim crash-states --states 2000",
        ],
    ),
    ("AckedAtInstall", &["tests/durability a_failed_sync_poisons_the_core::of_the_log_under_one_writer"]),
    (
        "ReadsNotAwaited",
        &["engine/nobody_is_told_before_it_stands a_writer_that_saw_a_commit_answers_once_that_stands"],
    ),
    (
        "DoubtAcknowledged",
        &["engine core::commit::tests::who_read_what_is_in_doubt_is_not_told_that_it_stands"],
    ),
    (
        "PublishedBeforeInstall",
        &[
            "tests/isolation a_unique_index_race_has_one_winner::many_threads_claim_few_values",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "FullDiskIgnored",
        &["tests/durability interrupted_and_short_calls_are_finished::a_write_of_nothing_ends_in_an_error"],
    ),
    (
        "GateNotLookedAt",
        &[
            "tests/isolation histories_replay_in_commit_order::under_serializable_with_a_tiny_row_store",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "CommitterNotAwaited",
        &["engine/an_exclusive_transaction_waits_for_the_commit_under_way it_sees_what_that_one_writes"],
    ),
    (
        "HistoryNotValidated",
        &[
            "tests/isolation a_delete_conflicts_with_a_delete::under_serializable",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "ReadsNotValidated",
        &[
            "tests/isolation g1c_information_does_not_flow_in_circles::under_serializable",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "DropNotValidated",
        &[
            "tests/transactions a_dropped_table_is_busy_for_its_writers::the_commit_is_refused_and_nothing_of_it_applied",
        ],
    ),
    (
        "HistoryForgotten",
        &[
            "tests/isolation a_delete_conflicts_with_a_delete::under_serializable",
            "sim histories --transactions 4000",
        ],
    ),
    ("FloorNotRaised", &["engine/history_given_up_is_told by_an_error_that_can_be_retried"]),
    (
        "SealedDroppedEarly",
        &[
            "tests/isolation histories_replay_in_commit_order::under_serializable_with_the_usual_sizes",
            "sim histories --transactions 4000",
        ],
    ),
    ("SealNotSynced", &["tests/durability a_kill_before_a_power_cut_opens_no_hole::over_random_workloads"]),
    ("LogReleasedEarly", &["tests/transactions reads_match_a_model::in_every_layer"]),
    ("ReservationForgotten", &["engine/no_timestamp_is_issued_twice not_after_any_number_of_power_cuts"]),
    ("ReservationNotSynced", &["engine/no_timestamp_is_issued_twice not_after_any_number_of_power_cuts"]),
    ("LockNotTaken", &["tests/sharing a_second_process_is_locked_out::while_the_first_one_lives"]),
    ("TrimmedToInstalled", &["engine/what_stands_is_never_trimmed while_many_commits_wait"]),
    (
        "SnapshotAtInstalled",
        &[
            "tests/durability a_failed_sync_poisons_the_core::of_the_log_under_many_writers",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "DeferredNeverSynced",
        &[
            "engine/deferred_commits_are_synced_before_long without_any_other_commit",
            "sim crash-states --states 2000",
        ],
    ),
    (
        "ModeNotLogged",
        &["tests/isolation histories_replay_in_commit_order::under_serializable_with_the_usual_sizes"],
    ),
    ("TableIdReused", &["tests/sharing tables_last::a_dropped_table_is_gone_and_its_id_with_it"]),
    ("LoadInOneMetaBlock", &["engine/a_load_is_all_or_nothing a_damaged_meta_block_takes_no_rows_along"]),
    (
        "AcknowledgedByName",
        &["engine/the_feed_tells_what_stands a_late_acknowledgement_is_not_for_who_took_the_name"],
    ),
    ("BackupInOneMetaBlock", &["engine/a_backup_outlives_damage a_damaged_meta_page_takes_nothing"]),
    ("EmptyForALostMetaPage", &["engine/a_backup_outlives_damage no_other_file_passes_for_an_empty_one"]),
    ("LoadSeenEarly", &["engine/a_load_is_all_or_nothing nobody_sees_it_before_it_is_whole"]),
    ("OrphanTreeKept", &["engine/a_load_is_all_or_nothing a_power_cut_before_the_end_leaves_nothing"]),
    ("PoisonedCoreAdmits", &["tests/durability a_failed_sync_poisons_the_core::of_the_log_under_one_writer"]),
    (
        "SiblingNotFound",
        &[
            "tests/isolation a_delete_conflicts_with_a_delete::under_snapshot",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "RunIntoFence",
        &[
            "engine base::tests::runs::a_run_ends_before_its_fence_and_at_the_edge_of_its_leaf",
            "engine/failures_leave_it_usable a_step_that_could_not_read_is_made_again_and_misses_nothing",
        ],
    ),
    (
        "SealedNotScanned",
        &[
            "tests/isolation histories_replay_in_commit_order::under_serializable_with_the_usual_sizes",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "DeleteNotUndone",
        &[
            "mvstore write_set::tests::savepoints_bring_back_what_was",
            "sim run --seeds 0..400",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "RollbackUnnoticed",
        &["tests/transactions savepoints_take_back_what_came_after::a_cursor_goes_on_from_where_it_stands"],
    ),
    (
        "InnerUndoForgotten",
        &["mvstore write_set::tests::savepoints_bring_back_what_was", "sim run --seeds 0..400"],
    ),
    ("OverflowWraps", &["mvstore update::tests::what_cannot_be_made_is_refused", "sim run --seeds 0..400"]),
    (
        "UpdateNotUndone",
        &[
            "tests/transactions updates_of_one_row_do_not_conflict::a_savepoint_takes_them_back",
            "sim run --seeds 0..400",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "BaseNotLookedAtAgain",
        &[
            "tests/transactions updates_of_one_row_do_not_conflict::sixteen_writers_of_one_counter_lose_nothing",
        ],
    ),
    (
        "SealedNotUpdated",
        &[
            "tests/transactions updates_of_one_row_do_not_conflict::above_a_checkpoint_that_has_sealed_and_could_not_write",
            "sim run --seeds 0..400",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "ReadLeavesUpdateBlind",
        &[
            "tests/transactions updates_of_one_row_do_not_conflict::unless_the_row_was_looked_at",
            "sim run --seeds 0..400",
        ],
    ),
    ("LookForgotten", &["tests/transactions an_update_of_a_row_looked_at_is_a_write::under_snapshot"]),
    (
        "UnsettledNotValidated",
        &[
            "tests/transactions an_update_of_a_row_looked_at_is_a_write::what_cannot_be_made_of_a_row_that_has_moved_on_may_be_tried_again",
        ],
    ),
    ("PassedForgotten", &["tests/transactions an_update_of_a_row_looked_at_is_a_write::under_snapshot"]),
    ("UntrackedForgets", &["tests/transactions an_update_of_a_row_looked_at_is_a_write::under_snapshot"]),
    (
        "ReadsTakenBack",
        &[
            "tests/transactions an_update_of_a_row_looked_at_is_a_write::under_snapshot",
            "tests/transactions an_update_of_a_row_looked_at_is_a_write::under_serializable",
        ],
    ),
    ("LookedTableNotValidated", &["tests/isolation a_changed_table_is_busy_for_its_users::under_snapshot"]),
    (
        "UpdateBeyondSettled",
        &[
            "tests/transactions updates_of_one_row_do_not_conflict::a_scan_that_ends_before_the_row_leaves_it_alone",
        ],
    ),
    ("GuessLogged", &["sim run --seeds 0..400"]),
    (
        "OwnWriteOvertaken",
        &[
            "tests/transactions cursors_survive_writes_of_their_transaction::random_writes_under_a_walking_cursor",
        ],
    ),
    (
        "EmptyRangeNotRecorded",
        &["tests/isolation g2_write_skew_by_predicate_is_refused_when_asked::under_serializable"],
    ),
    (
        "GapNotRecorded",
        &[
            "tests/isolation histories_replay_in_commit_order::under_serializable_with_the_usual_sizes",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "OwnTombstoneOverlooked",
        &[
            "tests/isolation g_single_a_skewed_writer_is_refused::under_serializable",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "ClosedNotLookedAtAgain",
        &[
            "engine/clones_read_on_other_threads a_commit_under_a_read_takes_nothing_from_it",
            "engine transaction::inner::tests::what_was_let_in_before_the_commit_is_told_behind_it",
        ],
    ),
    (
        "TakenBackReadsNothing",
        &["engine/clones_read_on_other_threads an_update_that_is_taken_back_under_a_read_leaves_the_row"],
    ),
    (
        "LookupNotRecorded",
        &[
            "tests/isolation g1c_information_does_not_flow_in_circles::under_serializable",
            "sim histories --transactions 4000",
        ],
    ),
    ("RenameNotValidated", &["tests/isolation a_changed_table_is_busy_for_its_users::under_snapshot"]),
    (
        "SchemaAppliedEarly",
        &["tests/isolation a_changed_table_is_busy_for_its_users::two_changes_of_one_name_conflict"],
    ),
    (
        "NewestNameFound",
        &[
            "tests/isolation a_changed_table_is_busy_for_its_users::under_snapshot",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "BlockNotSynced",
        &[
            "engine/sequences_never_repeat a_power_cut_at_any_step_repeats_nothing",
            "sim crash-states --workload sequences --states 2000",
        ],
    ),
    (
        "BlockNotReserved",
        &[
            "engine/sequences_never_repeat reopens_backups_and_salvage_go_on_after_what_was_reserved",
            "sim histories --transactions 4000",
            "sim crash-states --workload sequences --states 2000",
        ],
    ),
    (
        "FeedReadsUnsynced",
        &[
            "engine/the_feed_tells_what_stands nothing_before_it_is_on_the_disk_and_then_all_of_it",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "FeedResumesInclusive",
        &[
            "engine/the_feed_tells_what_stands every_kind_of_change_in_its_order",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "ConsumerOverrun",
        &["engine/the_feed_tells_what_stands a_consumer_goes_on_where_it_was_after_closes_and_crashes"],
    ),
    ("PositionTrustedEarly", &["engine/the_feed_tells_what_stands a_position_counts_when_it_is_durable"]),
    (
        "FeedSkipsAtRotation",
        &[
            "engine/the_feed_tells_what_stands it_follows_over_segments_and_checkpoints_and_large_values",
            "wal tests::history::what_is_durable_and_nothing_else",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "NotesNotRead",
        &[
            "engine core::reads::tests::what_comes_while_others_look_is_seen",
            "sim histories --transactions 4000",
        ],
    ),
    ("NotesForgotten", &["engine core::recent::tests::it_is_bounded_and_says_what_it_has_dropped"]),
    ("HorizonAfterView", &["engine core::reads::tests::what_comes_while_others_look_is_seen"]),
    (
        "RevokedNotTold",
        &[
            "engine/revoked_snapshots_let_go one_that_keeps_too_much_is_revoked_and_says_so",
            "sim run --seeds 0..2000",
            "tests/fuzzing seeds::random_operations_pass",
        ],
    ),
    (
        "RevokedDuringRead",
        &["engine transaction::inner::tests::what_is_read_while_it_is_revoked_is_not_passed_back"],
    ),
    (
        "RevokedCommits",
        &[
            "engine/revoked_snapshots_let_go a_revoked_writer_overwrites_nothing_and_holds_nobody_up",
            "tests/fuzzing seeds::random_operations_pass",
        ],
    ),
    ("RevokedFloorNotRaised", &["engine core::leases::tests::history_that_goes_raises_the_floor"]),
    (
        "RevokedKeepsView",
        &["engine/revoked_snapshots_let_go its_memory_and_pages_go_though_nobody_touches_it"],
    ),
    (
        "LeasesNeverRest",
        &["engine/revoked_snapshots_let_go an_age_that_is_far_off_is_not_looked_at_again_and_again"],
    ),
    ("PageOfAnotherFileTaken", &["engine base::tests::readers::a_page_of_another_file_is_none_of_ones_own"]),
    ("BackupNameNotSynced", &["engine/a_backup_outlives_a_power_cut with_all_its_rows"]),
    (
        "BackupReplaces",
        &["engine/a_backup_takes_no_name_from_anybody a_database_made_meanwhile_keeps_its_name_and_commits"],
    ),
    (
        "NeverEscalated",
        &["engine/retries_are_accounted_for reads_and_turns_are_reported_too", "sim run --seeds 0..2000"],
    ),
    (
        "LossCountedAsAbsorbed",
        &[
            "engine/retries_are_accounted_for a_report_tells_what_was_absorbed_and_what_escaped",
            "sim run --seeds 0..2000",
        ],
    ),
    (
        "StatementLossForgotten",
        &[
            "engine/retries_are_accounted_for a_loss_that_a_statement_tells_is_counted_once",
            "sim run --seeds 0..2000",
        ],
    ),
    (
        "WaitNotTold",
        &[
            "engine/retries_are_accounted_for an_outcome_tells_attempts_and_time_lost",
            "sim run --seeds 0..2000",
        ],
    ),
    (
        "PanicNotRolledBack",
        &["engine/panics_leave_it_usable a_thread_that_dies_takes_its_transaction_with_it"],
    ),
    (
        "KindsMixedUp",
        &["engine/retries_are_accounted_for reads_and_turns_are_reported_too", "sim run --seeds 0..2000"],
    ),
    ("HottestEvicted", &["engine conflicts::sketch::tests::counts_are_within_their_errors"]),
    (
        "TokenToldEarly",
        &["engine/tokens_tell_what_was_committed a_token_is_not_answered_before_its_commit_stands"],
    ),
    (
        "DoubtDenied",
        &["engine/tokens_tell_what_was_committed what_is_not_known_is_answered_after_the_next_open"],
    ),
    (
        "TokenTakenAgain",
        &[
            "engine/tokens_tell_what_was_committed one_that_lost_is_not_answered_and_can_be_tried_again",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "QuietSessionTells",
        &["engine/retries_are_accounted_for the_file_tells_the_next_sessions", "sim run --seeds 0..2000"],
    ),
    (
        "MemoNotCarried",
        &["engine/retries_are_accounted_for the_file_tells_the_next_sessions", "sim run --seeds 0..2000"],
    ),
    (
        "MemoTooLong",
        &["engine conflicts::past::tests::it_has_room_for_the_first_lines_however_long_they_are"],
    ),
    (
        "RaisedInMemory",
        &[
            "engine/sequences_never_repeat raising_lasts_over_reopens_and_power_cuts",
            "sim crash-states --workload sequences --states 2000",
            "sim histories --transactions 4000",
        ],
    ),
    (
        "BlocksOutliveRaise",
        &[
            "engine/sequences_never_repeat raising_leaves_out_what_any_handle_has_left",
            "sim histories --transactions 4000",
        ],
    ),
    ("DroppedInMemory", &["engine/sequences_never_repeat a_drop_lasts_over_reopens_and_power_cuts"]),
    ("BlocksOutliveDrop", &["engine/sequences_never_repeat a_dropped_sequence_gives_out_nothing_more"]),
    (
        "BlockGivenTwice",
        &[
            "engine/sequences_never_repeat many_threads_and_handles_get_each_id_once",
            "sim crash-states --workload sequences --states 2000",
            "sim histories --transactions 4000",
        ],
    ),
    ("ToldUnderLocks", &["engine/subscribers_may_use_the_database from_every_event_there_is"]),
    (
        "PanicEndsThreads",
        &[
            "engine/panics_of_the_host_are_outlived writers_go_on_after_a_fold_that_panics",
            "engine/panics_of_the_host_are_outlived the_log_is_looked_after_after_a_panic",
        ],
    ),
    (
        "PanicKeepsEntry",
        &[
            "engine/panics_of_the_host_are_outlived a_file_can_be_opened_again_after_a_close_that_panics",
            "engine/panics_of_the_host_are_outlived a_close_that_panics_while_its_owner_does_ends_nothing_else",
        ],
    ),
    (
        "PanickedSyncForgotten",
        &["engine/panics_of_the_host_are_outlived a_sync_of_the_file_that_panics_poisons"],
    ),
    (
        "ModeChangeSyncedInside",
        &["engine/panics_of_the_host_are_outlived nobody_waits_for_the_sync_of_a_change_of_the_mode"],
    ),
    ("FeedPassesOverFailure", &["engine/the_feed_tells_what_stands a_read_that_fails_passes_over_nothing"]),
    (
        "UnprovenNotBehind",
        &["engine/the_feed_tells_what_stands who_only_reads_is_told_who_is_behind_as_well"],
    ),
    ("ProgressOverlooked", &["wal tests::history::watchers_are_woken_once_by_progress_and_by_the_end"]),
];
