//! The tree of categories, which everybody asks for and hardly anybody changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Categories;

const GOOD_FOR: Duration = Duration::from_secs(60);

/// As it was read last. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(Arc<Mutex<Option<Read>>>);

#[derive(Debug)]
struct Read {
    at: Instant,
    categories: Arc<Categories>,
}

impl Tree {
    /// What was read in the last minute.
    pub(crate) fn get(&self) -> Option<Arc<Categories>> {
        let kept = self.lock();
        kept.as_ref().filter(|read| read.at.elapsed() < GOOD_FOR).map(|read| Arc::clone(&read.categories))
    }

    pub(crate) fn keep(&self, categories: Categories) -> Arc<Categories> {
        let categories = Arc::new(categories);
        *self.lock() = Some(Read { at: Instant::now(), categories: Arc::clone(&categories) });
        categories
    }

    /// Has it read anew.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Read>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
