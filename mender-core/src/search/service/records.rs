//! Reports of what deployments did on devices, from the records themselves.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;

use super::{MAX_BUCKETS, Service, check_window, depth};
use crate::{
    ctx::Ctx,
    deployments::Deployment,
    error::{Error, Result},
    inventory::{MAX_KEYS, MAX_TERMS},
    page::PageRequest,
    search::{Aggregation, Best, Bucket, DeviceRecord, Field, FoundRecords, RecordSearch, Term},
};

/// How many texts are told apart while records are counted.
const MAX_TEXTS: usize = 200_000;

impl Service {
    /// Returns a page of the records that fit. Each record of the deployments that come into
    /// question is looked at.
    ///
    /// # Errors
    /// `Invalid` for a page beyond [`MAX_WINDOW`](super::MAX_WINDOW), for too many conditions or
    /// keys, and those of the store.
    pub async fn records(
        &self,
        ctx: &Ctx,
        wanted: &RecordSearch,
        page: PageRequest,
    ) -> Result<FoundRecords> {
        check_window(page)?;
        if wanted.sort.len() > MAX_KEYS {
            return Err(Error::invalid("sort", format!("at most {MAX_KEYS} sort keys")));
        }
        let skip = usize::try_from(page.skip()).unwrap_or(usize::MAX);
        let mut best = Best::new(&wanted.sort, skip + page.size as usize);
        self.each_record(ctx, wanted, |record| {
            best.push(record);
            Ok(())
        })
        .await?;
        let (records, total) = best.finish();
        Ok(FoundRecords { records: records.skip(skip).collect(), total })
    }

    /// Counts the records that fit by the texts of fields.
    ///
    /// # Errors
    /// `Invalid` for a field without texts, for too many or too deep terms or conditions, and those
    /// of the store.
    pub async fn aggregate_records(
        &self,
        ctx: &Ctx,
        terms: &[Term<Option<Field>>],
        wanted: &RecordSearch,
    ) -> Result<Vec<Aggregation>> {
        if depth(terms) > <Term>::MAX_DEPTH {
            return Err(Error::invalid("aggregations", "too many nested aggregations, limit is 5"));
        }
        check_fields(terms)?;
        let mut counts = counts_of(terms);
        let mut texts = 0;
        self.each_record(ctx, wanted, |record| {
            counts.iter_mut().try_for_each(|count| count.add(&record, &mut texts))
        })
        .await?;
        let mut left = MAX_BUCKETS;
        counts.into_iter().map(|count| count.finish(&mut left)).collect()
    }

    /// Has each record that fits looked at, the newest deployments first.
    async fn each_record(
        &self,
        ctx: &Ctx,
        wanted: &RecordSearch,
        mut see: impl FnMut(DeviceRecord) -> Result<()> + Send,
    ) -> Result<()> {
        if wanted.conditions.len() > MAX_TERMS {
            return Err(Error::invalid("filters", format!("at most {MAX_TERMS} filters")));
        }
        let of_deployment = |field: Option<Field>| field.is_some_and(Field::is_of_deployment);
        let conditions = wanted.conditions.clone();
        let (outer, inner): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|condition| of_deployment(condition.field));
        let may_fit = move |deployment: &Deployment| {
            outer.iter().all(|condition| {
                let value = condition.field.and_then(|field| field.of_deployment(deployment));
                condition.fits(value.as_ref())
            })
        };
        let (devices, deployments) = (wanted.devices.clone(), wanted.deployments.clone());
        let mut found = self.deployments.recorded(ctx, devices, deployments, may_fit);
        while let Some((deployment, devices)) = found.try_next().await? {
            for device in devices {
                let (tenant, deployment) = (ctx.tenant.clone(), deployment.clone());
                let record = DeviceRecord { tenant, deployment, device };
                let fits = inner.iter().all(|condition| {
                    let value = condition.field.and_then(|field| record.value(field));
                    condition.fits(value.as_ref())
                });
                if fits {
                    see(record)?;
                }
            }
        }
        Ok(())
    }
}

fn check_fields(terms: &[Term<Option<Field>>]) -> Result<()> {
    for term in terms {
        if term.attribute.is_some_and(|field| !field.is_text()) {
            return Err(Error::invalid("aggregations", "can't process store key attribute"));
        }
        check_fields(&term.terms)?;
    }
    Ok(())
}

/// What is counted for a term.
struct Counts<'a> {
    term: &'a Term<Option<Field>>,
    texts: HashMap<String, (u64, Vec<Counts<'a>>)>,
}

fn counts_of(terms: &[Term<Option<Field>>]) -> Vec<Counts<'_>> {
    terms.iter().map(|term| Counts { term, texts: HashMap::new() }).collect()
}

impl Counts<'_> {
    fn add(&mut self, record: &DeviceRecord, texts: &mut usize) -> Result<()> {
        let Some(value) = self.term.attribute.and_then(|field| record.value(field)) else {
            return Ok(());
        };
        let mut seen: Vec<&String> = value.texts().iter().collect();
        seen.sort_unstable();
        seen.dedup();
        for text in seen {
            if !self.texts.contains_key(text) {
                *texts += 1;
                if *texts > MAX_TEXTS {
                    let what = format!("more than {MAX_TEXTS} different values");
                    return Err(Error::invalid("aggregations", what));
                }
                self.texts.insert(text.clone(), (0, counts_of(&self.term.terms)));
            }
            if let Some((count, inner)) = self.texts.get_mut(text) {
                *count += 1;
                inner.iter_mut().try_for_each(|inner| inner.add(record, texts))?;
            }
        }
        Ok(())
    }

    /// Returns the most frequent texts. A term that counts nothing takes of what is left, too.
    fn finish(self, left: &mut usize) -> Result<Aggregation> {
        let limit = if self.term.limit == 0 { <Term>::LIMIT } else { self.term.limit };
        let mut texts: Vec<_> = self.texts.into_iter().collect();
        texts.sort_unstable_by(|(a, (a_count, _)), (b, (b_count, _))| {
            b_count.cmp(a_count).then_with(|| a.cmp(b))
        });
        let others = texts.iter().skip(limit).map(|(_, (count, _))| count).sum();
        texts.truncate(limit);
        *left = left.checked_sub(texts.len().max(1)).ok_or_else(|| {
            Error::invalid("aggregations", format!("more than {MAX_BUCKETS} items"))
        })?;
        let mut items = Vec::with_capacity(texts.len());
        for (key, (count, inner)) in texts {
            let aggregations = inner.into_iter().map(|inner| inner.finish(left));
            items.push(Bucket { key, count, aggregations: aggregations.collect::<Result<_>>()? });
        }
        Ok(Aggregation { name: self.term.name.clone(), items, other_count: others })
    }
}
