//! Documents in memory whose calls fail on demand: a commit of the kit takes several.

use async_trait::async_trait;
use mender_core::{
    Event, StoreResult, TenantId, Time,
    index::Span,
    kit::{Doc, DocId, DocStore, MemoryStores, Plan, Write},
    testing::{Faults, Faulty},
};

pub(crate) struct FaultyDocs(Faulty<MemoryStores>);

impl FaultyDocs {
    pub(crate) fn new(stores: MemoryStores, faults: Faults) -> Self {
        Self(Faulty::new(stores, faults))
    }
}

/// Forwards the calls to the documents, through the plan of faults.
macro_rules! forward {
    ($(async fn $method:ident(&self $(, $arg:ident: $ty:ty)* $(,)?) -> $out:ty;)+) => {
        #[async_trait]
        impl DocStore for FaultyDocs {$(
            async fn $method(&self $(, $arg: $ty)*) -> StoreResult<$out> {
                let call = self.0.begin(stringify!($method))?;
                call.end(self.0.inner().docs().$method($($arg),*).await)
            }
        )+}
    };
}

forward! {
    async fn get(&self, id: &DocId) -> Option<Doc>;
    async fn find(&self, kind: &'static str, tenant: &TenantId, unique: &str) -> Option<Doc>;
    async fn scan(&self, plan: &Plan) -> Vec<Doc>;
    async fn count(&self, plan: &Plan) -> u64;
    async fn tally(&self, plan: &Plan, within: &Span) -> Vec<(String, u64)>;
    async fn write(&self, write: &Write) -> ();
    async fn tombstone(&self, id: &DocId) -> Option<String>;
    async fn claim(&self, now: Time, lease_until: Time, limit: usize) -> Vec<Event>;
    async fn settle(&self, events: &[Event]) -> ();
    async fn pending(&self, kind: &str, tenant: &TenantId, id: &str) -> Vec<Event>;
    async fn unsettled(&self) -> u64;
    async fn sweep(&self, before: Time, limit: usize) -> ();
}
