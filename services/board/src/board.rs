//! The board as it runs: the layout, the names and the days that it keeps, and the views that it makes of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_live::KnownFrom;
use casewatch_metrics::{Checked, Published, SampleStore};
use casewatch_query::{AsOf, Clock, Scope, end_of_london_day, london_date};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::figures::Figures;
use crate::freshness::{Fresh, State};
use crate::history::{Day, History, Patience, date_of, days_before, figures_of, read};
use crate::layout::Layout;
use crate::names::Names;
use crate::own::OwnMetrics;
use crate::past::{Past, PastMoment};
use crate::subject::{Asked, Subject, SubjectError};
use crate::tiles::{Scene, metrics_of};
use crate::view::{ChoicesShown, MomentShown, SubjectShown, Trend, View};

/// Live figures are looked at again after this: a feed falls silent without a new pass.
const FIGURES_STAND_FOR: Duration = Duration::from_millis(900);
/// Names of teams change rarely.
const NAMES_STAND_FOR: Duration = Duration::from_secs(15);
const LAYOUT_LOOKED_AT_EVERY: Duration = Duration::from_millis(700);
const DAYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);
/// Nobody has looked for so long: the days of the trends are not read for nobody.
const LOOKED_AT_LATELY: Duration = Duration::from_secs(120);

/// What a board is made from.
pub struct BoardParts {
    /// The folder of queries, with `board.toml`.
    pub queries: PathBuf,
    pub layout: Layout,
    /// The catalogue that runs, and those after it.
    pub catalogues: watch::Receiver<Checked>,
    pub store: Arc<SampleStore>,
    pub clock: Clock,
    /// Where statements and moments of the past are computed.
    pub ad_hoc: Handle,
    /// Of one query at a moment of the past.
    pub query_deadline: Duration,
    pub metrics: OwnMetrics,
}

pub struct Board {
    parts: BoardParts,
    layout: RwLock<Arc<Layout>>,
    names: RwLock<Arc<Names>>,
    live: Mutex<Option<Live>>,
    history: History,
    past: Past,
    looked_at: Mutex<Option<Instant>>,
    /// Grows with whatever a live view is made of beside the samples.
    changes: watch::Sender<u64>,
}

/// Figures of a pass, as they stood a moment ago.
struct Live {
    published: Arc<Published>,
    figures: Arc<Figures>,
    made: Instant,
}

/// What tells two live views apart without making them.
#[derive(Clone, PartialEq)]
pub struct Version {
    /// Its address, which is compared and never followed.
    published: usize,
    changes: u64,
    state: State,
    silent: usize,
}

/// Why there is no view.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BoardError {
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("no tile is called \"{0}\"")]
    NoTile(String),
}

/// A moment that is looked at.
enum Moment {
    Live,
    Past { as_of: AsOf, known_at: AsOf },
}

impl Board {
    pub fn new(parts: BoardParts) -> Arc<Self> {
        // Under the feed's clock days pass while one watches.
        let patience = match parts.clock {
            Clock::Feed => Patience {
                missing: Duration::from_secs(2),
                known: Duration::from_secs(60),
            },
            Clock::Wall { .. } => Patience {
                missing: Duration::from_secs(30),
                known: Duration::from_secs(300),
            },
        };
        Arc::new(Self {
            layout: RwLock::new(Arc::new(parts.layout.clone())),
            names: RwLock::default(),
            live: Mutex::default(),
            history: History::new(patience),
            past: Past::new(parts.ad_hoc.clone(), parts.query_deadline),
            looked_at: Mutex::default(),
            changes: watch::channel(0).0,
            parts,
        })
    }

    pub fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn checked(&self) -> Checked {
        self.parts.catalogues.borrow().clone()
    }

    pub fn metrics(&self) -> &OwnMetrics {
        &self.parts.metrics
    }

    pub fn ad_hoc(&self) -> &Handle {
        &self.parts.ad_hoc
    }

    pub fn fresh(&self) -> Fresh {
        Fresh::live(&self.parts.store.current().status, RecordedAt::now())
    }

    /// What a live view is made of now.
    pub fn version(&self) -> Version {
        let published = self.parts.store.current();
        let fresh = Fresh::live(&published.status, RecordedAt::now());
        Version {
            published: Arc::as_ptr(&published) as usize,
            changes: *self.changes.borrow(),
            state: fresh.state,
            silent: fresh.feeds.iter().filter(|feed| feed.silent).count(),
        }
    }

