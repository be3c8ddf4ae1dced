//! Stands in for traces in a program that was built without them.

use tracing::Subscriber;
use tracing_subscriber::Layer;

use crate::failure::Failure;

#[derive(Default)]
pub(crate) struct Traces {}

pub(crate) fn send<S: Subscriber>(
    _: &str,
) -> Result<(Box<dyn Layer<S> + Send + Sync>, Traces), Failure> {
    let why = "otel_endpoint: built without the `otel` feature";
    Err(Failure::new(why))
}

impl Traces {
    #[expect(clippy::unused_async, reason = "there is something to wait for with the feature")]
    pub(crate) async fn end(self) {}
}
