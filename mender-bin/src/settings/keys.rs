use std::path::PathBuf;

settings! {
    "Keys":
    /// The keys that sign and verify tokens.
    pub(crate) struct Keys {
        /// Private key that signs tokens, PEM. Default: keys/private.pem in the data directory,
        /// made when the server first starts. Files private.pem and private.id.N.pem beside it
        /// verify tokens as key 0 and N. Nodes that share a database need the same key.
        signing_key: Option<PathBuf> = "",
        /// Further private keys that verify tokens, PEM. The number of a key is that in its file
        /// name, as in private.id.N.pem, else 0.
        verification_keys: Vec<PathBuf> = "",
        /// Private key that verified tokens before, tried last, PEM.
        fallback_key: Option<PathBuf> = "",
    }
}
