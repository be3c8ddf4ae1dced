//! Every use case, cut off at every port call: nothing is lost, nothing happens twice.

#![expect(clippy::unwrap_used, reason = "a broken invariant panics")]

mod crash {
    pub(crate) mod artifacts;
    pub(crate) mod auth;
    pub(crate) mod deployments;
    pub(crate) mod docs;
    pub(crate) mod harness;
    pub(crate) mod inventory;
    pub(crate) mod told;
    pub(crate) mod users;
}
