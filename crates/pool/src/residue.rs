//! What statements leave in the memory of both ends of a connection.

use std::time::Duration;

use sqlx::{Connection, Error};

use crate::catalog::{Catalog, Sign};
use crate::clock::now;
use crate::connect::Session;
use crate::control::Control;
use crate::loan::{command, drain};
use crate::statement::Form;

/// What one connection keeps beyond its statements, and has to be rid of at times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Residue {
    /// The era of the [`Catalog`] in which it was opened.
    opened: u64,
    /// The era of what it knows of the catalog.
    known: u64,
    /// Prepared statements that the server may keep and the driver does not know of.
    forgotten: u32,
    /// Something large has passed: the driver's buffers stay as large.
    bulky: bool,
    /// Its backend itself knows of something that is gone, and does not look again.
    stale: bool,
}

impl Residue {
    /// What is smaller leaves the buffers as they are.
    pub(crate) const BULKY: usize = 1 << 20;
    /// In less time little passes.
    const LONG: Duration = Duration::from_millis(5);
    /// Forgotten statements that a connection may have.
    const FORGOTTEN: u32 = 32;

    pub(crate) const fn of(era: u64) -> Self {
        Self { opened: era, known: era, forgotten: 0, bulky: false, stale: false }
    }

    /// Whether the next one may have the connection as it is.
    pub(crate) const fn is_small(&self) -> bool {
        !self.bulky && !self.stale && self.forgotten < Self::FORGOTTEN
    }

    pub(crate) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// A statement goes out like this.
    pub(crate) const fn leaves(&mut self, form: Form) {
        self.passed(form.text);
        self.passed(form.arguments);
        if form.named && form.text >= Self::BULKY {
            // Both ends keep its text.
            self.forgotten = Self::FORGOTTEN;
        }
    }

    /// So many bytes have passed at once.
    pub(crate) const fn passed(&mut self, bytes: usize) {
        self.bulky |= bytes >= Self::BULKY;
    }

    /// The server may have prepared a statement that the driver does not know of.
    pub(crate) const fn forgot(&mut self) {
        self.forgotten = self.forgotten.saturating_add(1);
    }
}

impl Session {
    /// Reads what an answer has left, and over the control connection cancels its statement before. Says whether an error
    /// was among it. Nobody has looked how large it was.
    pub(crate) async fn catch_up(&mut self, control: Option<&Control>) -> Result<bool, Error> {
        let late = match control {
            Some(control) => control.stop(self.backend, &mut self.connection).await,
            None => drain(&mut self.connection).await,
        };
        self.connection.shrink_buffers();
        late
    }

    /// The same where nothing is read on this connection for a while: after an answer that took time, a little more is.
    pub(crate) async fn catch_up_last(&mut self, control: &Control) -> Result<(), Error> {
        let begun = now();
        self.catch_up(Some(control)).await?;
        self.residue.bulky |= now().saturating_duration_since(begun) >= Residue::LONG;
        Ok(())
    }

    /// Forgets what it knows of an older era of the catalog. A round trip where there is something, and else none.
    pub(crate) async fn look_again(&mut self, era: u64) -> Result<(), Error> {
        if self.residue.known != era {
            self.connection.clear_cached_statements().await?;
            self.residue.known = era;
        }
        Ok(())
    }

    /// What a statement's error says of the catalog. What is known for sure is forgotten at once.
    pub(crate) async fn heed(&mut self, sign: Sign, catalog: &Catalog) -> Result<(), Error> {
        let begun = catalog.note(now(), sign);
        if sign == Sign::Mismatch && !begun {
            return Ok(());
        }
        // It has looked again before, so that it is not the driver who knows what is gone: a function's compiled body does.
        self.residue.stale |= sign == Sign::Gone && self.residue.known > self.residue.opened;
        self.connection.clear_cached_statements().await?;
        self.residue.known = catalog.era();
        Ok(())
    }

    /// Has the server forget its prepared statements, where there are too many that the driver does not know of.
    pub(crate) async fn deallocate(&mut self) -> Result<(), Error> {
        if self.residue.forgotten < Residue::FORGOTTEN {
            return Ok(());
        }
        command(&mut self.connection, "DEALLOCATE ALL").await?;
        self.forget_all().await
    }

    /// Gets rid of what is too much.
    pub(crate) async fn wash(&mut self) -> Result<(), Error> {
        self.deallocate().await?;
        if self.residue.bulky {
            // What was read last lies in the old buffer until something else is read.
            self.connection.shrink_buffers();
            self.connection.ping().await?;
            self.residue.bulky = false;
        }
        Ok(())
    }

    /// The server has forgotten all prepared statements.
    pub(crate) async fn forget_all(&mut self) -> Result<(), Error> {
        self.connection.clear_cached_statements().await?;
        self.residue.forgotten = 0;
        Ok(())
    }
}
