//! SQL straight over a lake, without a running instance: the tables as the lake has them, folded at the start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use casewatch_contract::{Contract, Offset, PartitionId, ReferenceKey};
use casewatch_lake::{Lake, LakeConfig};
use casewatch_live::{Cut, LiveOptions, LiveSet};
use casewatch_query::{AccessError, AsOf, Clock, Engine, EngineConfig, LakeHistory, Limits, Session, Users};
use rand::Rng;
use tokio::sync::watch;

use crate::cli::SqlArgs;
use crate::config;
use crate::failure::Failure;
use crate::sql::Rows;
use crate::system::register_lake_tables;

const NAME_A_LAKE: &str = "hint: name the folder or URL of a lake, as lake.url has it in the configuration";

pub struct OfflineLake {
    session: Session,
}

impl OfflineLake {
    /// # Errors
    /// Schemas, queries or a lake that cannot be read; a moment that is none.
    pub async fn open(lake: &str, args: &SqlArgs) -> Result<Self, Failure> {
        let contract = Arc::new(args.folders.contract()?);
        let lake = open_lake(lake).await?;
        let engine = engine_over(contract, lake, args.folders.queries.clone()).await?;
        let moment = |option: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<AsOf>).transpose();
            parsed.map_err(|error| Failure::usage(format!("{option}: {error}")))
        };
        let moments = [moment("--as-of", &args.as_of)?, moment("--known-at", &args.known_at)?];
        let mut session = match &args.as_user {
            Some(name) => session_as(&engine, &args.users.users, name, moments)?,
            None => engine.session(moments[0], moments[1]),
        };
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

/// A session that sees what a user of the users file sees.
fn session_as(
    engine: &Engine,
    users: &Path,
    name: &str,
    [as_of, known_at]: [Option<AsOf>; 2],
) -> Result<Session, Failure> {
    let user = Users::load(users).map_err(Failure::usage)?.find(name);
    let user = user.ok_or_else(|| {
        Failure::usage(AccessError::NoUser {
            path: users.to_owned(),
            name: name.to_owned(),
        })
    })?;
    let policy = engine.policy().ok_or_else(|| Failure::usage(AccessError::NoPolicy))?;
    let grant = policy.grant(&user).map_err(Failure::usage)?;
    Ok(engine.session_as(&grant, as_of, known_at))
}

/// The lake that stands at a folder or URL; none is started where there is none.
///
/// # Errors
/// A place that is no lake, or cannot be read.
pub async fn open_lake(place: &str) -> Result<Arc<Lake>, Failure> {
    if !place.contains("://") && !std::path::Path::new(place).is_dir() {
        return Err(Failure::usage(format!(
            "--lake: {place} is not a folder\n{NAME_A_LAKE}"
        )));
    }
    let config = LakeConfig::at(config::lake_url(place).map_err(Failure::usage)?);
    if !Lake::is_at(&config).await.map_err(Failure::failed)? {
        return Err(Failure::usage(format!(
            "--lake: there is no lake at {place}\n{NAME_A_LAKE}"
        )));
    }
    Lake::open(config).await.map_err(Failure::failed)
}

/// All tables as a lake has them, folded from its whole history.
pub struct FoldedLake {
    /// At the highest recorded time in the lake.
    pub cut: Arc<Cut>,
    /// Where each partition stood in what was folded.
    pub positions: BTreeMap<PartitionId, Offset>,
}

impl FoldedLake {
    /// # Errors
    /// A lake that cannot be read.
    pub async fn of(contract: &Contract, lake: &Arc<Lake>) -> Result<Self, Failure> {
        let (mut set, cuts) = LiveSet::new(contract, LiveOptions::default()).map_err(Failure::failed)?;
        let positions = set.bootstrap_all(lake).await.map_err(Failure::failed)?;
        set.follow_nothing();
        set.advance(Instant::now()).map_err(Failure::failed)?;
        let cut = Arc::clone(&cuts.borrow());
        Ok(Self { cut, positions })
    }
}

/// Pseudonyms of this run alone: the keys of the lake are not at hand, and those of the demo would hide nothing.
fn passing_key() -> ReferenceKey {
    let mut secret = [0_u8; 32];
    rand::rng().fill(&mut secret);
    ReferenceKey::new(secret)
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
    let folded = FoldedLake::of(&contract, &lake).await?;
    let (_, cuts) = watch::channel(folded.cut);
    let engine = Engine::new(EngineConfig {
        contract,
        lake: Some(Arc::new(LakeHistory(lake.clone()))),
        tail: None,
        cuts,
        queries,
        limits: Limits::default(),
        clock: Clock::Feed,
        references: Some(passing_key()),
    })
    .await
    .map_err(Failure::usage)?;
    register_lake_tables(&engine, &lake);
    Ok(engine)
}
