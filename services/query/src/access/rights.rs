//! Which rows are a user's: the policy's sets, computed once a cut from the newest tables.
//!
//! Rights are of today, whatever moment a statement asks for: who left a case yesterday does not read its past, and a
//! record that was closed off today is closed off in every version of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use casewatch_live::Cut;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::sql::parser::DFParser;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OnceCell, watch};

use super::grant::Grant;
use crate::engine::{Clock, Shared};
use crate::error::QueryError;
use crate::session::Session;

/// The schema of the policy's sets, which only the policy's own SQL sees.
pub(crate) const SETS: &str = "access";
/// The schema of what the user is bound to: `scope.authority` and `scope.team`, each with a column `id`.
pub(crate) const SCOPE: &str = "scope";

/// One grant at one cut.
pub(crate) struct Rights {
    grant: Arc<Grant>,
    cut: Arc<Cut>,
    sets: BTreeMap<String, OnceCell<Arc<dyn TableProvider>>>,
}

/// The rights that statements at the newest cut share.
#[derive(Default)]
pub(crate) struct RightsCache(Mutex<Vec<Arc<Rights>>>);

impl RightsCache {
    /// Those of other cuts are let go.
    pub(crate) fn of(&self, grant: &Arc<Grant>, cut: &Arc<Cut>) -> Arc<Rights> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|rights| Arc::ptr_eq(&rights.cut, cut));
        if let Some(found) = held.iter().find(|rights| Arc::ptr_eq(&rights.grant, grant)) {
            return found.clone();
        }
        let rights = Rights::of(grant, cut);
        held.push(rights.clone());
        rights
    }
}

impl Rights {
    pub(crate) fn of(grant: &Arc<Grant>, cut: &Arc<Cut>) -> Arc<Self> {
        let sets = grant.policy().sets.iter();
        Arc::new(Self {
            sets: sets.map(|(name, _)| (name.clone(), OnceCell::new())).collect(),
            grant: grant.clone(),
            cut: cut.clone(),
        })
    }

    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// One of the policy's sets.
    ///
    /// # Errors
    /// A set that there is not, or that fails; its text is the policy's, its values are nobody's.
    pub(crate) fn set<'a>(
        &'a self,
        shared: &'a Arc<Shared>,
        clock: &'a Clock,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TableProvider>, QueryError>> {
        async move {
            let sets = &self.grant.policy().sets;
            let (Some(place), Some(cell)) = (sets.iter().position(|(set, _)| set == name), self.sets.get(name)) else {
                return Err(QueryError::Withheld);
            };
            let computed = cell.get_or_try_init(|| async {
                let sql = &sets[place].1.value;
                let mut extras = self.scope_tables()?;
                for read in sets_read(shared, sql)? {
                    // Only those that stand before it: so no circle can be.
                    if !sets[..place].iter().any(|(earlier, _)| *earlier == read) {
                        return Err(QueryError::Withheld);
                    }
                    let table = self.set(shared, clock, &read).await?;
                    extras.push((SETS, read, table));
                }
                let cuts = watch::channel(self.cut.clone()).1;
                let session = Session::new(shared.clone(), cuts, clock.clone(), None, None).internal(extras);
                let answer = session.sql(sql).await?;
                let schema = answer.schema.clone();
                let rows = answer.collect().await?;
                Ok(Arc::new(MemTable::try_new(schema, vec![rows])?) as Arc<dyn TableProvider>)
            });
            computed.await.cloned()
        }
        .boxed()
    }

    /// What the user is bound to, as tables.
    pub(crate) fn scope_tables(&self) -> Result<Vec<Extra>, QueryError> {
        let scope = self.grant.scope();
        let bound = [("authority", &scope.authorities), ("team", &scope.teams)];
        bound
            .into_iter()
            .map(|(name, ids)| Ok((SCOPE, name.to_owned(), ids_table(ids.as_ref())?)))
            .collect()
    }
}

/// A table that only some statements see: schema, name, rows.
pub(crate) type Extra = (&'static str, String, Arc<dyn TableProvider>);

fn ids_table(ids: Option<&BTreeSet<String>>) -> Result<Arc<dyn TableProvider>, QueryError> {
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
    let ids: StringArray = ids.into_iter().flatten().map(Some).collect();
    let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(ids)]);
    let rows = rows.map_err(datafusion::error::DataFusionError::from)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}

/// Names of the sets that a statement of the policy reads.
pub(crate) fn sets_read(shared: &Shared, sql: &str) -> Result<BTreeSet<String>, QueryError> {
    let mut read = BTreeSet::new();
    let state = shared.plain_state()?;
    for statement in DFParser::parse_sql(sql)? {
        for reference in state.resolve_table_references(&statement)? {
            if reference.schema() == Some(SETS) {
                read.insert(reference.table().to_owned());
            }
        }
    }
    Ok(read)
}
