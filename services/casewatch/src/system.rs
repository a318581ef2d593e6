//! The running system: which roles, on which runtime, and how they end. Roles share nothing but the lake: one process
//! with all of them and many with one each behave alike.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::RecordedAt;
use casewatch_gateway::Gateway;
use casewatch_ingest::follower::{self, Follower};
use casewatch_ingest::ingestion;
use casewatch_ingest::live_metrics::LiveMetrics;
use casewatch_ingest::observe::IngestMetrics;
use casewatch_ingest::publish::{self, DeadLetterTopic, PublishMetrics};
use casewatch_lake::{Lake, SystemTable};
use casewatch_live::{CutOptions, LiveOptions, LiveSet};
use casewatch_metrics::{
    Checked, Exposition, Instance, OwnMetrics, Readiness, Reload, Runner, RunnerOptions, SampleStore, follow_directory,
};
use casewatch_query::{Clock, Engine, EngineConfig, LakeHistory, Limits};
use clap::ValueEnum;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::board;
use crate::cli::Role;
use crate::config;
use crate::connections::Limited;
use crate::disk;
use crate::failure::Failure;
use crate::http;
use crate::logging;
use crate::maintenance;
use crate::opened::Opened;
use crate::own_past::{OwnPast, feed_days};
use crate::readiness;
use crate::runtimes::Handles;

/// Longest wait for the roles to end by themselves once they were told to.
const STOP_DEADLINE: Duration = Duration::from_millis(4_500);

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A changed folder of queries must stand still for so long before it is loaded.
const RELOAD_DEBOUNCE: Duration = Duration::from_millis(600);

/// What the demo and the tests look at while the system runs.
#[derive(Clone)]
pub struct Window {
    pub store: Arc<SampleStore>,
    /// Over the queries as they were last reloaded.
    pub engines: Option<watch::Receiver<Arc<Engine>>>,
    pub address: std::net::SocketAddr,
    /// Where clients of PostgreSQL are served.
    pub gateway: Option<std::net::SocketAddr>,
}

/// What follows the folder of queries.
struct Numbers {
    engines: watch::Receiver<Arc<Engine>>,
    catalogues: watch::Receiver<Checked>,
}

/// What evaluating the metrics needs: their own metrics, where the samples go, and whether their past is kept here.
struct Measuring {
    own: OwnMetrics,
    store: Arc<SampleStore>,
    keeps_past: bool,
}

/// A started system.
pub struct System {
    roles: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
    pub window: Window,
}

