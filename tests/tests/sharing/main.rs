//! Opening, closing and sharing: which handles are siblings, who is locked out, what is kept over a reopen.

mod a_second_process_is_locked_out;
mod an_unrelated_close_keeps_the_lock;
mod every_name_of_a_file_leads_to_one_core;
mod in_memory_databases_are_their_own;
mod nothing_is_made_unasked;
mod options_of_siblings_agree;
mod read_only_handles_write_nothing;
mod tables_last;
mod the_journal_mode_is_kept;
mod the_last_handle_closes_the_database;
mod wal_mode_refuses_concurrent_transactions;