    /// Keeps layout, names and days up to date until it is dropped.
    pub async fn keep(self: Arc<Self>) {
        let layout = self.clone().keep_layout();
        let names = self.clone().keep_names();
        let days = self.clone().keep_days();
        tokio::join!(layout, names, days);
    }

    /// The page for a viewer.
    ///
    /// # Errors
    /// What is asked for does not exist or may not be seen.
    pub async fn view(&self, asked: &Asked, scope: &Scope) -> Result<View, BoardError> {
        self.note_look();
        match self.moment(asked)? {
            Moment::Live => self.live_view(asked, scope),
            Moment::Past { as_of, known_at } => self.past_view(asked, scope, as_of, known_at).await,
        }
    }

    /// The page of now.
    ///
    /// # Errors
    /// As [`Board::view`].
    pub fn live_view(&self, asked: &Asked, scope: &Scope) -> Result<View, BoardError> {
        let (layout, names, checked) = (self.layout(), self.names(), self.checked());
        let subject = Subject::resolve(asked, scope, &names)?;
        let (published, figures) = self.live_figures(&checked);
        let status = &published.status;
        let fresh = Fresh::live(status, RecordedAt::now());
        let today = status.as_of.map(|at| london_date(at.0));
        let before = today.and_then(|today| Some((today - 1, self.history.day(today - 1)?)));
        let scene = Scene {
            layout: &layout,
            catalogue: &checked.catalogue,
            names: &names,
            subject: &subject,
            figures: &figures,
            before: before
                .as_ref()
                .map(|(day, figures)| (date_of(*day).to_string(), figures.as_ref())),
            unknown: fresh.hides_all(),
        };
        // Before anything was read nothing is shown, of whatever moment.
        let as_of = status.as_of.unwrap_or_else(RecordedAt::now).to_string();
        let moment = MomentShown {
            live: true,
            known_at: as_of.clone(),
            as_of,
        };
        let sections = scene.sections();
        Ok(self.page(&layout, &names, scope, &subject, moment, fresh, sections))
    }

    async fn past_view(&self, asked: &Asked, scope: &Scope, as_of: AsOf, known_at: AsOf) -> Result<View, BoardError> {
        let (layout, checked) = (self.layout(), self.checked());
        let (then, unknown) = self.then(&checked, &layout, as_of, known_at).await;
        let subject = Subject::resolve(asked, scope, &then.names)?;
        let day = london_date(as_of.0.0) - 1;
        let before = self.history.day(day).filter(|_| as_of == known_at);
        let scene = Scene {
            layout: &layout,
            catalogue: &checked.catalogue,
            names: &then.names,
            subject: &subject,
            figures: &then.figures,
            before: before
                .as_ref()
                .map(|figures| (date_of(day).to_string(), figures.as_ref())),
            unknown,
        };
        let moment = MomentShown {
            live: false,
            as_of: as_of.0.to_string(),
            known_at: known_at.0.to_string(),
        };
        let sections = scene.sections();
        let fresh = Fresh::past(as_of, known_at);
        Ok(self.page(&layout, &then.names, scope, &subject, moment, fresh, sections))
    }

    /// What was then, or nothing with the reason.
    async fn then(
        &self,
        checked: &Checked,
        layout: &Arc<Layout>,
        as_of: AsOf,
        known_at: AsOf,
    ) -> (Arc<PastMoment>, Option<String>) {
        match self.past.at(checked, layout, as_of, known_at).await {
            Ok(then) => (then, None),
            Err(why) => {
                let nothing = PastMoment {
                    figures: Figures::default(),
                    names: self.names().as_ref().clone(),
                };
                (Arc::new(nothing), Some(why))
            }
        }
    }

