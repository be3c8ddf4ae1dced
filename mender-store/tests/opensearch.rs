//! The index in OpenSearch finds what the primary store finds, and follows it.

#[path = "support/server.rs"]
mod server;

use mender_core::{
    Builder, Ctx, Mender, TenantId,
    inventory::{AttributeName, NewAttribute, Op, Operand, Predicate, Query, Value},
    kit::MemoryStores,
    page::PageRequest,
    search::{DeviceSearch, SearchIndex as _, Term},
    testing::{TestEnv, inventory_queries::reports_alike},
};
use mender_store::OpenSearch;
use server::{done, server};
use tokio::task::JoinSet;

/// A server whose reports come from an index of its own, and a second way to the index.
struct Rig {
    mender: Mender,
    index: OpenSearch,
    time: TestEnv,
    ctx: Ctx,
}

impl Rig {
    /// `None`: there is no engine to test with.
    fn new() -> Option<Self> {
        let url = server("opensearch")?;
        let name = format!("t{}", mender_core::Env::system().uuid());
        let open = || done(OpenSearch::options().name(&name).open(&url));
        let time = TestEnv::seeded(7);
        let builder = Mender::in_memory().env(time.env()).search_index(open());
        let mender = done(builder.build());
        let ctx = Ctx::system(TenantId::default());
        Some(Self { mender, index: open(), time, ctx })
    }

    /// Has the index built: only then it answers.
    async fn built(self) -> Self {
        done(self.mender.search().rebuild(|_| ()).await);
        self
    }

    async fn create(&self, id: &str, attributes: &[(&str, Value)]) {
        let new = |(name, value): &(&str, Value)| {
            NewAttribute::new(AttributeName::inventory(*name), value.clone())
        };
        let new = attributes.iter().map(new).collect();
        let id = done(id.parse());
        done(self.mender.inventory().create(&self.ctx, &id, new).await);
    }

    /// Has the index know everything.
    async fn settle(&self) {
        done(self.mender.drain().await);
        done(self.index.refresh().await);
    }

    async fn found(&self, query: &Query) -> (Vec<String>, u64) {
        let search = DeviceSearch { query: query.clone(), area: None };
        let page = PageRequest::default();
        let found = done(self.mender.search().search(&self.ctx, &search, page).await);
        (found.devices.iter().map(|device| device.id.to_string()).collect(), found.total)
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn filter(name: &str, op: Op, value: impl Into<serde_json::Value>) -> Query {
    let value = done(Operand::from_json(&value.into()));
    let name = AttributeName::inventory(name);
    Query { filters: vec![Predicate { name, op, value }], ..Query::default() }
}

#[tokio::test]
async fn changes_and_ends_arrive() {
    let Some(rig) = Rig::new() else { return };
    let rig = rig.built().await;
    rig.create("d1", &[("a", text("x"))]).await;
    rig.create("d2", &[("a", text("y"))]).await;
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "x")).await, (vec!["d1".into()], 1));
    rig.create("d1", &[("a", text("y"))]).await;
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "x")).await.1, 0);
    assert_eq!(rig.found(&filter("a", Op::Eq, "y")).await.1, 2);
    rig.mender.inventory().remove(&rig.ctx, &"d1".parse().unwrap()).await.unwrap();
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "y")).await, (vec!["d2".into()], 1));
    rig.time.advance(std::time::Duration::from_secs(1));
    rig.create("d1", &[("a", text("y"))]).await;
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "y")).await.1, 2);
}

#[tokio::test]
async fn reports_from_the_index_are_those_from_the_primary_store() {
    let Some(url) = server("opensearch") else { return };
    for seed in 0..12 {
        let name = format!("t{}", mender_core::Env::system().uuid());
        let open = || done(OpenSearch::options().name(&name).open(&url));
        let primary =
            async |builder: Builder| done(builder.stores(MemoryStores::default()).build());
        let indexed = async |builder: Builder| {
            let builder = builder.stores(MemoryStores::default()).search_index(open());
            let mender = done(builder.build());
            done(mender.search().rebuild(|_| ()).await);
            mender
        };
        let settle = async |mender: &Mender| {
            done(mender.drain().await);
            done(open().refresh().await);
        };
        reports_alike(seed, primary, indexed, settle).await;
    }
}

