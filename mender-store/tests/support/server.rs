//! Which servers there are to test with.

/// Returns what a database answers.
///
/// # Panics
/// Where it does not.
pub(crate) fn done<T, E: std::fmt::Display>(answer: Result<T, E>) -> T {
    answer.unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the base URL of a server, or says that its tests are skipped.
///
/// # Panics
/// Where the server is required and there is none.
#[cfg(any(
    feature = "postgres",
    feature = "mongodb",
    feature = "opensearch",
    feature = "s3",
    feature = "azure",
    feature = "gcs",
    feature = "nats"
))]
pub(crate) fn server(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn which servers run")]
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let variable = format!("MENDER_TEST_{}", name.to_uppercase());
    let url = setting(&variable);
    if url.is_none() {
        let required = setting("MENDER_TEST_REQUIRE").unwrap_or_default();
        let needed = required.split(',').any(|one| one == name);
        assert!(!needed, "{variable} is required");
        eprintln!("skipped on {name}: {variable} is not set");
    }
    url
}
