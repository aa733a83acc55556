//! What a case that no script can say runs on: sessions on threads of their own, each with a sibling handle and at most one
//! transaction.

use braid::{Commit, Database, Isolation, Result, Transaction, TransactionOptions};
use braid_tests::{Layering, Place, Session};

/// Both levels, and where the rows are: every case is run in each of these.
pub(crate) fn each(run: impl Fn(Isolation, Layering) -> Result<()>) -> Result<()> {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
            run(isolation, layering)?;
        }
    }
    Ok(())
}

/// Folds the rows if this is the moment to.
pub(crate) fn settle(db: &Database, layering: Layering, moment: Layering) -> Result<()> {
    if moment == layering { db.checkpoint().map(drop) } else { Ok(()) }
}

/// The state of one session.
pub(crate) struct Desk {
    pub(crate) db: Database,
    pub(crate) tx: Option<Transaction>,
}

impl Desk {
    /// Starts a session on the database of `place`, which is open.
    pub(crate) fn start(place: &Place) -> Session<Self> {
        let path = place.path();
        Session::start(move || Self { db: Database::open(path).expect("a sibling opens"), tx: None })
    }

    pub(crate) fn begin(&mut self, isolation: Isolation) -> Result<()> {
        let options = TransactionOptions { isolation, ..TransactionOptions::default() };
        self.tx = Some(self.db.begin_with(options)?);
        Ok(())
    }

    pub(crate) fn tx(&mut self) -> &mut Transaction {
        self.tx.as_mut().expect("the session has begun a transaction")
    }

    pub(crate) fn commit(&mut self) -> Result<Commit> {
        self.tx.take().expect("the session has begun a transaction").commit()
    }
}
