//! `casewatch demo`: the whole system in one process on embedded defaults - an in-process broker, the scenario
//! Northamptonshire 2018-2020, a lake in a folder, the exporter - and a line a second that says where it stands.

mod folder;
mod progress;
mod summary;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use casewatch_simulator::{KafkaTarget, Replay, Scenario, SimulateOptions, SimulatorError, Summary, Target};
use chrono::Utc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::{DemoArgs, Speed};
use crate::config::Config;
use crate::embedded::EmbeddedBroker;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::runtimes::Handles;
use crate::signals::stop_on_signal;
use crate::simulate::{pace_of, text_of};
use crate::system::{System, Window};

use folder::Folder;
use progress::{HEADLINE, Sent};

const PREFIX: &str = "casewatch.public.";

/// # Errors
/// A port that is taken, a folder that cannot be written, schemas and queries that are not where `--home` says.
pub async fn run(args: DemoArgs, on: Handles) -> Result<(), Failure> {
    let stop = stop_on_signal();
    port_is_free(args.port)?;
    let board_port = board_port(args.board_port)?;
    // Said first: the page waits for what follows, which takes seconds.
    println!("casewatch demo: the board is at http://localhost:{board_port}/");
    println!();
    // Each run is a cluster and a folder of its own: positions of one mean nothing to another.
    let run = Uuid::new_v4().simple().to_string();
    let name = format!("demo-{}-{}", Utc::now().format("%Y%m%d-%H%M%S"), &run[..8]);
    let folder = Folder::new(args.dir.as_deref(), &name)?;
    let broker = EmbeddedBroker::start(&on.ingest).await.map_err(Failure::failed)?;
    let config = configuration(&args, board_port, &broker, &name, &folder)?;
    let outcome = play(&args, &broker, &folder, config, &on, &stop).await;
    // The broker goes last, after everyone who talks to it: a client that loses its broker complains, and rightly.
    broker.stop().await;
    outcome
}

/// The whole demo over a running broker; when it returns, nothing talks to the broker any more.
async fn play(
    args: &DemoArgs,
    broker: &EmbeddedBroker,
    folder: &Folder,
    config: Config,
    on: &Handles,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let opened = Arc::new(Opened::of(config).await?);
    // The topics are there before anybody reads them.
    let options = options(args, broker);
    let replay = tokio::task::spawn_blocking(move || Replay::new(options));
    let mut replay = replay.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    let last = replay.last_day();
    let every_role = BTreeSet::new();
    let system = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        system = System::start(opened, &every_role, on, stop.clone()) => system?,
    };
    let window = system.window.clone();
    let sent = Sent::default();
    let mut replaying: Replaying = tokio::task::spawn_blocking({
        let (sent, stop) = (sent.clone(), stop.clone());
        move || {
            replay.run_until(last, &mut |now| sent.note(now), &stop)?;
            replay.finish()
        }
    });
    let mut running = tokio::spawn(system.until_stopped());
    say_hello(&window, folder);
    let shown = CancellationToken::new();
    let show = tokio::spawn(progress::show(window.store.clone(), sent, shown.clone()));
    let mut ended = None;
    let told = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        told = tell(args, &mut replaying, &window, &shown, stop) => told,
        outcome = &mut running => {
            ended = Some(outcome);
            Ok(())
        }
    };
    stop.cancel();
    shown.cancel();
    show.await.map_err(Failure::failed)?;
    if !replaying.is_finished() {
        // It gives up within about a second; what it says of messages that were not taken is of no interest now.
        let _ = replaying.await;
    }
    let ended = match ended {
        Some(outcome) => outcome,
        None => running.await,
    };
    told.and(ended.map_err(Failure::failed)?)
}

type Replaying = JoinHandle<Result<Summary, SimulatorError>>;

/// Waits for the scenario's end, then sums it up; without `--speed max` everything goes on being served.
async fn tell(
    args: &DemoArgs,
    replaying: &mut Replaying,
    window: &Window,
    shown: &CancellationToken,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let sent = replaying.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    let Some(last) = sent.last_day else { return Ok(()) };
    progress::wait_for(&window.store, last, stop).await;
    shown.cancel();
    eprintln!();
    print!("{}", text_of(&sent));
    if let Some(engines) = &window.engines {
        let engine = engines.borrow().clone();
        summary::print(&engine, &args.home.join("queries"), last).await?;
    }
    if args.speed != Speed::Max {
        println!("the scenario has ended; everything goes on being served until Ctrl-C");
        stop.cancelled().await;
    }
    Ok(())
}

/// Looked at first: everything else takes seconds.
fn port_is_free(port: u16) -> Result<(), Failure> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!(
            "port {port} of 127.0.0.1 cannot be used: {error}\n\
             hint: another demo may be running; choose another port: make demo ARGS='--port {}'",
            port.wrapping_add(1).max(1024)
        ))),
    }
}

/// The port wished for, or another that is free: somebody else's page would be at the former.
fn board_port(wished: u16) -> Result<u16, Failure> {
    let bound =
        TcpListener::bind((Ipv4Addr::LOCALHOST, wished)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let address = bound.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(Failure::usage)
}

/// The same configuration file that a real system has, filled in.
fn configuration(
    args: &DemoArgs,
    board_port: u16,
    broker: &EmbeddedBroker,
    name: &str,
    folder: &Folder,
) -> Result<Config, Failure> {
    let text = format!(
        r#"
clock = "feed"

[kafka]
brokers = "{}"
cluster = "{name}"

[[sources]]
name = "case_system"
topic_prefix = "{PREFIX}"
order = "source"

[keys]
demo = true

[lake]
url = {:?}

[limits]
flush_interval = "5s"

[live]
max_skew = "1000d"
images = false

[http]
listen = "127.0.0.1:{}"

[board]
listen = "127.0.0.1:{board_port}"
local_viewer = true
"#,
        broker.address(),
        folder.path().join("lake"),
        args.port,
    );
    Config::parse(&text, &args.home).map_err(|error| {
        Failure::usage(format!(
            "{error}\nhint: run the demo in the checkout, or name the checkout with --home"
        ))
    })
}

fn options(args: &DemoArgs, broker: &EmbeddedBroker) -> SimulateOptions {
    let target = Target::Kafka(KafkaTarget::new(broker.address()));
    SimulateOptions {
        seed: args.seed,
        until: args.until,
        pace: pace_of(args.speed),
        topic_prefix: PREFIX.to_owned(),
        schemas: args.home.join("schemas"),
        ..SimulateOptions::new(Scenario::Northamptonshire, target)
    }
}

/// Addresses to open and lines to copy: they run as they stand, wherever the program is.
fn say_hello(window: &Window, folder: &Folder) {
    let address = window.address;
    let program = std::env::current_exe().map_or("casewatch".to_owned(), |path| path.display().to_string());
    println!("Northamptonshire 2018-2020, synthetic people, published counts");
    println!();
    println!("  metrics   http://{address}/metrics");
    println!("  status    http://{address}/-/status");
    println!("  lake      {}", folder.path().join("lake").display());
    println!();
    println!("  curl -s http://{address}/metrics | grep '^{HEADLINE}'");
    println!("  {program} sql --url http://{address} \"select state, count(*) from allocation_state group by state\"");
    println!("  {program} sql --url http://{address}        # a prompt; \\d lists the tables");
    println!();
}
