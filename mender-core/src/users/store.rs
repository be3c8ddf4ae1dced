use crate::{
    commit::Stamped,
    id::{TenantId, UserId},
    port,
    users::model::{Account, Email},
};

port! {
    /// Keeps accounts. Global: an account may belong to several tenants.
    ///
    /// Accounts are unique by e-mail address: another one is `Duplicate { email }`.
    pub trait Store {
        /// Returns an account.
        async fn account(&self, id: &UserId) -> Option<Account>;

        /// Returns the account with this address.
        async fn account_by_email(&self, email: &Email) -> Option<Account>;

        /// Returns the accounts of a tenant by id, those after `after`.
        async fn accounts(
            &self,
            tenant: &TenantId,
            after: Option<&UserId>,
            limit: usize,
        ) -> Vec<Account>;

        /// Stores a change of an account, or nothing. An id that is taken is a `Conflict`.
        async fn commit_account(&self, commit: Stamped<Account>) -> ();
    }
}
