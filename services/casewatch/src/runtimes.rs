//! Three runtimes, so that a heavy statement of a person delays neither ingestion nor the metrics: ingestion and the
//! live tables' decoders; metric queries and the HTTP interface; ad hoc SQL, at lower priority on all cores but one.

use thread_priority::ThreadPriority;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;

pub struct Runtimes {
    ingest: Runtime,
    queries: Runtime,
    ad_hoc: Runtime,
}

/// Handles of the runtimes, to spawn on.
#[derive(Clone)]
pub struct Handles {
    pub ingest: Handle,
    pub queries: Handle,
    pub ad_hoc: Handle,
}

impl Runtimes {
    /// # Errors
    /// Threads that cannot be had.
    pub fn new() -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = |name: &str, threads: usize| {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all().thread_name(name).worker_threads(threads);
            builder
        };
        let ad_hoc_threads = cores.saturating_sub(1).max(1);
        Ok(Self {
            ingest: runtime("ingest", cores).build().map_err(Failure::failed)?,
            queries: runtime("queries", cores).build().map_err(Failure::failed)?,
            ad_hoc: runtime("ad-hoc", ad_hoc_threads)
                .on_thread_start(lower_priority)
                .build()
                .map_err(Failure::failed)?,
        })
    }

    pub fn handles(&self) -> Handles {
        Handles {
            ingest: self.ingest.handle().clone(),
            queries: self.queries.handle().clone(),
            ad_hoc: self.ad_hoc.handle().clone(),
        }
    }

    /// Ends every runtime without waiting for statements that still run.
    pub fn shut_down(self) {
        self.ad_hoc.shutdown_background();
        self.queries.shutdown_background();
        self.ingest.shutdown_background();
    }
}

/// Of 0 to 99, where 50 is the usual: on Linux a nice value of about 5. Statements of people give way to everything else
/// and still come to an end on a busy machine.
const AD_HOC_PRIORITY: u8 = 36;

fn lower_priority() {
    let priority = AD_HOC_PRIORITY.try_into().expect("the priority is below 100");
    if let Err(error) = thread_priority::set_current_thread_priority(ThreadPriority::Crossplatform(priority)) {
        tracing::debug!(?error, "ad hoc threads keep the usual priority");
    }
}
