//! Work on a PostgreSQL server that takes longer than the store waits for.

use crate::Fault;

/// Runs statements one by one, outside of transactions.
#[cfg(feature = "postgres")]
pub(crate) async fn run(url: &str, schema: &str, all: &[&str]) -> Result<(), Fault> {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

    let mut conn = PgConnection::connect(url).await?;
    let path = format!("SET search_path TO \"{schema}\"");
    for text in [path.as_str()].iter().chain(all) {
        sqlx::raw_sql(AssertSqlSafe((*text).to_owned())).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn run(_: &str, _: &str, _: &[&str]) -> Result<(), Fault> {
    Err("built without the `postgres` feature".into())
}
