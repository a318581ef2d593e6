//! Expiry: tables that the lake keeps by the day lose whole files when their days are over.

use chrono::{NaiveDate, Utc};
use deltalake::kernel::Action;
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::Result;
use crate::file;
use crate::lake::Lake;
use crate::log::{Attempt, TableState};
use crate::schema::Layout;

/// Takes out the files of a table whose partition `is_over`; returns how many that were. `also` is committed with them.
///
/// # Errors
/// A store that cannot be read or written.
pub(crate) async fn expire(
    lake: &Lake,
    layout: &Layout,
    is_over: impl Fn(&str) -> bool,
    also: impl Fn(&TableState) -> Vec<Action>,
) -> Result<u64> {
    let _guard = lake.rewriter(&layout.name).await;
    let log = lake.log(&layout.name);
    let Some(mut state) = lake.state(&log).await? else {
        return Ok(0);
    };
    loop {
        let expired = state
            .files
            .values()
            .filter(|add| layout.partition_of(add).is_some_and(&is_over));
        let mut actions: Vec<_> = expired.map(|add| Action::Remove(file::removal(add, true))).collect();
        let count = actions.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        actions.extend(also(&state));
        let record = CommitRecord::new("expire", Uuid::new_v4());
        if let Attempt::Committed(_) = log.try_commit(&mut state, &record, actions).await? {
            return Ok(count);
        }
    }
}

/// The first day that is kept where `days` are.
pub(crate) fn first_kept_day(days: u32) -> NaiveDate {
    (Utc::now() - chrono::Duration::days(i64::from(days))).date_naive()
}
