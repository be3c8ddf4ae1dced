//! Saved filters: dynamic groups.

use crate::{
    ctx::Ctx,
    error::{Error, Kind, Result},
    id::Version,
    inventory::{
        logic,
        model::{Filter, FilterId},
        query::{Predicate, Query},
        service::{Found, Service},
    },
    page::PageRequest,
};

fn check_scope(ctx: &Ctx) -> Result<()> {
    if ctx.scope.groups().is_some() {
        return Err(Error::forbidden("filters are for users who may see every device"));
    }
    Ok(())
}

fn taken(error: Error) -> Error {
    match error.kind {
        Kind::Conflict if error.what == "name" => Error::conflict("filter name already exists"),
        _ => error,
    }
}

impl Service {
    /// Saves a filter; returns its id.
    ///
    /// # Errors
    /// `Invalid` for a filter that makes no sense, `Conflict` where another one has the name,
    /// `Forbidden` for users who may not see every device, and those of the store.
    pub async fn create_filter(
        &self,
        ctx: &Ctx,
        name: &str,
        terms: Vec<Predicate>,
    ) -> Result<FilterId> {
        check_scope(ctx)?;
        let id: FilterId =
            self.kernel.env().uuid().parse().map_err(|e| Error::internal("id").because(e))?;
        let name = name.to_owned();
        let filter = Filter { id: id.clone(), name, terms, version: Version::FIRST };
        let commit = logic::save_filter(filter)?;
        self.commit_filter(ctx, commit).await.map_err(taken)?;
        Ok(id)
    }

    /// Returns a page of the saved filters by name, and how many there are. A user who may not
    /// see every device sees none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn filters(&self, ctx: &Ctx, page: PageRequest) -> Result<(Vec<Filter>, u64)> {
        if ctx.scope.groups().is_some() {
            return Ok((Vec::new(), 0));
        }
        let filters = self.store.filters(&ctx.tenant, page.skip(), page.size as usize).await?;
        Ok((filters, self.store.count_filters(&ctx.tenant).await?))
    }

    /// Returns a saved filter.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for users who may not see every device, and those of the store.
    pub async fn filter(&self, ctx: &Ctx, id: &FilterId) -> Result<Filter> {
        check_scope(ctx)?;
        let filter = self.store.filter(&ctx.tenant, id).await?;
        filter.ok_or_else(|| Error::not_found("filter"))
    }

    /// Changes a saved filter.
    ///
    /// # Errors
    /// As [`Self::create_filter`], and `NotFound`.
    pub async fn change_filter(
        &self,
        ctx: &Ctx,
        id: &FilterId,
        name: &str,
        terms: &[Predicate],
    ) -> Result<()> {
        let attempt = || async {
            let filter = self.filter(ctx, id).await?;
            self.commit_filter(ctx, logic::change_filter(filter, name, terms)?).await
        };
        self.kernel.retry(attempt).await.map_err(taken)
    }

    /// Deletes a saved filter.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for users who may not see every device, and those of the store.
    pub async fn delete_filter(&self, ctx: &Ctx, id: &FilterId) -> Result<()> {
        let attempt = || async {
            let filter = self.filter(ctx, id).await?;
            self.commit_filter(ctx, logic::delete_filter(filter)).await
        };
        self.kernel.retry(attempt).await
    }

    /// Returns a page of the devices that fit a saved filter now.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for users who may not see every device, and those of the store.
    pub async fn search_filter(
        &self,
        ctx: &Ctx,
        id: &FilterId,
        page: PageRequest,
    ) -> Result<Found> {
        let filter = self.filter(ctx, id).await?;
        let query = Query { filters: filter.terms, ..Query::default() };
        self.search(ctx, &query, page).await
    }
}
