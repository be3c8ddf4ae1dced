//! Runs the same random commands on two servers that must not differ.

#![expect(clippy::expect_used, reason = "two servers that cannot even be set up are a failed test")]

mod artifacts;
mod command;
mod deployments;
mod inventory;

use std::time::Duration;

use crate::{
    auth,
    blob::MemoryBlobs,
    ctx::Ctx,
    id::TenantId,
    mender::{Builder, Mender},
    secret::HashCost,
    tenants::{NewTenant, Plan},
    testing::TestEnv,
    users,
};

use command::Command;

/// How many tenants there are.
const TENANTS: usize = 2;

/// Runs random commands on two servers and compares every answer, and at last everything that
/// lists show. Each side gets a builder that lacks nothing but stores, for which it gives empty
/// ones; both have the same clock and the same randomness, so that ids and tokens are equal too.
///
/// ```
/// use mender_core::{Mender, kit::MemoryStores, testing::lockstep};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let side = async |builder: mender_core::Builder| {
///     builder.stores(MemoryStores::default()).build().unwrap()
/// };
/// lockstep(7, 20, side, side).await;
/// # });
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// Where the sides differ: with the seed, the answers, and the shortest history found that makes
/// them differ.
pub async fn lockstep(
    seed: u64,
    steps: usize,
    left: impl AsyncFn(Builder) -> Mender,
    right: impl AsyncFn(Builder) -> Mender,
) {
    let random = TestEnv::seeded(seed).env();
    let mut history: Vec<Command> = (0..steps).map(|_| Command::random(&random)).collect();
    let Some(mut difference) = run(seed, &history, &left, &right).await else {
        return;
    };
    history.truncate(difference.at + 1);
    // Drops ever smaller parts of the history, while the sides still differ.
    let mut part = history.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < history.len() {
            let mut shorter = history.clone();
            shorter.drain(from..(from + part).min(history.len()));
            match run(seed, &shorter, &left, &right).await {
                Some(found) => {
                    shorter.truncate(found.at + 1);
                    (history, difference) = (shorter, found);
                }
                None => from += part,
            }
        }
        part /= 2;
    }
    let history: Vec<String> = history.iter().map(|c| format!("  {c:?}")).collect();
    panic!(
        "seed {seed}: after\n{}\nthe left side answers\n  {}\nand the right side\n  {}",
        history.join("\n"),
        difference.left,
        difference.right
    );
}

/// Where two histories part.
struct Difference {
    at: usize,
    left: String,
    right: String,
}

async fn run(
    seed: u64,
    history: &[Command],
    left: &impl AsyncFn(Builder) -> Mender,
    right: &impl AsyncFn(Builder) -> Mender,
) -> Option<Difference> {
    let mut left = Side::open(seed, left).await;
    let mut right = Side::open(seed, right).await;
    for (at, command) in history.iter().chain([&Command::ShowAll]).enumerate() {
        let (left, right) = (command.run(&mut left).await, command.run(&mut right).await);
        if left != right {
            return Some(Difference { at, left, right });
        }
    }
    None
}

/// One of the two servers.
struct Side {
    mender: Mender,
    time: TestEnv,
    tenants: Vec<(TenantId, String)>,
    /// The tokens that devices and users got.
    tokens: Vec<String>,
}

impl Side {
    async fn open(seed: u64, build: &impl AsyncFn(Builder) -> Mender) -> Self {
        let time = TestEnv::seeded(seed);
        let auth = auth::Config { tiers: true, tenants: true, ..auth::Config::default() };
        let users = users::Config {
            hash_cost: HashCost::CHEAPEST,
            tenants: true,
            ..users::Config::default()
        };
        let builder = Mender::builder().env(time.env()).ephemeral_keys();
        let builder = builder.blobs(MemoryBlobs::default());
        let mender = build(builder.auth_config(auth).users_config(users)).await;
        let mut tenants = Vec::new();
        for n in 0..TENANTS {
            let new =
                NewTenant { name: format!("tenant {n}"), plan: Plan::Enterprise, addons: vec![] };
            let ctx = Ctx::system(TenantId::default());
            let made = mender.tenants().create(&ctx, &new).await;
            let made = made.expect("a tenant is made");
            tenants.push((made.id, made.token));
        }
        Self { mender, time, tenants, tokens: Vec::new() }
    }

    fn pass(&self, millis: u64) {
        self.time.advance(Duration::from_millis(millis));
    }
}
