//! What keeps a database in shape: checkpoints, compaction, checks, backups, statistics, and the bounds on memory.

mod a_check_walks_everything;
mod a_database_larger_than_its_cache_works;
mod a_long_reader_costs_little;
mod a_small_shared_cache_stays_sound;
mod another_page_cache_can_be_plugged_in;
mod backups_are_consistent_while_writers_run;
mod checkpoints_block_nobody;
mod compaction_gives_space_back;
mod group_commit_shares_syncs;
mod memory_stays_within_its_budget;
mod the_number_of_snapshots_is_bounded;
mod the_statistics_move;