impl System {
    /// Starts `roles` (all of them when empty).
    ///
    /// # Errors
    /// Queries that do not check, an address that is taken.
    pub async fn start(
        opened: Arc<Opened>,
        roles: &BTreeSet<Role>,
        on: &Handles,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let has = |role| roles.is_empty() || roles.contains(&role);
        let listen = opened.config.http.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::usage(format!(
                "http.listen: {listen} cannot be used: {error}\nhint: choose another address or port"
            ))
        })?;
        let address = listener.local_addr().map_err(Failure::failed)?;
        let registry = Registry::new();
        register_process_metrics(&registry);
        disk::register(&registry, opened.lake.root());
        let ingest_metrics = IngestMetrics::new(&registry);
        let own = OwnMetrics::register(&registry).map_err(Failure::failed)?;
        let store = SampleStore::new(VERSION);
        let readiness = Arc::new(Readiness::default());
        let mut tasks = JoinSet::new();
        // Bound before the queries are read, so that whoever comes early waits and is not turned away.
        let board_at = match has(Role::Board) {
            true => Some(board::bind(&opened.config).await?),
            false => None,
        };
        let mut numbers = None;
        let measures = has(Role::Metrics) || has(Role::Board);
        if measures || has(Role::Gateway) {
            let measuring = measures.then(|| Measuring {
                own,
                store: store.clone(),
                keeps_past: has(Role::Metrics),
            });
            let measuring = measuring.ok_or_else(|| store.clone());
            let started = live_engine(&opened, &registry, &ingest_metrics, measuring, on, &stop, &mut tasks).await?;
            numbers = Some(started);
        }
        if numbers.is_none() {
            readiness::at_once(&store);
        }
        let access = match &numbers {
            Some(numbers) => {
                let (access, keeping) = Access::open(&opened)?;
                access.warn_of_roles(&numbers.engines.borrow());
                let stop = stop.clone();
                tasks.spawn_on(
                    async move {
                        keeping.run(stop).await;
                        Ok(())
                    },
                    &on.ingest,
                );
                Some(access)
            }
            None => None,
        };
        if let (Some(listener), Some(numbers), Some(access)) = (board_at, &numbers, &access) {
            let parts = board::Parts {
                listener,
                access: access.clone(),
                catalogues: numbers.catalogues.clone(),
                store: store.clone(),
                clock: engine_clock(&opened.config),
                ad_hoc: on.ad_hoc.clone(),
            };
            let serving = board::serve(&opened, parts, &registry, stop.clone()).await?;
            tasks.spawn_on(serving, &on.queries);
        }
        if has(Role::Ingest) {
            let (opened, stop) = (opened.clone(), stop.clone());
            let context = opened.decoding(ingest_metrics, "ingest");
            tasks.spawn_on(
                async move {
                    ingestion::run(
                        opened.kafka.clone(),
                        opened.contract.clone(),
                        opened.lake.clone(),
                        context,
                        stop,
                    )
                    .await
                    .map_err(Failure::failed)
                },
                &on.ingest,
            );
        }
        if has(Role::Maintain) {
            tasks.spawn_on(
                maintenance::run(opened.clone(), maintenance::Metrics::new(&registry), stop.clone()),
                &on.ingest,
            );
        }
        if let Some(topic) = has(Role::Maintain).then(|| dead_letter_topic(&opened)).flatten() {
            let (opened, metrics, stop) = (opened.clone(), PublishMetrics::new(&registry), stop.clone());
            tasks.spawn_on(
                async move {
                    let told = publish::run(opened.kafka.clone(), topic, opened.lake.clone(), metrics, stop);
                    told.await.map_err(Failure::failed)
                },
                &on.ingest,
            );
        }
        let gateway = match numbers.as_ref().zip(access.as_ref()) {
            Some((numbers, access)) if has(Role::Gateway) && opened.config.opens_gateway() => {
                let gateway = &opened.config.gateway;
                let statements = on.ad_hoc.clone();
                Some(
                    gateway
                        .open(numbers.engines.clone(), access, statements, &registry)
                        .await?,
                )
            }
            _ if roles.contains(&Role::Gateway) => {
                return Err(Failure::usage(
                    "gateway: there is nobody to sign in\nhint: name a users file with [access] users",
                ));
            }
            _ => None,
        };
        // Statements of this machine's people, who are no users, are the metrics role's to answer.
        let engines = numbers.filter(|_| has(Role::Metrics)).map(|numbers| numbers.engines);
        let exposition = Exposition::new(registry, store.clone(), readiness).map_err(Failure::failed)?;
        let exposition = exposition.of_instance(Instance {
            roles: Role::value_variants()
                .iter()
                .filter(|role| has(**role))
                .map(Role::to_string)
                .collect(),
            started_at: RecordedAt::now(),
            troubles: logging::troubles(),
        });
        let window = Window {
            store,
            engines: engines.clone(),
            address,
            gateway: gateway.as_ref().map(Gateway::address),
        };
        if let Some(gateway) = gateway {
            let stop = stop.clone();
            tasks.spawn_on(
                async move {
                    gateway.serve(stop).await;
                    Ok(())
                },
                &on.queries,
            );
        }
        let http = &opened.config.http;
        let answers_sql = engines.is_some() && http.answers_sql();
        if engines.is_some() && !answers_sql {
            tracing::info!(
                "/sql answers nobody: it knows no users, and http.sql does not open it to whoever reaches {address}"
            );
        }
        let longest_answer = opened.config.limits.query_deadline;
        tasks.spawn_on(
            http::serve(
                Limited::new(listener, http.connections, longest_answer),
                exposition,
                engines.zip(access).filter(|_| answers_sql),
                on.ad_hoc.clone(),
                stop.clone(),
            ),
            &on.queries,
        );
        tracing::info!(%address, sql = answers_sql, "serving /metrics, /healthz, /readyz and /-/status");
        Ok(Self {
            roles: tasks,
            stop,
            window,
        })
    }

    /// Waits until it is told to stop or a role ends, then ends the others.
    ///
    /// # Errors
    /// What ended the role that ended first.
    pub async fn until_stopped(mut self) -> Result<(), Failure> {
        let outcome = tokio::select! {
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = self.roles.join_next() => ended.unwrap_or_else(|error| Err(Failure::failed(error))),
        };
        self.stop.cancel();
        let rest = async { while self.roles.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_DEADLINE, rest).await.is_err() {
            tracing::warn!("not everything ended in time; what was not committed is read again at the next start");
        }
        outcome
    }
}

