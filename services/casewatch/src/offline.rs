//! SQL straight over a lake, without a running instance: the tables as the lake has them, folded at the start.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use casewatch_contract::Contract;
use casewatch_lake::{Lake, LakeConfig};
use casewatch_live::{LiveOptions, LiveSet};
use casewatch_query::{AsOf, Clock, Engine, EngineConfig, LakeHistory, Limits, Session};

use crate::cli::SqlArgs;
use crate::config;
use crate::failure::Failure;
use crate::sql::Rows;
use crate::system::register_lake_tables;

pub struct OfflineLake {
    session: Session,
}

impl OfflineLake {
    /// # Errors
    /// Schemas, queries or a lake that cannot be read; a moment that is none.
    pub async fn open(lake: &str, args: &SqlArgs) -> Result<Self, Failure> {
        let contract = Arc::new(Contract::load(&args.schemas).map_err(Failure::usage)?);
        if !lake.contains("://") && !std::path::Path::new(lake).is_dir() {
            return Err(Failure::usage(format!(
                "--lake: {lake} is not a folder\nhint: name a lake's folder or URL, or leave --lake away to ask an instance"
            )));
        }
        let root = config::lake_url(lake).map_err(Failure::usage)?;
        let lake = Lake::open(LakeConfig::at(root)).await.map_err(Failure::failed)?;
        let engine = engine_over(contract, lake, args.queries.clone()).await?;
        let moment = |text: &Option<String>| {
            text.as_deref()
                .map(str::parse::<AsOf>)
                .transpose()
                .map_err(Failure::usage)
        };
        let mut session = engine.session(moment(&args.as_of)?, moment(&args.known_at)?);
        if args.assume_known {
            session = session.assuming_known();
        }
        Ok(Self { session })
    }

    /// # Errors
    /// The statement's own error.
    pub async fn query(&self, statement: &str) -> Result<Rows, Failure> {
        let mut answer = self.session.sql(statement).await.map_err(Failure::failed)?;
        let (schema, note) = (answer.schema.clone(), answer.note.take());
        let mut batches = answer.collect().await.map_err(Failure::failed)?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(Rows { batches, note })
    }
}

/// An engine over what `lake` holds; its cut is the highest recorded time in it.
///
/// # Errors
/// A lake or queries that cannot be read.
pub async fn engine_over(
    contract: Arc<Contract>,
    lake: Arc<Lake>,
    queries: std::path::PathBuf,
) -> Result<Arc<Engine>, Failure> {
    let (mut set, cuts) = LiveSet::new(&contract, LiveOptions::default()).map_err(Failure::failed)?;
    set.bootstrap_all(&lake).await.map_err(Failure::failed)?;
    set.follow_nothing();
    set.advance(Instant::now()).map_err(Failure::failed)?;
    let engine = Engine::new(EngineConfig {
        contract,
        lake: Some(Arc::new(LakeHistory(lake.clone()))),
        tail: None,
        cuts,
        queries,
        limits: Limits::default(),
        clock: Clock::Feed,
    })
    .await
    .map_err(Failure::usage)?;
    register_lake_tables(&engine, &lake);
    Ok(engine)
}
