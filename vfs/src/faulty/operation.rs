//! The kinds of calls that can fail and that are counted.

/// What was asked of a file or a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// An open, whether or not it creates.
    Open,
    /// An open of a name that did not exist, by a mode that creates it; counted beside [`Operation::Open`].
    Create,
    /// `read_at`.
    Read,
    /// `write_at`.
    Write,
    /// `set_len`.
    SetLen,
    /// `sync_data`.
    SyncData,
    /// `sync_all`.
    SyncAll,
    /// `sync_dir`.
    SyncDir,
    /// `rename` and `rename_new`, under the old name.
    Rename,
    /// `remove_file` and `remove_dir`.
    Remove,
    /// `create_dir`.
    CreateDir,
    /// `map_for_append`.
    Map,
    /// `unlock`.
    Unlock,
    /// A store through a mapping; counted, but it cannot fail.
    MappedWrite,
}

impl Operation {
    /// All of them that can fail and that something depends on: a lock goes with its file at the latest.
    pub const FALLIBLE: [Self; 12] = [
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::SetLen,
        Self::SyncData,
        Self::SyncAll,
        Self::SyncDir,
        Self::Rename,
        Self::Remove,
        Self::CreateDir,
        Self::Map,
    ];

    /// Those that change what is on disk, or would be after a sync.
    pub const CHANGES: [Self; 7] = [
        Self::Create,
        Self::Write,
        Self::SetLen,
        Self::Rename,
        Self::Remove,
        Self::CreateDir,
        Self::MappedWrite,
    ];

    /// Those that make things durable.
    pub const SYNCS: [Self; 3] = [Self::SyncData, Self::SyncAll, Self::SyncDir];
}
