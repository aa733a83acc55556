//! Planted bugs: mistakes on purpose, to prove that the tests find them.
//!
//! A build with `--cfg braid_planted` has them all, switched off; the environment variable `BRAID_PLANTED` names the one
//! that a process commits. Any other build has none of this: there, `planted!(…)` is the word `false`.
//!
//! `braid-sim planted` runs the tests against every one of them; `docs/testing.md` lists what catches which.

#[cfg(all(braid_planted, not(debug_assertions)))]
compile_error!("planted bugs are for tests: build with debug assertions, as `--profile planted` does");

/// Whether this process is to make the mistake.
#[cfg(not(braid_planted))]
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

/// Whether this process is to make the mistake.
#[cfg(braid_planted)]
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::Bug::$bug.is_planted()
    };
}

#[cfg(braid_planted)]
pub use self::bugs::{ALL, Bug};

#[cfg(braid_planted)]
mod bugs {
    use std::sync::OnceLock;

    macro_rules! bugs {
        ($(#[doc = $mistake:literal] $name:ident,)*) => {
            /// A mistake that an engine of this kind may make.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Bug {
                $(#[doc = $mistake] $name,)*
            }

            /// Every bug, its name, and the mistake.
            pub const ALL: &[(Bug, &str, &str)] = &[$((Bug::$name, stringify!($name), $mistake),)*];
        };
    }

    bugs! {
        /// The row of an idempotency token does not get the timestamp of its commit.
        TokenWithoutTimestamp,
        /// A second handle may ask for another retention of tokens, and gets that of the first.
        TokenRetentionNotCompared,
        /// An idempotency token is forgotten before its time.
        TokenForgottenEarly,
        /// A sync of the log does nothing.
        LogSyncSkipped,
        /// A sync of the log that failed is tried once more, and believed.
        FailedSyncRetried,
        /// A leader wakes every follower as covered, also those that came after its sync began.
        FollowerWokenEarly,
        /// The wakers of futures whose sync has come are dropped.
        WakerLost,
        /// Who holds a sync for others sleeps until somebody comes who leads.
        HolderNeverLeads,
        /// One more committer is awaited than the last sync covered.
        OneTooManyAwaited,
        /// A leader that leaves futures behind calls nobody to lead for them.
        ServerNotCalled,
        /// The server that keeps a sync for futures sleeps until the last one comes.
        KeeperNeverLooks,
        /// The gate waits for a future until it is polled.
        LoanNotTakenBack,
        /// The gate waits for a future that is to be admitted exclusively until it is polled.
        TurnNotTakenBack,
        /// The log keeper does not look whether a future takes up what the gate offers it.
        GateNotLookedAfter,
        /// The gate stays offered to a future while a commit that was held back passes, and the future is not told when it has.
        OfferOutlivesPass,
        /// A future that is dropped while it waits to be admitted exclusively keeps its place.
        SeatKept,
        /// The waker of a future that waits for a time is dropped when the time has come.
        TimerLost,
        /// A commit's future is ready once the commit is installed.
        ReadyBeforeSync,
        /// A leader takes the end of the log after its sync, and so covers what came during it.
        EndTakenAfterSync,
        /// A batch that spans segments syncs the last of them only.
        OneSegmentSynced,
        /// A segment comes into use before its name in the directory is synced.
        SegmentNameNotSynced,
        /// The segment that a recovery starts with counts before its name is synced.
        FreshNameNotSynced,
        /// The segment that a recovery starts with is renamed before its contents are synced.
        FreshSegmentNotSynced,
        /// The folder of a new log is not synced into the folder around it.
        LogFolderNotSynced,
        /// A recovery takes what it read for durable, be it in the page cache alone.
        PageCacheTrusted,
        /// An open folds what the row store has no room for before the log is on the disk.
        FoldedBeforeTheLog,
        /// An open whose fold fails lets go of the rows that it was to fold.
        RowsOfAFailedFoldLost,
        /// A recovery on a full disk removes the segment that the log says it went on in.
        NamedSegmentTakenForSpare,
        /// After a rotation, records bear the salt of the segment before.
        WrongSalt,
        /// A record says that the log is durable up to where it starts.
        DurableOverstated,
        /// A poisoned log takes records.
        PoisonedLogAppends,
        /// A record header that may have arrived in part is taken for one that did not arrive.
        HalfHeaderForgiven,
        /// The closing record is written before what it vouches for is synced.
        ClosedBeforeSync,
        /// A log is closed without a sync.
        ClosedWithoutSync,
        /// One segment too many is recycled: the one in which replay starts.
        SegmentReleasedEarly,
        /// A segment is released though nothing of the one after it was ever synced, its header neither.
        SuccessorNotSynced,
        /// A salvage takes the records that a spare segment has kept for the end of the log, as its number is the highest.
        SpareOutranksTheLog,
        /// A salvage takes a sector that cannot be read for one that was never written.
        UnreadableTakenForUnused,
        /// A segment that is used again has its old header until it comes into use.
        SpareKeepsHeader,
        /// A scan reads on in an old segment past the place where the next one took over.
        StaleTailRevived,
        /// Damage before the end of what was synced is cut like a torn tail.
        CutNotRefused,
        /// A log that ends before the place where the meta page knows it durable is accepted.
        MetaPageNotBelieved,
        /// A log whose last segment is gone is accepted, though the one before names it.
        LostSegmentPassedOver,
        /// A page of another file that a cache gives out is taken for one's own.
        PageOfAnotherFileTaken,
        /// The checksum of a payload is not compared.
        PayloadUnchecked,
        /// The checksum of a record header is not compared.
        HeaderUnchecked,
        /// Segments of another database are taken for segments of this one.
        ForeignLogAccepted,
        /// First committer wins is checked for the first key of a write set only.
        OneKeyValidated,
        /// A delete that was committed meanwhile is no conflict.
        DeleteNoConflict,
        /// A snapshot reads the newest version of a row, whatever its own timestamp.
        NewerVersionRead,
        /// A trim keeps the newest version only, whoever still reads an older one.
        TrimmedTooFar,
        /// The filter lets a key through only if none of its bits was set before it came.
        FilterForgets,
        /// A block of rows that is split loses its upper half.
        UpperHalfForgotten,
        /// How a full block of the index is split depends on the key that room is made for.
        SplitByKey,
        /// A range that was read is checked for rows that changed, not for new ones.
        PhantomUnseen,
        /// The last key of a range that was read is not checked.
        RangeEndUnchecked,
        /// A lookup passes over a tombstone and finds what an older layer holds of the row.
        TombstoneOverlooked,
        /// A snapshot at the first commit of a generation passes that generation over.
        FirstCommitSkipped,
        /// The watermark does not look at the first slot of the registry.
        SlotNotWatched,
        /// A group of slots counts as closed while one of them is claimed.
        GroupClosedEarly,
        /// A sweep takes the views out of open groups first and out of closed ones a moment later.
        SweptInTwoLooks,
        /// A begin takes its timestamp first and its view second.
        TimestampFirst,
        /// A begin does not look whether its view is still current once it has its timestamp.
        ViewNotLookedAtAgain,
        /// A replay keeps the oldest version of a row instead of the newest.
        OldestReplayed,
        /// A fold keeps the row that a tombstone deletes.
        DeleteNotFolded,
        /// A meta page is written before the pages that it leads to are synced.
        DataNotSynced,
        /// A checkpoint counts before its meta page is synced.
        MetaPageNotSynced,
        /// A checkpoint writes its meta page over the newest one.
        MetaPageOverwritten,
        /// A checkpoint writes over pages that the base before it still reaches.
        PagesReusedAtOnce,
        /// Pages that only an old snapshot reaches are free for the next checkpoint.
        PagesNotWithheld,
        /// A page is compared with its own checksum and generation, not with those that its parent has.
        StalePageAccepted,
        /// The bytes of a page are not compared with its checksum.
        PageUnchecked,
        /// The bytes of a long value are not compared with their checksum.
        LongValueUnchecked,
        /// A meta page is believed without its checksum.
        MetaPageUnchecked,
        /// A commit is acknowledged without waiting for the log to be durable through it.
        AcknowledgedBeforeSync,
        /// acked_ts is raised when a commit is installed, before it is durable.
        AckedAtInstall,
        /// A commit without writes does not wait for the commits that it read.
        ReadsNotAwaited,
        /// After a failed sync one who read what is in doubt is told that it stands.
        DoubtAcknowledged,
        /// installed_ts is raised before the versions are in place.
        PublishedBeforeInstall,
        /// A record that could not be written is taken for one that was.
        FullDiskIgnored,
        /// A concurrent commit passes though an exclusive transaction holds the gate.
        GateNotLookedAt,
        /// An exclusive transaction does not wait for the commit that is under way.
        CommitterNotAwaited,
        /// A commit is validated against the active generation only.
        HistoryNotValidated,
        /// The keys that a serializable transaction read are not validated, only its ranges.
        ReadsNotValidated,
        /// A table that was dropped meanwhile still takes rows.
        DropNotValidated,
        /// A table that was renamed meanwhile still takes rows of those who knew it by its old name.
        RenameNotValidated,
        /// The map of tables is changed before the commit that changes it is validated.
        SchemaAppliedEarly,
        /// A transaction finds by name what others have committed since it began.
        NewestNameFound,
        /// The ids of a sequence are given out before their reservation is durable.
        BlockNotSynced,
        /// The ids of a sequence are reserved in memory alone.
        BlockNotReserved,
        /// A folded generation is forgotten while a transaction that began before it is open.
        HistoryForgotten,
        /// History is given up for its size, and those who needed it are not told.
        FloorNotRaised,
        /// The sealed generation leaves the read path before it is folded.
        SealedDroppedEarly,
        /// A checkpoint folds commits that the log could still lose.
        SealNotSynced,
        /// The log is recycled before the meta page that no longer needs it is durable.
        LogReleasedEarly,
        /// After a crash the clock goes on from the last commit that survived.
        ReservationForgotten,
        /// The clock issues timestamps before their reservation is durable.
        ReservationNotSynced,
        /// A database is opened without its lock.
        LockNotTaken,
        /// A trim keeps what snapshots read, but not what the next one at acked_ts will.
        TrimmedToInstalled,
        /// A read-only snapshot sees commits that do not stand yet.
        SnapshotAtInstalled,
        /// The background sync that bounds what a power cut can take is skipped.
        DeferredNeverSynced,
        /// A change of the journal mode is not logged.
        ModeNotLogged,
        /// The id of a dropped table is given to the next one.
        TableIdReused,
        /// A loaded table is named when only one of the two meta blocks has its rows.
        LoadInOneMetaBlock,
        /// An acknowledgement that comes late moves a consumer on that was registered anew under its name.
        AcknowledgedByName,
        /// A backup has its rows in one of its two meta blocks only.
        BackupInOneMetaBlock,
        /// A file whose newer meta page is damaged opens as an empty one where the other is from before the first row.
        EmptyForALostMetaPage,
        /// A snapshot that is older than a loaded table reads its rows.
        LoadSeenEarly,
        /// The rows of a load that a crash cut short stay in the file for good.
        OrphanTreeKept,
        /// A core whose log is poisoned begins write transactions.
        PoisonedCoreAdmits,
        /// A second open of a file does not find the core that is open for it.
        SiblingNotFound,
        /// Cursors and backups look through the active generation and the base only.
        SealedNotScanned,
        /// A cursor that goes backward runs on in the base to the row that a layer above has of its own.
        RunIntoFence,
        /// A delete that came after a savepoint is not taken back with it.
        DeleteNotUndone,
        /// An open cursor does not notice that its transaction went back to a savepoint.
        RollbackUnnoticed,
        /// What was changed since a savepoint that is released cannot be taken back with the one around it.
        InnerUndoForgotten,
        /// A number that no longer fits wraps round instead of being refused.
        OverflowWraps,
        /// An update that came after a savepoint is not taken back with it.
        UpdateNotUndone,
        /// What an update is made of is fetched before the commit section, and not looked at again inside it.
        BaseNotLookedAtAgain,
        /// An update is made of what is in the tree, though a sealed generation has a newer version.
        SealedNotUpdated,
        /// A row whose update was read is still updated at the commit, of what is there by then.
        ReadLeavesUpdateBlind,
        /// A row that was looked up and then updated is updated blindly.
        LookForgotten,
        /// An update that cannot be made of the row as it was looked at is refused, though others have changed the row.
        UnsettledNotValidated,
        /// A row that a cursor passed, or that was counted, and that was then updated is updated blindly.
        PassedForgotten,
        /// A read of a row that is not tracked makes forgotten that it was looked up before.
        UntrackedForgets,
        /// A rollback to a savepoint takes back what was read, too.
        ReadsTakenBack,
        /// A table that a transaction read, and that was dropped or renamed meanwhile, is no conflict for one at `Snapshot`.
        LookedTableNotValidated,
        /// A scan that ends before a row which the transaction has updated makes a write of the update all the same.
        UpdateBeyondSettled,
        /// The log holds what an update was expected to make, and not what it made.
        GuessLogged,
        /// A cursor does not see what its transaction writes while it stands on a row.
        OwnWriteOvertaken,
        /// A read that finds no row in a range records nothing.
        EmptyRangeNotRecorded,
        /// A step of a cursor records the row that it came to, and not the gap before it.
        GapNotRecorded,
        /// A transaction that deleted a row still reads it.
        OwnTombstoneOverlooked,
        /// A read that was let in before its transaction's commit asks the writes after it, and finds none.
        ClosedNotLookedAtAgain,
        /// A row whose update is taken back while it is read is missing.
        TakenBackReadsNothing,
        /// A lookup of a key is not recorded as read.
        LookupNotRecorded,
        /// What was installed while a serializable commit looked through its reads is not looked at.
        NotesNotRead,
        /// The notes of recent commits drop the older half and do not say so.
        NotesForgotten,
        /// A snapshot stops counting for what is kept, and goes on reading.
        RevokedNotTold,
        /// A read looks whether its snapshot was revoked before it reads, and not after.
        RevokedDuringRead,
        /// A revoked transaction commits, if it is validated.
        RevokedCommits,
        /// Revoking a snapshot lets the history go that it needs and does not raise the floor of validation.
        RevokedFloorNotRaised,
        /// A revoked snapshot stops counting and keeps its view.
        RevokedKeepsView,
        /// The checkpointer wakes itself for the next look at the leases.
        LeasesNeverRest,
        /// A serializable commit takes its view first, and up to where it looks in it second.
        HorizonAfterView,
        /// A backup is reported complete before its name is synced.
        BackupNameNotSynced,
        /// A backup takes its final name from whoever has it by then.
        BackupReplaces,
        /// A runner goes on beside others however often it has lost.
        NeverEscalated,
        /// The losses of a runner that gave up count as absorbed.
        LossCountedAsAbsorbed,
        /// The time between two attempts of a runner is not told.
        WaitNotTold,
        /// A transaction of which a statement was told that it was revoked is not counted as lost, if it is not committed.
        StatementLossForgotten,
        /// A transaction that a panic ends keeps its snapshot and its turn.
        PanicNotRolledBack,
        /// A conflict over a row that was read is counted for ranges in its table.
        KindsMixedUp,
        /// A key that is new to the sketch of the hottest takes the place of the hottest.
        HottestEvicted,
        /// A token is answered as soon as its commit is installed.
        TokenToldEarly,
        /// A token is denied though its commit is in doubt.
        DoubtDenied,
        /// A transaction begins though its token was committed.
        TokenTakenAgain,
        /// A session without conflicts writes over what the one before has left of its conflicts.
        QuietSessionTells,
        /// What a session has left of its conflicts is not carried on by the meta blocks of the next one.
        MemoNotCarried,
        /// The report that a session leaves is not cut to the room that there is.
        MemoTooLong,
        /// A sequence is raised in memory alone.
        RaisedInMemory,
        /// What a handle has left of a block is given out though the sequence was raised beyond it.
        BlocksOutliveRaise,
        /// A sequence is dropped in memory alone.
        DroppedInMemory,
        /// What a handle has left of a block is given out though the sequence was dropped.
        BlocksOutliveDrop,
        /// Two handles of a sequence may be given one block.
        BlockGivenTwice,
        /// A change feed passes over a commit whose payload it could not read.
        FeedPassesOverFailure,
        /// Who only reads is told that a consumer has everything, though a commit after it is not proven to be on the disk.
        UnprovenNotBehind,
        /// Who watches a log for progress leaves its waker without a look whether there is some.
        ProgressOverlooked,
        /// The change feed reads to the end of the log, durable or not.
        FeedReadsUnsynced,
        /// A resumed change feed begins with the commit that it was to begin after.
        FeedResumesInclusive,
        /// Segments are recycled before a named consumer has passed them.
        ConsumerOverrun,
        /// The log is let go for a consumer whose new position is not durable yet.
        PositionTrustedEarly,
        /// A change feed passes over a commit that it comes to in a new segment.
        FeedSkipsAtRotation,
        /// Subscribers of traces are told at once, whatever locks are held.
        ToldUnderLocks,
        /// A panic ends a background thread.
        PanicEndsThreads,
        /// A close that panics leaves its file closing for ever.
        PanicKeepsEntry,
        /// A panic in the sync of the database file leaves it to be written on.
        PanickedSyncForgotten,
        /// While the journal mode changes, whoever asks for it waits for the sync.
        ModeChangeSyncedInside,
    }

    static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();

    impl Bug {
        /// Whether `BRAID_PLANTED` names this one.
        ///
        /// # Panics
        /// When it names none that there is.
        #[must_use]
        pub fn is_planted(self) -> bool {
            *PLANTED.get_or_init(named) == Some(self)
        }
    }

    fn named() -> Option<Bug> {
        let name = std::env::var("BRAID_PLANTED").ok()?;
        let found = ALL.iter().find(|(_, known, _)| *known == name);
        let Some((bug, ..)) = found else { panic!("BRAID_PLANTED names no planted bug: {name}") };
        Some(*bug)
    }
}
