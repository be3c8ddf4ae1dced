//! How names are written so that they are unambiguous, and sort alike on every server.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use mender_core::{
    TenantId,
    kit::{DocId, sortable},
};

/// Stands for a character that is not written as itself; six hexadecimal digits follow.
const ESCAPE: char = '\u{7f}';

/// Returns the beginning of every `_id` of the tenant.
///
/// Invariant: it has one slash, the last character, so no tenant's is the beginning of another's.
pub(super) fn tenant_prefix(tenant: &TenantId) -> String {
    let escaped = sortable(tenant.as_str()).replace('/', "\u{7f}00002f");
    format!("{escaped}/")
}

/// Returns what is greater than every `_id` of the tenant, and no greater than those of others.
pub(super) fn tenant_end(tenant: &TenantId) -> String {
    let mut end = tenant_prefix(tenant);
    end.pop();
    end.push('0');
    end
}

/// Returns the `_id` of a document.
pub(super) fn key(tenant: &TenantId, id: &str) -> String {
    tenant_prefix(tenant) + &sortable(id)
}

/// Returns the `_id` of a document.
pub(super) fn key_of(id: &DocId) -> String {
    key(&id.tenant, &id.id)
}

/// Returns the id that an `_id` was made of.
pub(super) fn id_of(key: &str) -> Option<String> {
    let (_, escaped) = key.split_once('/')?;
    let mut parts = escaped.split(ESCAPE);
    let mut id = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(6)?;
        id.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        id.push_str(rest);
    }
    Some(id)
}

/// Returns the value of `uk` for a unique text.
pub(super) fn unique(text: &str) -> String {
    format!("={text}")
}

/// Returns the value of `uk` for a tombstone: never that of a unique text.
pub(super) fn unique_dead(key: &str) -> String {
    format!("dead/{key}")
}

/// Returns the name of an order as the constant that it was.
pub(super) fn order(name: &str) -> &'static str {
    static KNOWN: RwLock<BTreeSet<&'static str>> = RwLock::new(BTreeSet::new());
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(name) {
        return found;
    }
    drop(known);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(name) {
        return found;
    }
    // Why: the names are constants of programs that wrote here, so few are ever kept.
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    proptest! {
        #[test]
        fn keys_tell_documents_apart_and_give_ids_back(
            a in ("[a/\u{e9}\u{1f600}0]{0,3}", "[a/\u{7f}\u{e9}\u{ffff}\u{1f600}0]{0,4}"),
            b in ("[a/\u{e9}\u{1f600}0]{0,3}", "[a/\u{7f}\u{e9}\u{ffff}\u{1f600}0]{0,4}"),
        ) {
            let (ka, kb) = (key(&tenant(&a.0), &a.1), key(&tenant(&b.0), &b.1));
            prop_assert_eq!(ka == kb, a == b);
            prop_assert_eq!(id_of(&ka), Some(a.1.clone()));
            if a.0 == b.0 {
                prop_assert_eq!(ka.cmp(&kb), a.1.cmp(&b.1));
            } else {
                let (from, to) = (tenant_prefix(&tenant(&a.0)), tenant_end(&tenant(&a.0)));
                prop_assert!(kb < from || kb >= to);
            }
        }
    }

    #[test]
    fn order_names_come_back_as_the_same_constant() {
        let name = String::from("time");
        assert!(std::ptr::eq(order(&name), order("time")));
    }
}
