//! Claims that everything of a kind must fulfil, each as a test of its own.

use std::{fmt, process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

/// How long a case may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A claim that everything must fulfil that a harness `H` can be made of.
pub struct Case<H> {
    /// `area::claim`.
    pub name: &'static str,
    run: for<'a> fn(&'a H) -> BoxFuture<'a, ()>,
}

impl<H> Clone for Case<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Case<H> {}

impl<H> fmt::Debug for Case<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<H> Case<H> {
    pub(super) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a H) -> BoxFuture<'a, ()>,
    ) -> Self {
        Self { name, run }
    }

    /// Runs the case on something fresh.
    ///
    /// # Panics
    /// Where the claim is not fulfilled.
    pub async fn run(&self, harness: &H) {
        (self.run)(harness).await;
    }
}

/// Lists cases: async functions that take a `&Harness`, named by their claims.
macro_rules! claims {
    ($area:literal: $($claim:ident),+ $(,)?) => {
        pub(in crate::testing) const CASES: &[$crate::testing::suite::Case<Harness>] = &[$(
            $crate::testing::suite::Case::new(
                concat!($area, "::", stringify!($claim)),
                |harness| Box::pin($claim(harness)),
            ),
        )+];
    };
}
pub(super) use claims;

/// What cases look at.
pub trait Claimed: Sized + 'static {
    /// Returns every case.
    fn cases() -> Vec<Case<Self>>;
}

type Open<H> = Arc<dyn Fn() -> BoxFuture<'static, H> + Send + Sync>;

/// An implementation, to be tested.
pub struct Adapter<H> {
    name: String,
    open: Open<H>,
}

impl<H> Clone for Adapter<H> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), open: self.open.clone() }
    }
}

impl<H> fmt::Debug for Adapter<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<H: Claimed> Adapter<H> {
    /// An adapter with what opens a fresh harness for each case. Cases run at the same time, each
    /// in a multi-threaded tokio runtime of its own; `open` is called inside it.
    pub fn new<F, O>(name: impl Into<String>, open: F) -> Self
    where
        F: Fn() -> O + Send + Sync + 'static,
        O: Future<Output = H> + Send + 'static,
    {
        Self { name: name.into(), open: Arc::new(move || Box::pin(open())) }
    }

    /// Returns a trial for every case.
    #[must_use]
    pub fn into_trials(self) -> Vec<Trial> {
        let trial = |case: Case<H>| {
            let open = self.open.clone();
            let name = format!("{}::{}", self.name, case.name);
            Trial::test(name, move || Ok(run(&open, case)?))
        };
        H::cases().into_iter().map(trial).collect()
    }
}

fn run<H>(open: &Open<H>, case: Case<H>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let opened_and_run = async { case.run(&open().await).await };
        tokio::time::timeout(PATIENCE, opened_and_run)
            .await
            .map_err(|_| format!("{} takes too long", case.name))
    })
}

/// Runs every case on every adapter, as the `main` of a test binary with `harness = false`: it
/// takes the arguments of ordinary test binaries.
#[must_use]
pub fn main<H: Claimed>(adapters: Vec<Adapter<H>>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = adapters.into_iter().flat_map(Adapter::into_trials).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
