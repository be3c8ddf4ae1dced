use std::fmt::Write as _;

use ring::digest;

use crate::{
    auth::model::{AuthTenant, Usage},
    commit::Commit,
    env::{Time, hex},
};

/// For how many days counts are kept.
pub const MAX_USAGE_DAYS: usize = 400;

/// Keeps the count of a day. The first of each day stands; a tenant that never had a device
/// keeps none.
pub fn count_usage(was: &AuthTenant, usage: Usage) -> Commit<AuthTenant> {
    let Usage { day, standard, micro, system } = usage;
    let unused = was.usage.is_empty() && standard + micro + system == 0;
    if unused || was.usage.last().is_some_and(|last| last.day >= day) {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.usage.push(usage);
    let surplus = to.usage.len().saturating_sub(MAX_USAGE_DAYS);
    to.usage.drain(..surplus);
    Commit::update(was.clone(), to).quiet("a statistic")
}

/// Writes the counts as CSV, ended by a line with the SHA-256 of those before; `None` where
/// nothing was counted yet.
#[must_use]
pub fn usage_report(counts: &[Usage]) -> Option<String> {
    if counts.is_empty() {
        return None;
    }
    let mut text = String::from("date,standard,micro,system\n");
    for count in counts {
        let Usage { day, standard, micro, system } = count;
        let date = Time::from_seconds(day * 86_400).to_string();
        let date = date.split('T').next().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{date},{standard},{micro},{system}");
    }
    let sum = hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let _ = writeln!(text, "# sha256 {sum}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(day: i64, standard: u64) -> Usage {
        Usage { day, standard, micro: 0, system: 0 }
    }

    fn after(was: &AuthTenant, usage: Usage) -> Option<AuthTenant> {
        count_usage(was, usage).aggregate().cloned()
    }

    #[test]
    fn a_day_is_counted_once_and_only_from_the_first_device_on() {
        let new = AuthTenant::new(Default::default());
        assert_eq!(after(&new, on(1, 0)), None);
        let one = after(&new, on(2, 5)).unwrap();
        assert_eq!(one.usage, [on(2, 5)]);
        assert_eq!(after(&one, on(2, 6)), None);
        assert_eq!(after(&one, on(1, 6)), None);
        assert_eq!(after(&one, on(3, 0)).unwrap().usage, [on(2, 5), on(3, 0)]);
    }

    #[test]
    fn old_days_are_forgotten() {
        let mut tenant = AuthTenant::new(Default::default());
        for day in 0..500 {
            tenant = after(&tenant, on(day, 1)).unwrap();
        }
        assert_eq!(tenant.usage.len(), MAX_USAGE_DAYS);
        assert_eq!(tenant.usage[0].day, 100);
    }

    #[test]
    fn the_report_says_by_what_it_can_be_checked() {
        assert_eq!(usage_report(&[]), None);
        let report = usage_report(&[on(20_454, 3)]).unwrap();
        let (lines, sum) = report.split_once("# sha256 ").unwrap();
        assert_eq!(lines, "date,standard,micro,system\n2026-01-01,3,0,0\n");
        let expected = hex(digest::digest(&digest::SHA256, lines.as_bytes()).as_ref());
        assert_eq!(sum.trim_end(), expected);
    }
}