#[tokio::test]
async fn numbers_of_texts_are_those_of_the_primary_store() {
    let Some(rig) = Rig::new() else { return };
    let rig = rig.built().await;
    for n in 0..12 {
        let version = text(&format!("v{}", n % 3));
        rig.create(&format!("d{n}"), &[("version", version), ("n", Value::Number(1.0))]).await;
    }
    rig.settle().await;
    let term = Term {
        name: "versions".into(),
        attribute: AttributeName::inventory("version"),
        limit: 2,
        terms: vec![],
    };
    let all = DeviceSearch::default();
    let counted = rig.mender.search().aggregate(&rig.ctx, &[term], &all).await.unwrap();
    let items: Vec<_> = counted[0].items.iter().map(|i| (i.key.as_str(), i.count)).collect();
    assert_eq!(items, [("v0", 4), ("v1", 4)]);
    assert_eq!(counted[0].other_count, 4);
}

#[tokio::test]
async fn an_index_is_built_anew_while_it_answers() {
    let Some(rig) = Rig::new() else { return };
    let rig = rig.built().await;
    for n in 0..5 {
        rig.create(&format!("d{n}"), &[("a", text("x"))]).await;
    }
    rig.settle().await;
    // One that is cut off does no harm.
    done(rig.index.begin_rebuild().await);
    let begun = done(rig.index.begin_rebuild().await);
    // What is under way is taken up by both.
    rig.create("late", &[("a", text("x"))]).await;
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "x")).await.1, 6);
    assert_eq!(rig.mender.search().rebuild(|_| ()).await.unwrap(), 6);
    assert!(rig.index.finish_rebuild(&begun).await.is_err());
    assert_eq!(rig.found(&filter("a", Op::Eq, "x")).await.1, 6);
    assert_eq!(rig.mender.search().rebuild(|_| ()).await.unwrap(), 6);
    rig.create("d0", &[("a", text("y"))]).await;
    rig.settle().await;
    assert_eq!(rig.found(&filter("a", Op::Eq, "x")).await.1, 5);
}

#[tokio::test]
async fn what_happened_while_the_engine_was_away_is_taken_up_when_it_is_back() {
    let Some(url) = server("opensearch") else { return };
    let name = format!("t{}", mender_core::Env::system().uuid());
    // Nothing listens there yet: the port is taken, and given to the engine's stand-in later.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = || OpenSearch::options().name(&name);
    let index = done(options().open(&url));
    let new = done(index.begin_rebuild().await);
    done(index.finish_rebuild(&new).await);
    let away = done(options().open(&format!("http://{address}")));
    let time = TestEnv::seeded(7);
    let mender = Mender::in_memory().env(time.env()).search_index(away).build().unwrap();
    let ctx = Ctx::system(TenantId::default());
    let new = vec![NewAttribute::new(AttributeName::inventory("a"), text("x"))];
    mender.inventory().create(&ctx, &"d1".parse().unwrap(), new).await.unwrap();
    for _ in 0..8 {
        mender.drain().await.unwrap();
        time.advance(std::time::Duration::from_secs(1800));
    }
    assert!(done(mender.search().waiting_since().await).is_some());
    // The primary store answers for it.
    let (all, page) = (DeviceSearch::default(), PageRequest::default());
    assert_eq!(done(mender.search().search(&ctx, &all, page).await).total, 1);
    let proxy = tokio::net::TcpListener::bind(address).await.unwrap();
    let target = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut forward = JoinSet::new();
    forward.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut here, _)) = proxy.accept().await {
            let Ok(mut there) = tokio::net::TcpStream::connect(&target).await else { return };
            connections.spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    time.advance(std::time::Duration::from_secs(7200));
    mender.drain().await.unwrap();
    done(index.refresh().await);
    assert_eq!(done(mender.search().search(&ctx, &all, page).await).total, 1);
    assert!(done(mender.search().waiting_since().await).is_none());
}
