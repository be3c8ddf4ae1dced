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

use std::{any::Any, fmt, process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use crate::{mender::Stores, testing::TestEnv};

/// How long a case may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);

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
#[derive(Clone, Copy)]
pub struct Case {
    /// `area::claim`.
    pub name: &'static str,
    run: for<'a> fn(&'a Harness) -> BoxFuture<'a, ()>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    pub(super) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a Harness) -> BoxFuture<'a, ()>,
    ) -> Self {
        Self { name, run }
    }

    /// Runs the case on fresh stores.
    ///
    /// # Panics
    /// Where the stores break the contract.
    pub async fn run(&self, harness: &Harness) {
        (self.run)(harness).await;
    }
}

/// Lists cases: async functions that take a `&Harness`, named by their claims.
macro_rules! claims {
    ($area:literal: $($claim:ident),+ $(,)?) => {
        pub(in crate::testing) const CASES: &[$crate::testing::contract::Case] = &[$(
            $crate::testing::contract::Case::new(
                concat!($area, "::", stringify!($claim)),
                |harness| Box::pin($claim(harness)),
            ),
        )+];
    };
}
pub(super) use claims;

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

type Open = Arc<dyn Fn() -> BoxFuture<'static, Harness> + Send + Sync>;

/// An implementation of all ports, to be tested.
#[derive(Clone)]
pub struct Adapter {
    name: String,
    open: Open,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Adapter {
    /// An adapter with what opens fresh stores for each case. Cases run at the same time, each
    /// in a multi-threaded tokio runtime of its own; `open` is called inside it.
    pub fn new<F, H>(name: impl Into<String>, open: F) -> Self
    where
        F: Fn() -> H + Send + Sync + 'static,
        H: Future<Output = Harness> + Send + 'static,
    {
        Self { name: name.into(), open: Arc::new(move || Box::pin(open())) }
    }

    fn into_trials(self) -> Vec<Trial> {
        let trial = |case: Case| {
            let open = self.open.clone();
            let name = format!("{}::{}", self.name, case.name);
            Trial::test(name, move || Ok(run(&open, case)?))
        };
        cases().into_iter().map(trial).collect()
    }
}

fn run(open: &Open, case: Case) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let harness = open().await;
        tokio::time::timeout(PATIENCE, case.run(&harness))
            .await
            .map_err(|_| format!("{} takes too long", case.name))
    })
}

/// Runs every case on every adapter, as the `main` of a test binary with `harness = false`: it
/// takes the arguments of ordinary test binaries.
#[must_use]
pub fn main(adapters: Vec<Adapter>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = adapters.into_iter().flat_map(Adapter::into_trials).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
