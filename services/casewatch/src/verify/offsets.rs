//! The proof of exactly once (RULES 5), by SQL over the lake alone: the ranges that commits recorded tile each partition
//! up to its position, what a range says it holds adds up to its length, and each offset with rows or a dead letter
//! stands in the lake once.

use std::collections::{BTreeMap, BTreeSet};

use casewatch_contract::{Contract, Offset, PartitionId, TableName};
use casewatch_query::Session;
use chrono::NaiveDate;
use serde::Deserialize;

use super::account::{Account, Letter, Range, Run, Totals};
use super::report::Finding;
use super::rows::rows;
use crate::failure::Failure;

/// What was proved, and what was not.
#[derive(Debug, Default)]
pub struct Proof {
    pub totals: Totals,
    pub findings: Vec<Finding>,
    /// Tables of the lake that no schema describes.
    pub unknown_tables: BTreeSet<String>,
}

/// A partition, as the lake's own tables name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Place {
    cluster: String,
    topic: String,
    epoch: u32,
    partition: i32,
}

impl Place {
    fn id(&self) -> PartitionId {
        PartitionId {
            cluster: self.cluster.as_str().into(),
            topic: self.topic.as_str().into(),
            epoch: self.epoch,
            partition: self.partition,
        }
    }
}

#[derive(Deserialize)]
struct Of<T> {
    table: String,
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    item: T,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct InTable<T> {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    item: T,
}

#[derive(Deserialize)]
struct Erasure {
    table: String,
    version: i64,
}

const POSITIONS: &str = r#"select "table", "cluster", topic, epoch, "partition" from lake.positions"#;
/// A replayed dead letter has a range of its own, which moves no position.
const RANGES: &str = r#"
select "table", "cluster", topic, epoch, "partition", version, kind, from_offset, to_offset, offsets, tombstones,
  dead_letters, holes, erased, cast(date_part('epoch', committed_at) as bigint) as committed_at_s
from lake.commits where topic is not null and kind in ('append', 'gap', 'replay')"#;
const ERASURES: &str =
    r#"select "table", max(version) as version from lake.commits where kind = 'erase' group by "table""#;
const LETTERS: &str = r#"
select "table", "cluster", topic, epoch, "partition", "offset", count(*) as times, bool_or(replayed) as replayed
from lake.dead_letters group by "table", "cluster", topic, epoch, "partition", "offset""#;

/// Runs of consecutive offsets that have rows. An offset has one row, or the two of a changed key, which differ in what
/// they do.
fn runs_sql(table: &TableName) -> String {
    format!(
        r#"
select "cluster", topic, epoch, "partition", min(at) as from_offset, max(at) + 1 as to_offset,
  count(*) filter (where times > kinds) as repeated, min(at) filter (where times > kinds) as first_repeated
from (
  select *, at - row_number() over (partition by "cluster", topic, epoch, "partition" order by at) as run
  from (
    select _cluster as "cluster", _topic as topic, _epoch as epoch, _partition as "partition", _offset as at,
      count(*) as times, count(distinct _op) as kinds
    from history."{table}" group by _cluster, _topic, _epoch, _partition, _offset
  ) as offsets
) as numbered
group by "cluster", topic, epoch, "partition", run"#
    )
}

type Accounts = BTreeMap<(String, PartitionId), Account>;

/// Proves every partition up to its position; what was committed later is left alone. Dead letters from before a day may
/// be missing. `told` hears of each table before it is looked at.
///
/// # Errors
/// A lake that cannot be read.
pub async fn prove(
    session: &Session,
    contract: &Contract,
    positions: &BTreeMap<PartitionId, Offset>,
    expired_before: Option<NaiveDate>,
    mut told: impl FnMut(&TableName),
) -> Result<Proof, Failure> {
    let mut accounts = open_accounts(session, positions).await?;
    for table in contract.tables() {
        told(&table.name);
        for run in rows::<InTable<Run>>(session, &runs_sql(&table.name)).await? {
            let key = (table.name.to_string(), run.place.id());
            let position = positions.get(&key.1).copied();
            let account = accounts.entry(key).or_insert_with(|| Account::of(position));
            account.runs.push(run.item);
        }
    }
    let mut proof = Proof::default();
    for ((table, partition), mut account) in accounts {
        account.expired_before = expired_before;
        if contract.table(&table).is_none() {
            proof.unknown_tables.insert(table);
            continue;
        }
        let faults = account.settle(&mut proof.totals);
        proof.findings.extend(faults.into_iter().map(|fault| Finding::Offsets {
            table: table.clone(),
            partition: partition.to_string(),
            from: fault.from,
            to: fault.to,
            what: fault.what,
        }));
    }
    Ok(proof)
}

/// What commits and dead letters say of each partition.
async fn open_accounts(session: &Session, positions: &BTreeMap<PartitionId, Offset>) -> Result<Accounts, Failure> {
    let mut accounts = Accounts::new();
    for known in rows::<Of<Nothing>>(session, POSITIONS).await? {
        let id = known.place.id();
        let position = positions.get(&id).copied();
        accounts.insert((known.table, id), Account::of(position));
    }
    for range in rows::<Of<Range>>(session, RANGES).await? {
        let id = range.place.id();
        let position = positions.get(&id).copied();
        let account = accounts.entry((range.table, id));
        account.or_insert_with(|| Account::of(position)).ranges.push(range.item);
    }
    for letter in rows::<Of<Letter>>(session, LETTERS).await? {
        let id = letter.place.id();
        let position = positions.get(&id).copied();
        let account = accounts.entry((letter.table, id));
        account
            .or_insert_with(|| Account::of(position))
            .letters
            .push(letter.item);
    }
    let erasures = rows::<Erasure>(session, ERASURES).await?;
    for ((table, _), account) in &mut accounts {
        let of_table = erasures.iter().find(|erasure| erasure.table == *table);
        account.erased_at = of_table.map(|erasure| erasure.version);
    }
    Ok(accounts)
}
