//! Everything that a session can do: one list. A new feature of the engine joins the simulation by a line here.

mod feed;
mod futures;
mod handles;
mod maintenance;
mod reads;
mod runs;
mod savepoints;
mod schema;
mod scope;
mod sequences;
mod snapshots;
mod statements;
mod tables;
mod transactions;
mod updates;

use super::session::Session;

pub(super) use self::futures::abandon;
pub use self::scope::Scope;
pub use self::tables::find_or_make_table;

/// Something that a session can do.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What `--without` and the trace call it.
    pub name: &'static str,
    /// How often it is drawn, against the others of its kind.
    pub weight: u32,
    /// What is done.
    pub act: Act,
}

/// Where an operation belongs.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// On a handle.
    Alone(fn(&mut Session)),
    /// In a snapshot or transaction.
    Read(fn(&mut Scope<'_>) -> braid::Result<()>),
    /// In a write transaction.
    Write(fn(&mut Scope<'_>) -> braid::Result<()>),
}

const fn alone(name: &'static str, weight: u32, act: fn(&mut Session)) -> Operation {
    Operation { name, weight, act: Act::Alone(act) }
}

const fn read(name: &'static str, weight: u32, act: fn(&mut Scope<'_>) -> braid::Result<()>) -> Operation {
    Operation { name, weight, act: Act::Read(act) }
}

const fn write(name: &'static str, weight: u32, act: fn(&mut Scope<'_>) -> braid::Result<()>) -> Operation {
    Operation { name, weight, act: Act::Write(act) }
}

/// The list.
pub const ALL: &[Operation] = &[
    // Within a snapshot or transaction.
    read("get", 20, reads::get),
    read("contains", 5, reads::contains),
    read("range", 12, reads::range),
    read("range-prefix", 5, reads::range_prefix),
    read("range-after", 5, reads::range_after),
    write("range-untracked", 3, reads::range_untracked),
    read("count", 6, reads::count),
    read("cursor", 12, reads::cursor),
    write("untracked", 8, reads::untracked),
    write("put", 40, statements::put),
    write("insert", 10, statements::insert),
    write("delete", 12, statements::delete),
    write("delete-range", 4, statements::delete_range),
    write("clear", 1, statements::clear),
    read("find-by-name", 4, schema::find),
    read("list-by-name", 2, schema::list),
    write("make-table", 4, schema::make),
    write("table-inside", 3, schema::find_or_make),
    write("unmake-table", 2, schema::unmake),
    write("rename-table", 3, schema::rename),
    read("next-id-inside", 3, sequences::draw_inside),
    write("add", 12, updates::add),
    write("max", 4, updates::max),
    write("min", 4, updates::min),
    write("append", 6, updates::append),
    write("savepoint", 8, savepoints::make),
    write("take-back", 8, savepoints::take_back),
    write("release", 4, savepoints::release),
    // Transactions.
    alone("concurrent", 30, transactions::concurrent),
    alone("immediate", 8, transactions::immediate),
    alone("by-mode", 12, transactions::by_mode),
    alone("transact", 15, runs::transact),
    alone("transact-by-future", 12, runs::transact_by_future),
    alone("transact-panics", 2, runs::transact_panics),
    alone("commit-by-future", 20, futures::begin),
    alone("await-commit", 12, futures::await_one),
    alone("put-one", 15, transactions::put_one),
    alone("delete-one", 5, transactions::delete_one),
    alone("update-one", 10, updates::one),
    alone("get-one", 6, transactions::get_one),
    alone("ask-token", 4, transactions::ask_token),
    // Snapshots.
    alone("snapshot", 12, snapshots::look),
    alone("hold-snapshot", 5, snapshots::hold),
    alone("held-snapshot", 8, snapshots::look_again),
    alone("let-snapshot-go", 4, snapshots::let_go),
    // The change feed.
    alone("follow", 8, feed::follow),
    alone("consume", 8, feed::consume),
    alone("wait-for-changes", 4, feed::wait_for_changes),
    alone("list-consumers", 3, feed::list_consumers),
    alone("remove-consumer", 1, feed::remove_consumer),
    // Tables.
    alone("open-table", 6, tables::open),
    alone("load-table", 3, tables::load),
    alone("find-table", 4, tables::find),
    alone("list-tables", 2, tables::list),
    alone("drop-table", 3, tables::drop),
    alone("rename-alone", 4, schema::rename_alone),
    // Sequences.
    alone("next-id", 6, sequences::draw),
    alone("raise-sequence", 2, sequences::raise),
    alone("drop-sequence", 1, sequences::drop),
    alone("unreserved-id", 2, sequences::unreserved),
    alone("list-sequences", 1, sequences::list),
    // Looking after the database.
    alone("checkpoint", 5, maintenance::checkpoint),
    alone("compact", 2, maintenance::compact),
    alone("check", 2, maintenance::check),
    alone("backup", 2, maintenance::backup),
    alone("sync", 4, maintenance::sync),
    alone("statistics", 1, maintenance::statistics),
    alone("free-space", 3, maintenance::free_space),
    alone("wait", 3, maintenance::wait),
    // Handles and modes.
    alone("switch-mode", 4, handles::switch_mode),
    alone("clone-handle", 2, handles::clone),
    alone("open-sibling", 4, handles::open_sibling),
    alone("open-otherwise", 1, handles::open_otherwise),
    alone("open-read-only", 3, handles::open_read_only),
    alone("close-handle", 3, handles::close),
];
