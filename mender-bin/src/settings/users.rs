use std::time::Duration;

use mender_core::users;

settings! {
    "Users":
    /// How users log in.
    pub(crate) struct Users {
        /// How long a session lasts.
        user_token_lifetime: Duration = "7d",
        /// Issuer that tokens of users name.
        user_token_issuer: String = "mender.useradm",
        /// How many passwords are checked at once; more log-ins wait.
        parallel_logins: usize = "4",
    }
}

impl Users {
    /// Returns how users log in.
    pub(crate) fn config(&self, multi_tenant: bool) -> users::Config {
        users::Config {
            session_lifetime: self.user_token_lifetime,
            issuer: self.user_token_issuer.clone(),
            parallel_hashes: self.parallel_logins,
            tenants: multi_tenant,
            ..users::Config::default()
        }
    }
}