fn dead_letter_topic(opened: &Opened) -> Option<DeadLetterTopic> {
    let letters = opened.config.dead_letters.as_ref()?;
    Some(DeadLetterTopic {
        topic: letters.topic.clone(),
        with_payload: letters.payload,
    })
}

/// Live tables, the engine over them, and where the metrics are wanted their runner; else where it is told when the tables
/// are read.
async fn live_engine(
    opened: &Arc<Opened>,
    registry: &Registry,
    ingest_metrics: &IngestMetrics,
    metrics: Result<Measuring, Arc<SampleStore>>,
    on: &Handles,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<Numbers, Failure> {
    let config = &opened.config;
    let live = LiveOptions {
        cut: CutOptions {
            settle: config.live.settle,
            max_skew: config.live.max_skew,
            ..CutOptions::default()
        },
        memory_limit_bytes: config.live.memory_mib << 20,
        ..LiveOptions::default()
    };
    let (mut set, cuts) = LiveSet::new(&opened.contract, live).map_err(Failure::failed)?;
    let engine_config = {
        let (opened, tail, cuts) = (opened.clone(), set.tail().clone(), cuts.clone());
        move || EngineConfig {
            contract: opened.contract.clone(),
            lake: Some(Arc::new(LakeHistory(opened.lake.clone()))),
            tail: Some(tail.clone()),
            cuts: cuts.clone(),
            queries: opened.config.queries.clone(),
            limits: limits(&opened.config),
            clock: engine_clock(&opened.config),
            references: opened.contract.reference_key(&opened.keys),
        }
    };
    let checked = casewatch_metrics::load(engine_config()).await.map_err(Failure::usage)?;
    register_lake_tables(&checked.engine, &opened.lake);
    let (engines, current) = watch::channel(checked.engine.clone());
    let (catalogues, running) = watch::channel(checked.clone());
    let options = RunnerOptions {
        clock: engine_clock(config),
        query_deadline: config.limits.metric_deadline,
        max_series: config.limits.metric_series,
        ..RunnerOptions::default()
    };
    let (found, loaded) = watch::channel(None);
    let following = follow_directory(engine_config, checked.catalogue.hash.clone(), RELOAD_DEBOUNCE, found);
    let (reloads, reloaded) = watch::channel(None);
    let swapping = swap_engines(loaded, opened.lake.clone(), engines, catalogues, reloads);
    let on_feed = matches!(config.clock, config::Clock::Feed);
    let (closes, ends) = feed_days();
    if on_feed && metrics.as_ref().is_ok_and(|metrics| metrics.keeps_past) {
        set.hand_over(closes);
    }
    let measuring = metrics.map(|metrics| {
        let own_past = OwnPast {
            lake: opened.lake.clone(),
            store: metrics.store.clone(),
            catalogues: running.clone(),
            query_deadline: config.limits.metric_deadline,
        };
        let runner = Runner::new(checked, metrics.store, metrics.own, options);
        (runner, metrics.keeps_past.then_some(own_past))
    });
    let keeping_past = move |own_past: Option<OwnPast>| async move {
        match own_past {
            None => std::future::pending().await,
            Some(own_past) if on_feed => own_past.run_on_feed(ends).await,
            Some(own_past) => own_past.run().await,
        }
    };
    let stopped = stop.clone();
    tasks.spawn_on(
        async move {
            let measuring = async {
                match measuring {
                    Ok((runner, own_past)) => tokio::select! {
                        () = runner.run(cuts, reloaded) => {}
                        () = keeping_past(own_past) => {}
                    },
                    Err(store) => readiness::follow(cuts, store).await,
                }
            };
            tokio::select! {
                () = stopped.cancelled() => {}
                () = measuring => {}
                () = following => {}
                () = swapping => {}
            }
            Ok(())
        },
        &on.queries,
    );
    let follower = Follower {
        config: opened.kafka.clone(),
        contract: opened.contract.clone(),
        lake: opened.lake.clone(),
        context: opened.decoding(ingest_metrics.clone(), "live"),
        metrics: LiveMetrics::new(registry),
        images: config.image_options(),
    };
    let stop = stop.clone();
    tasks.spawn_on(
        async move { follower::run(follower, set, stop).await.map_err(Failure::failed) },
        &on.ingest,
    );
    Ok(Numbers {
        engines: current,
        catalogues: running,
    })
}

/// Gives the engine of every reloaded catalogue to people's statements, then the catalogue to the metrics: both follow
/// the folder of queries, and both whole (RULES 25). A statement that runs ends on the engine it began with.
async fn swap_engines(
    mut loaded: watch::Receiver<Reload>,
    lake: Arc<Lake>,
    engines: watch::Sender<Arc<Engine>>,
    catalogues: watch::Sender<Checked>,
    reloads: watch::Sender<Reload>,
) {
    while loaded.changed().await.is_ok() {
        let reload = loaded.borrow_and_update().clone();
        if let Some(Ok(checked)) = &reload {
            register_lake_tables(&checked.engine, &lake);
            engines.send_replace(checked.engine.clone());
            catalogues.send_replace(checked.clone());
        }
        reloads.send_replace(reload);
    }
}

/// `lake.commits`, `lake.dead_letters` and so on, and `metrics.samples`.
pub fn register_lake_tables(engine: &Engine, lake: &Arc<Lake>) {
    for table in SystemTable::ALL {
        engine.register("lake", table.name(), lake.system_table(table));
    }
    engine.register("lake", "audit", lake.audit_table());
    engine.register("metrics", "samples", lake.samples_table());
}

pub fn limits(config: &config::Config) -> Limits {
    Limits {
        session_time: config.limits.query_deadline,
        session_memory_bytes: config.limits.query_memory_mib << 20,
        session_rows: config.limits.query_rows,
        total_memory_bytes: config.limits.queries_memory_mib << 20,
        catalogue_time: config.limits.metric_deadline,
        catalogue_memory_bytes: config.limits.metric_memory_mib << 20,
        ..Limits::default()
    }
}

fn engine_clock(config: &config::Config) -> Clock {
    match config.clock {
        config::Clock::Feed => Clock::Feed,
        config::Clock::Wall => Clock::Wall {
            default_silent_after: config::DEFAULT_SILENT_AFTER,
            silent_after: silent_after(config),
        },
    }
}

fn silent_after(config: &config::Config) -> std::collections::BTreeMap<String, Duration> {
    config
        .sources
        .iter()
        .map(|source| (source.name.clone(), source.silent_after))
        .collect()
}

/// Memory, CPU time and open files of the process, as every Prometheus client shows them.
fn register_process_metrics(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry
        .register(Box::new(process))
        .expect("each name is registered once");
}
