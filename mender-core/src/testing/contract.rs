//! The contract of the ports, as cases that every adapter passes.
//!
//! An adapter runs them in a test binary without the default harness, where each case appears as
//! a test of its own, `adapter::area::claim`:
//!
//! ```no_run
//! use mender_core::{kit::MemoryStores, testing::contract::{Adapter, Harness, main}};
//!
//! fn tests() -> std::process::ExitCode {
//!     main(vec![Adapter::new("memory", async || Harness::new(MemoryStores::default()))])
//! }
//! # let _ = tests;
//! ```

use std::{any::Any, fmt, sync::Arc};

pub(super) use super::suite::claims;
pub use super::suite::main;
use super::{TestEnv, suite::Claimed};
use crate::mender::Stores;

/// Fresh, empty stores for one case, with a clock of their own.
#[derive(Clone)]
pub struct Harness {
    /// The stores under test.
    pub stores: Arc<dyn Stores>,
    /// The clock and the randomness of the case.
    pub time: TestEnv,
    kept: Arc<Vec<Box<dyn Any + Send + Sync>>>,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("time", &self.time).finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness over empty stores.
    pub fn new(stores: impl Stores) -> Self {
        Self { stores: Arc::new(stores), time: TestEnv::seeded(1), kept: Arc::default() }
    }

    /// Keeps something until the case is over, for instance the directory of the database. It is
    /// dropped after the stores, within the runtime of the case.
    #[must_use]
    pub fn keep(mut self, what: impl Any + Send + Sync) -> Self {
        let mut kept = Arc::into_inner(self.kept).unwrap_or_default();
        kept.push(Box::new(what));
        self.kept = Arc::new(kept);
        self
    }
}

/// A claim that every adapter must fulfil.
pub type Case = super::suite::Case<Harness>;

/// An implementation of all ports, to be tested.
pub type Adapter = super::suite::Adapter<Harness>;

/// Returns every case, area by area.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        super::artifacts::CASES,
        super::artifacts::lists::CASES,
        super::artifacts::deltas::CASES,
        super::artifacts::kept::CASES,
        super::artifacts::races::CASES,
        super::auth::CASES,
        super::auth::lists::CASES,
        super::auth::contacts::CASES,
        super::auth::races::CASES,
        super::deployments::CASES,
        super::deployments::lists::CASES,
        super::deployments::rows::CASES,
        super::deployments::counts::CASES,
        super::deployments::reads::CASES,
        super::deployments::kept::CASES,
        super::deployments::races::CASES,
        super::inventory::CASES,
        super::inventory::search::CASES,
        super::inventory::lists::CASES,
        super::inventory::filters::CASES,
        super::users::CASES,
        super::tenants::CASES,
        super::kernel::events::CASES,
        super::kernel::feed::CASES,
        super::kernel::jobs::CASES,
        super::kernel::lanes::CASES,
        super::kernel::quotas::CASES,
    ]
    .concat()
}

impl Claimed for Harness {
    fn cases() -> Vec<Case> {
        cases()
    }
}
