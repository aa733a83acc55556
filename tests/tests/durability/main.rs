//! What survives: kills, power cuts, full disks, failed syncs, damaged and misplaced files.

mod a_damaged_file_is_never_believed;
mod a_failed_sync_poisons_the_core;
mod a_full_disk_fails_cleanly;
mod a_kill_before_a_power_cut_opens_no_hole;
mod a_torn_append_is_one_commits_concern;
mod damage_that_was_healed_is_forgotten;
mod foreign_and_newer_files_are_refused;
mod interrupted_and_short_calls_are_finished;
mod kill_nine_loses_nothing;
mod misplaced_files_are_refused;
mod power_cuts_lose_no_acknowledged_commit;
mod read_errors_are_reported;
mod salvage_goes_around_bad_sectors;
mod salvage_saves_what_is_readable;
mod workload;
