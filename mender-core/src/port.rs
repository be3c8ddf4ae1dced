//! Declares ports: object-safe async traits, each with its fault-injecting double.

/// Declares a port: a trait of async methods that answer [`crate::error::StoreResult`], with the
/// forwarder that makes [`crate::testing::Faulty`] of any implementation an implementation too.
/// Ports have no default methods: a wrapper cannot silently lose one.
#[macro_export]
macro_rules! port {
    (
        $(#[$doc:meta])*
        pub trait $name:ident {
            $(
                $(#[$method_doc:meta])*
                async fn $method:ident(&self $(, $arg:ident: $ty:ty)* $(,)?) -> $out:ty;
            )*
        }
    ) => {
        $(#[$doc])*
        #[async_trait::async_trait]
        pub trait $name: Send + Sync + 'static {
            $(
                $(#[$method_doc])*
                async fn $method(&self $(, $arg: $ty)*) -> $crate::error::StoreResult<$out>;
            )*
        }

        #[cfg(feature = "testing")]
        #[async_trait::async_trait]
        impl<P: $name> $name for $crate::testing::Faulty<P> {
            $(
                async fn $method(&self $(, $arg: $ty)*) -> $crate::error::StoreResult<$out> {
                    let call = self.begin(stringify!($method))?;
                    let answer = self.inner().$method($($arg),*).await;
                    call.end(answer)
                }
            )*
        }
    };
}
