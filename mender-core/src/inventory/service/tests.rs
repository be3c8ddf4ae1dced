//! The use cases, on a server in memory.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]
#![expect(clippy::needless_pass_by_value, reason = "values and answers are given where they arise")]

mod devices;
mod filters;
mod groups;
mod reports;
mod search;
mod transfer;

use std::time::Duration;

use crate::{
    auth::{Device as Known, DeviceFilter, Status},
    ctx::{Actor, Ctx, Scope},
    env::Time,
    error::{Kind, Result},
    id::DeviceId,
    inventory::{
        AttributeName, Config, Device, How, NewAttribute, Op, Operand, Predicate, Query, Service,
        Value,
    },
    mender::Mender,
    page::PageRequest,
    testing::{TestDevice, TestEnv},
};

/// A server, and who asks it.
struct World {
    mender: Mender,
    time: TestEnv,
    ctx: Ctx,
}

fn id(text: &str) -> DeviceId {
    text.parse().unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn page() -> PageRequest {
    PageRequest::default()
}

/// Attributes with these names and texts.
fn new(all: &[(&str, &str)]) -> Vec<NewAttribute> {
    let new = |(name, value): &(&str, &str)| {
        NewAttribute::new(AttributeName::inventory(*name), text(value))
    };
    all.iter().map(new).collect()
}

/// A condition; the attribute is `scope/name`.
fn term(attribute: &str, op: Op, value: serde_json::Value) -> Predicate {
    let (scope, name) = attribute.split_once('/').unwrap();
    let value = Operand::from_json(&value).unwrap();
    Predicate { name: AttributeName::new(scope, name), op, value }
}

fn kind<T>(answer: Result<T>) -> Kind {
    answer.map(|_| ()).unwrap_err().kind
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let time = TestEnv::seeded(1);
        let mender = Mender::in_memory().env(time.env()).inventory_config(config).build().unwrap();
        Self { mender, time, ctx: Ctx::system(Default::default()) }
    }

    fn inventory(&self) -> &Service {
        self.mender.inventory()
    }

    /// Someone who may only see devices of these groups.
    fn limited(&self, groups: &[&str]) -> Ctx {
        let groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        Ctx::new(self.ctx.tenant.clone(), Actor::System, Scope::Only { groups, tags: None })
    }

    fn pass(&self, hours: u64) {
        self.time.advance(Duration::from_secs(hours * 3600));
    }

    fn now(&self) -> Time {
        self.time.env().now()
    }

    /// Devices are in the order of their creation where that is milliseconds apart.
    fn tick(&self) {
        self.time.advance(Duration::from_millis(2));
    }

    async fn report(&self, name: &str, all: &[(&str, &str)]) {
        self.tick();
        self.inventory().report(&self.ctx, &id(name), new(all), How::Merge).await.unwrap();
    }

    async fn write(&self, name: &str, attribute: &str, value: Value) {
        self.tick();
        let (scope, attribute) = attribute.split_once('/').unwrap();
        let new = NewAttribute::new(AttributeName::new(scope, attribute), value);
        self.inventory().create(&self.ctx, &id(name), vec![new]).await.unwrap();
    }

    async fn device(&self, name: &str) -> Device {
        self.inventory().device(&self.ctx, &id(name)).await.unwrap()
    }

    async fn value(&self, name: &str, attribute: &str) -> Option<Value> {
        let (scope, attribute) = attribute.split_once('/').unwrap();
        let device = self.device(name).await;
        device.attributes.value(&AttributeName::new(scope, attribute)).cloned()
    }

    /// The ids of the devices that fit, on the first page; the total must agree.
    async fn search(&self, ctx: &Ctx, query: &Query) -> Vec<String> {
        let found = self.inventory().search(ctx, query, page()).await.unwrap();
        assert_eq!(found.total, found.devices.len() as u64);
        found.devices.iter().map(|device| device.id.to_string()).collect()
    }

    async fn filter(&self, terms: Vec<Predicate>) -> Vec<String> {
        self.search(&self.ctx, &Query { filters: terms, ..Query::default() }).await
    }

    /// Has a device ask to be let in; returns what device authentication knows of it.
    async fn ask(&self, device: &TestDevice) -> Known {
        let answer = self.mender.auth().request("", &device.request()).await;
        assert!(answer.is_ok() || kind(answer) == Kind::Unauthenticated);
        let all = self.mender.auth().devices(&self.ctx, DeviceFilter::default(), page());
        let mut known = all.await.unwrap().items.into_iter().map(|view| view.device);
        known.find(|known| known.identity.hash() == device.identity().hash()).unwrap()
    }

    async fn decide(&self, known: &Known, status: Status) {
        let set = &known.sets[0].id;
        self.mender.auth().decide(&self.ctx, &known.id, set, status).await.unwrap();
    }

    /// Has a device accepted, and everyone told.
    async fn accepted(&self, device: &TestDevice) -> Known {
        let known = self.ask(device).await;
        self.decide(&known, Status::Accepted).await;
        self.mender.drain().await.unwrap();
        known
    }
}