    /// A tile's past: thirty days and thirty ends of months, the last of which is what is looked at.
    ///
    /// # Errors
    /// As [`Board::view`]; a tile that does not exist.
    pub async fn trend(&self, id: &str, asked: &Asked, scope: &Scope) -> Result<Trend, BoardError> {
        self.note_look();
        let (layout, checked) = (self.layout(), self.checked());
        let tile = layout.tile(id).filter(|tile| tile.trend && tile.figure.is_some());
        let tile = tile.ok_or_else(|| BoardError::NoTile(id.to_owned()))?;
        let (figures, names, last, unknown, known_at) = match self.moment(asked)? {
            Moment::Live => {
                let (published, figures) = self.live_figures(&checked);
                let fresh = Fresh::live(&published.status, RecordedAt::now());
                let last = published.status.as_of.map(|at| london_date(at.0));
                (TakenFrom::Live(figures), self.names(), last, fresh.hides_all(), None)
            }
            Moment::Past { as_of, known_at } => {
                let (then, unknown) = self.then(&checked, &layout, as_of, known_at).await;
                let names = Arc::new(then.names.clone());
                let known_at = (known_at != as_of).then_some(known_at.0);
                (
                    TakenFrom::Past(then),
                    names,
                    Some(london_date(as_of.0.0)),
                    unknown,
                    known_at,
                )
            }
        };
        let subject = Subject::resolve(asked, scope, &names)?;
        let now = Scene {
            layout: &layout,
            catalogue: &checked.catalogue,
            names: &names,
            subject: &subject,
            figures: figures.get(),
            before: None,
            unknown,
        };
        let (mut days, mut months) = (Vec::new(), Vec::new());
        if let Some(last) = last {
            let (past_days, past_months) = days_before(last);
            let metrics: BTreeSet<String> = metrics_of(tile).into_iter().collect();
            let known = self.days(&past_days, &past_months, &metrics, &checked, known_at).await;
            let point = |day: &Day| {
                let value = known(*day).and_then(|figures| now.with(&figures).value(tile));
                (date_of(*day).to_string(), value)
            };
            days = past_days.iter().map(point).collect();
            months = past_months.iter().map(point).collect();
            let today = (date_of(last).to_string(), now.value(tile));
            days.push(today.clone());
            months.push(today);
        }
        Ok(Trend {
            tile: tile.id.clone(),
            unit: now.unit_of(tile),
            days,
            months,
            benchmark: now.benchmark(tile),
            thresholds: now.bounds_of(tile),
        })
    }

