use std::time::Duration;

use mender_core::{auth, secret::Secret};

settings! {
    "Devices and tenants":
    /// How devices are let in, and whether there are tenants.
    pub(crate) struct Auth {
        /// Whether the server has several tenants, each with users and devices of its own.
        multi_tenant: bool = "false",
        /// Whether devices have tiers: standard, micro and system.
        device_tiers: bool = "false",
        /// Tenant token for devices that present none, or an unknown one.
        default_tenant_token: Option<Secret> = "",
        /// How long the token of a device is valid.
        device_token_lifetime: Duration = "7d",
        /// Issuer that tokens of devices name.
        device_token_issuer: String = "Mender",
        /// How many devices are remembered in memory, at 100 bytes each.
        device_cache: usize = "1000000",
    }
}

impl Auth {
    /// Returns how device authentication behaves.
    pub(crate) fn config(&self) -> auth::Config {
        let token = self.default_tenant_token.as_ref();
        auth::Config {
            token_lifetime: self.device_token_lifetime,
            issuer: self.device_token_issuer.clone(),
            tiers: self.device_tiers,
            tenants: self.multi_tenant,
            default_tenant_token: token.map(|token| token.expose().to_owned()),
            remembered: self.device_cache,
        }
    }
}