    /// What is known of these days: kept, or read for one later moment.
    async fn days<'a>(
        &'a self,
        days: &[Day],
        months: &[Day],
        metrics: &BTreeSet<String>,
        checked: &Checked,
        known_at: Option<RecordedAt>,
    ) -> Box<dyn Fn(Day) -> Option<Arc<Figures>> + Send + 'a> {
        let wanted: Vec<Day> = days.iter().chain(months).copied().collect();
        if known_at.is_some() {
            let found = read(&wanted, metrics, checked, known_at).await;
            let found = found.inspect_err(|error| tracing::warn!(%error, "the past of the metrics cannot be read"));
            let found = found
                .unwrap_or_default()
                .into_iter()
                .map(|(day, sets)| (day, figures_of(sets)));
            let found: std::collections::BTreeMap<Day, Arc<Figures>> = found.collect();
            return Box::new(move |day| found.get(&day).cloned());
        }
        self.look_for(&wanted, checked).await;
        Box::new(|day| self.history.day(day))
    }

    async fn look_for(&self, days: &[Day], checked: &Checked) {
        let metrics: BTreeSet<String> = self.layout().tiles().flat_map(metrics_of).collect();
        match self.history.look_for(days, &metrics, checked).await {
            Ok(true) => self.changes.send_modify(|changes| *changes += 1),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the past of the metrics cannot be read; trends lack it"),
        }
    }

    fn moment(&self, asked: &Asked) -> Result<Moment, BoardError> {
        let parse = |text: &Option<String>| -> Result<Option<AsOf>, BoardError> {
            let parsed = text.as_deref().map(str::parse::<AsOf>).transpose();
            parsed.map_err(|error| BoardError::Wrong(error.to_string()))
        };
        let (as_of, known_at) = (parse(&asked.as_of)?, parse(&asked.known_at)?);
        let status = &self.parts.store.current().status;
        let today = status.as_of.map(|at| end_of_london_day(london_date(at.0)));
        Ok(match (as_of, known_at) {
            (None, None) => Moment::Live,
            // Today is what is live, until it has passed.
            (Some(as_of), None) if today.is_some_and(|end| as_of.0.0 >= end) => Moment::Live,
            (Some(as_of), known_at) => Moment::Past {
                as_of,
                known_at: known_at.unwrap_or(as_of),
            },
            (None, Some(known_at)) => Moment::Past {
                as_of: status.as_of.map_or(known_at, AsOf),
                known_at,
            },
        })
    }

    fn live_figures(&self, checked: &Checked) -> (Arc<Published>, Arc<Figures>) {
        let published = self.parts.store.current();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = live.as_ref().filter(|live| Arc::ptr_eq(&live.published, &published))
            && live.made.elapsed() < FIGURES_STAND_FOR
        {
            return (published, Arc::clone(&live.figures));
        }
        let figures = Arc::new(Figures::live(&published, &checked.catalogue, RecordedAt::now()));
        *live = Some(Live {
            published: Arc::clone(&published),
            figures: Arc::clone(&figures),
            made: Instant::now(),
        });
        (published, figures)
    }

    #[allow(clippy::too_many_arguments)]
    fn page(
        &self,
        layout: &Layout,
        names: &Names,
        scope: &Scope,
        subject: &Subject,
        moment: MomentShown,
        fresh: Fresh,
        sections: Vec<crate::view::SectionShown>,
    ) -> View {
        let may = names.within(scope);
        let known_from = self.checked().engine.cut().known_from.clone();
        let first = known_from.into_values().filter_map(|known| match known {
            KnownFrom::At(at) => Some(at),
            KnownFrom::SnapshotUnfinished => None,
        });
        let day = |at: RecordedAt| date_of(london_date(at.0)).to_string();
        let last = self.parts.store.current().status.as_of;
        View {
            title: layout.title.clone(),
            subject: SubjectShown::of(subject, names),
            moment,
            fresh,
            choices: ChoicesShown {
                authorities: may.authorities.into_iter().map(|authority| authority.called).collect(),
                services: may.services,
                teams: may.teams,
                first_day: first.min().map(day),
                last_day: last.map(day),
            },
            sections,
        }
    }

    fn note_look(&self) {
        *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_looked_at(&self) -> bool {
        let looked_at = *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        looked_at.is_some_and(|at| at.elapsed() < LOOKED_AT_LATELY)
    }

    /// Follows `board.toml` and the catalogue: checked whole, swapped whole. What is refused changes nothing.
    async fn keep_layout(self: Arc<Self>) {
        let mut catalogues = self.parts.catalogues.clone();
        let text = || std::fs::read_to_string(self.parts.queries.join("board.toml")).unwrap_or_default();
        let (mut handled, mut before) = (text(), text());
        loop {
            tokio::time::sleep(LAYOUT_LOOKED_AT_EVERY).await;
            let now = text();
            let stands_still = now == before;
            before.clone_from(&now);
            let other_catalogue = catalogues.has_changed().unwrap_or(false);
            if !stands_still || now == handled && !other_catalogue {
                continue;
            }
            handled = now;
            let checked = catalogues.borrow_and_update().clone();
            match Layout::load(&self.parts.queries, &checked).await {
                Ok(layout) => {
                    *self.layout.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(layout);
                    self.parts.metrics.layout_refused(false);
                    self.changes.send_modify(|changes| *changes += 1);
                    tracing::info!("the board's layout was reloaded");
                }
                Err(faults) => {
                    self.parts.metrics.layout_refused(true);
                    tracing::warn!(%faults, "the board's layout on disk is refused; the last good one stands");
                }
            }
        }
    }

    async fn keep_names(self: Arc<Self>) {
        let mut read_at: Option<Instant> = None;
        loop {
            let is_due = self.names().is_empty() || read_at.is_none_or(|at| at.elapsed() > NAMES_STAND_FOR);
            let checked = self.checked();
            if is_due && checked.engine.cut().caught_up {
                read_at = Some(Instant::now());
                let (board, choices) = (self.clone(), self.layout().choices.clone());
                let reading = self.parts.ad_hoc.spawn(async move {
                    match Names::read(&checked.engine, &choices, None, None).await {
                        Ok(names) if names != *board.names() => {
                            *board.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
                            board.changes.send_modify(|changes| *changes += 1);
                        }
                        Ok(_) => {}
                        Err(error) => tracing::warn!(%error, "the names of teams cannot be read; the last ones stand"),
                    }
                });
                // It ends by itself; one that panicked is tried again.
                let _ = reading.await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The days behind the trends of now, while somebody looks.
    async fn keep_days(self: Arc<Self>) {
        loop {
            tokio::time::sleep(DAYS_LOOKED_AT_EVERY).await;
            let today = self.parts.store.current().status.as_of.map(|at| london_date(at.0));
            let Some(today) = today.filter(|_| self.is_looked_at()) else {
                continue;
            };
            let (mut days, months) = days_before(today);
            days.extend(months);
            let (board, checked) = (self.clone(), self.checked());
            let looking = self
                .parts
                .ad_hoc
                .spawn(async move { board.look_for(&days, &checked).await });
            // As above.
            let _ = looking.await;
        }
    }
}

/// Figures, whoever keeps them.
enum TakenFrom {
    Live(Arc<Figures>),
    Past(Arc<PastMoment>),
}

impl TakenFrom {
    fn get(&self) -> &Figures {
        match self {
            Self::Live(figures) => figures,
            Self::Past(then) => &then.figures,
        }
    }
}
