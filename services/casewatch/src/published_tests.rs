//! The catalogue's own SQL against what DfE published: for every authority and year of the shipped file the published
//! numerators become change events, the catalogue's metrics count them at that 30 September, and each rate has to be
//! the published one within 0.2 points, average caseload within 0.1 cases.
//!
//! What does not agree is listed with its reason, and a reason is a matter of arithmetic: a published rate that its own
//! numerators do not give cannot come out of any counting of them. Nothing else is excused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use casewatch_contract::{
    Contract, Decoder, HmacKeys, Offset, Order, RawMessage, RecordedAt, Table, TableName, TopicSpec,
};
use casewatch_live::{Cut, Present, fold_at};
use casewatch_metrics::{Checked, PastOptions, Reading, ReadyQuery, evaluate};
use casewatch_query::{AsOf, Clock, EngineConfig, Limits, Prepared};
use casewatch_simulator::{
    FileKind, FilesTarget, PublishedFigures, Scenario, SimulateOptions, Target, WITHHELD, WireFormat, simulate,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Authorities that are counted together.
const AUTHORITIES_AT_ONCE: usize = 20;
/// Messages that are decoded together.
const MESSAGES_AT_ONCE: usize = 8_192;

/// A measure of DfE's, as the catalogue has it and as it is published.
struct Measure {
    name: &'static str,
    metric: &'static str,
    /// Which of the metric's samples of an authority.
    measured: Option<&'static str>,
    /// Of the metric to the published figure: points of a rate.
    scale: f64,
    column: &'static str,
    /// Columns that the rate is made of.
    from: [&'static str; 2],
    rate: fn([f64; 2]) -> f64,
    tolerance: f64,
}

const WORKING_DAYS: f64 = 253.0;
const MEASURES: [Measure; 5] = [
    Measure {
        name: "turnover",
        metric: "casewatch_turnover_ratio",
        measured: Some("30_september"),
        scale: 100.0,
        column: "turnover_rate_fte",
        from: ["leavers_fte", "inpost_fte"],
        rate: |[leavers, in_post]| 100.0 * leavers / in_post,
        tolerance: 0.2,
    },
    Measure {
        name: "vacancy",
        metric: "casewatch_vacancy_ratio",
        measured: Some("30_september"),
        scale: 100.0,
        column: "vacancy_rate_fte",
        from: ["vacancy_fte", "inpost_fte"],
        rate: |[vacancy, in_post]| 100.0 * vacancy / (vacancy + in_post),
        tolerance: 0.2,
    },
    Measure {
        name: "agency",
        metric: "casewatch_agency_ratio",
        measured: Some("30_september"),
        scale: 100.0,
        column: "agency_rate_fte",
        from: ["agency_fte", "inpost_fte"],
        rate: |[agency, in_post]| 100.0 * agency / (agency + in_post),
        tolerance: 0.2,
    },
    Measure {
        name: "absence",
        metric: "casewatch_absence_ratio",
        measured: Some("30_september"),
        scale: 100.0,
        column: "absence_rate_fte",
        from: ["working_days_lost_fte", "inpost_fte"],
        rate: |[days, in_post]| 100.0 * days / (in_post * WORKING_DAYS),
        tolerance: 0.2,
    },
    Measure {
        name: "caseload",
        metric: "casewatch_dfe_caseload_cases_per_fte",
        measured: None,
        scale: 1.0,
        column: "caseload_fte",
        from: ["cases", "case_holders_fte"],
        rate: |[cases, holders]| cases / holders,
        tolerance: 0.1,
    },
];

/// What came of comparing one published rate.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    Agrees,
    /// There is nothing to compare with: the rate or what it is made of is withheld.
    Withheld(String),
    /// No counting can give it: its own numerators give another rate, and ours is that one.
    Rounding,
    Contradiction,
    /// Ours is not what the numerators give.
    Wrong,
}

/// Half of the last digit that a figure is published with.
fn half_a_digit(text: &str) -> f64 {
    let places = text.split_once('.').map_or(0, |(_, places)| places.len());
    // Full-time equivalents are rounded to a tenth, and shown without a final 0.
    0.5 / 10_f64.powi(places.max(1) as i32)
}

fn judge(measure: &Measure, published: &str, from: [&str; 2], ours: Option<f64>) -> Verdict {
    // A rate that rounds to nothing is published as a word, and its numerators with it.
    if published == "low" && !from.iter().any(|text| WITHHELD.contains(text)) {
        return match ours {
            Some(ours) if ours < 0.05 => Verdict::Agrees,
            _ => Verdict::Wrong,
        };
    }
    if let Some(mark) = [published, from[0], from[1]]
        .into_iter()
        .find(|text| WITHHELD.contains(text))
    {
        return Verdict::Withheld(mark.to_owned());
    }
    let number = |text: &str| text.parse::<f64>().expect("the file was read before");
    let (rate, terms) = (number(published), from.map(number));
    let given = (measure.rate)(terms);
    let Some(ours) = ours else { return Verdict::Wrong };
    if (ours - rate).abs() <= measure.tolerance + 1e-9 {
        return Verdict::Agrees;
    }
    if (ours - given).abs() > 1e-6 {
        return Verdict::Wrong;
    }
    // Every rate grows with its first term and falls with the second, so that the ends of the ranges bound it.
    let slack = from.map(half_a_digit);
    let lowest = (measure.rate)([terms[0] - slack[0], terms[1] + slack[1]]);
    let highest = (measure.rate)([terms[0] + slack[0], terms[1] - slack[1]]);
    let half = half_a_digit(published);
    if lowest <= rate + half && rate - half <= highest {
        Verdict::Rounding
    } else {
        Verdict::Contradiction
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The published rows, by authority and year.
fn published_rows(path: &Path) -> BTreeMap<(String, i32), BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("the file is there");
    let rows = reader
        .deserialize::<BTreeMap<String, String>>()
        .map(|row| row.expect("a row"));
    let keyed = rows.map(|row| {
        (
            (row["new_la_code"].clone(), row["time_period"].parse().expect("a year")),
            row,
        )
    });
    keyed.collect()
}

/// All that `casewatch simulate --from-csv` writes for these figures, folded as the live tables fold it.
async fn cut_of(figures: PublishedFigures, contract: &Contract) -> Arc<Cut> {
    let options = |target| SimulateOptions::new(Scenario::Published(Arc::new(figures)), target);
    cut_at(options, end_of_time(), contract).await
}

/// What a simulation writes, folded as the live tables fold it.
pub(crate) async fn cut_at(
    options: impl FnOnce(Target) -> SimulateOptions,
    at: RecordedAt,
    contract: &Contract,
) -> Arc<Cut> {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::Files(FilesTarget {
        folder: folder.path().to_owned(),
        kind: FileKind::JsonLines,
    });
    let options = SimulateOptions {
        format: WireFormat::FlatJson,
        ..options(target)
    };
    simulate(options, &mut |_| {}, &CancellationToken::new()).expect("the scenario can be simulated");
    let mut tables: BTreeMap<TableName, Arc<Present>> = BTreeMap::new();
    for table in contract.tables() {
        let path = folder.path().join(format!("{}.jsonl", table.name));
        let lines = std::fs::read_to_string(path).expect("a file a table");
        tables.insert(table.name.clone(), Arc::new(folded(table, &lines).await));
    }
    let mut cut = Cut::of(at, tables);
    let tables = &cut.tables;
    cut.supplied.retain(|name| tables[name].rows > 0);
    Arc::new(cut)
}

/// Later than anything in a file.
fn end_of_time() -> RecordedAt {
    let moment: AsOf = "2039-12-31".parse().expect("a date");
    moment.0
}

async fn folded(table: &Arc<Table>, lines: &str) -> Present {
    let topic = TopicSpec::new(table.name.as_str(), Order::Offset);
    let keys = Arc::new(HmacKeys::demo());
    let mut decoder = Decoder::new(Arc::clone(table), topic, "test".into(), keys, None).expect("a decoder");
    let messages: Vec<RawMessage<'_>> = lines
        .lines()
        .enumerate()
        .map(|(offset, line)| RawMessage {
            offset: Offset(offset as i64),
            key: None,
            value: Some(line.as_bytes()),
            timestamp_ms: None,
        })
        .collect();
    let mut batches = Vec::new();
    for run in messages.chunks(MESSAGES_AT_ONCE) {
        let (from, to) = (run[0].offset, Offset(run[run.len() - 1].offset.0 + 1));
        let chunk = decoder
            .decode(0, from, to, run, RecordedAt(0))
            .await
            .expect("no registry is needed");
        assert_eq!(
            chunk.dead_letters.len(),
            0,
            "{}: {:?}",
            table.name,
            chunk.dead_letters.first()
        );
        batches.push(chunk.rows);
    }
    let schema = table.lake_schema();
    let whole = concat_batches(&schema, &batches).expect("batches of one schema");
    let stream = RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(whole)]));
    fold_at(table, Box::pin(stream), end_of_time(), end_of_time(), None)
        .await
        .expect("a fold")
}

async fn catalogue(queries: &Path, contract: &Arc<Contract>) -> Checked {
    let (_, cuts) = watch::channel(Arc::new(Cut::empty()));
    let checked = casewatch_metrics::load(EngineConfig {
        contract: Arc::clone(contract),
        lake: None,
        tail: None,
        cuts,
        queries: queries.to_owned(),
        limits: Limits {
            catalogue_time: Duration::from_secs(120),
            catalogue_memory_bytes: 1 << 30,
            ..Limits::default()
        },
        clock: Clock::Feed,
        references: None,
    });
    checked.await.unwrap_or_else(|faults| panic!("{faults}"))
}

/// What the catalogue counts at the 30 September of a year: by measure and authority.
async fn counted(checked: &Checked, cut: &Arc<Cut>, year: i32) -> BTreeMap<(&'static str, String), f64> {
    let as_of: AsOf = format!("{year}-09-30").parse().expect("a date");
    let ready = |measure: &Measure| -> ReadyQuery {
        let found = checked
            .queries
            .iter()
            .find(|ready| ready.query.name() == measure.metric);
        found
            .unwrap_or_else(|| panic!("there is no metric {}", measure.metric))
            .clone()
    };
    let queries: Vec<ReadyQuery> = MEASURES.iter().map(ready).collect();
    let options = PastOptions {
        query_deadline: Duration::from_secs(120),
        max_series: usize::MAX,
        concurrency: 2,
        assume_known: false,
    };
    let mut rates = BTreeMap::new();
    for (measure, evaluated) in MEASURES
        .iter()
        .zip(evaluate(checked, &queries, cut, as_of, &options).await)
    {
        let set = match evaluated.reading {
            Reading::Samples(set) => set,
            other => panic!("{} in {year}: {other:?}", measure.metric),
        };
        let names: Vec<&str> = set.definition.label_names().collect();
        let label = |name| names.iter().position(|label| *label == name);
        let authority = label("authority").expect("every measure has the authority");
        for sample in &set.samples {
            let moment = label("measured").map(|position| sample.labels[position].as_str());
            if moment == measure.measured {
                let key = (measure.name, sample.labels[authority].clone());
                rates.insert(key, measure.scale * sample.value.as_number());
            }
        }
    }
    rates
}

/// How many rates the report finds to agree, and how many not, at the 30 September of a year.
async fn reported(report: &Prepared, checked: &Checked, cut: &Arc<Cut>, year: i32) -> (usize, usize) {
    let as_of: AsOf = format!("{year}-09-30").parse().expect("a date");
    let refresh = checked.engine.refresh(Arc::clone(cut), as_of);
    let batches = report.run(&refresh).await.expect("the report runs");
    let verdicts = batches.iter().flat_map(|batch| {
        let agrees = batch.column_by_name("agrees").expect("the report has it");
        agrees.as_boolean().iter().flatten().collect::<Vec<bool>>()
    });
    let (agree, differ): (Vec<bool>, Vec<bool>) = verdicts.partition(|agrees| *agrees);
    (agree.len(), differ.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_counts_what_dfe_published() {
    let path = root().join("queries/reference/dfe_workforce_local_authority_2017_2022.csv");
    let contract = Arc::new(Contract::load(&root().join("schemas")).expect("the contract"));
    let checked = catalogue(&root().join("queries"), &contract).await;
    let report = std::fs::read_to_string(root().join("queries/reports/published_rates.sql")).expect("the report");
    let report = checked
        .engine
        .prepare(&report)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let figures = PublishedFigures::read(&path).expect("a good file");
    let rows = published_rows(&path);
    assert_eq!(rows.len(), figures.authorities.values().map(Vec::len).sum::<usize>());
    let years: BTreeSet<i32> = rows.keys().map(|(_, year)| *year).collect();
    let mut verdicts: BTreeMap<&str, Vec<(String, Verdict)>> = BTreeMap::new();
    let (mut report_agrees, mut report_differs) = (0, 0);
    let (mut making, mut counting) = (Duration::ZERO, Duration::ZERO);
    let authorities: Vec<_> = figures.authorities.into_iter().collect();
    for some in authorities.chunks(AUTHORITIES_AT_ONCE) {
        let figures = PublishedFigures {
            authorities: some.iter().cloned().collect(),
        };
        let began = Instant::now();
        let cut = cut_of(figures, &contract).await;
        making += began.elapsed();
        for year in &years {
            let began = Instant::now();
            let rates = counted(&checked, &cut, *year).await;
            counting += began.elapsed();
            let (agree, differ) = reported(&report, &checked, &cut, *year).await;
            report_agrees += agree;
            report_differs += differ;
            for (code, _) in some {
                let Some(row) = rows.get(&(code.clone(), *year)) else {
                    continue;
                };
                for measure in &MEASURES {
                    let ours = rates.get(&(measure.name, code.clone())).copied();
                    let (published, from) = (&row[measure.column], measure.from.map(|column| row[column].as_str()));
                    let verdict = judge(measure, published, from, ours);
                    let told = format!(
                        "{} {year}: published {published} from {} and {}, counted {ours:?}",
                        row["la_name"], from[0], from[1]
                    );
                    verdicts.entry(measure.name).or_default().push((told, verdict));
                }
            }
        }
    }
    println!(
        "made in {:.0} s, counted in {:.0} s",
        making.as_secs_f64(),
        counting.as_secs_f64()
    );
    let (mut wrong, mut agreeing) = (0, 0);
    for (measure, verdicts) in &verdicts {
        let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| wanted(verdict)).count();
        let agree = count(|verdict| *verdict == Verdict::Agrees);
        let compared = count(|verdict| !matches!(verdict, Verdict::Withheld(_)));
        println!(
            "{measure}: {agree} of {compared} agree; {} not compared",
            verdicts.len() - compared
        );
        for (told, verdict) in verdicts.iter().filter(|(_, verdict)| *verdict != Verdict::Agrees) {
            println!("  {verdict:?}: {told}");
        }
        agreeing += agree;
        wrong += count(|verdict| *verdict == Verdict::Wrong);
        assert!(
            compared >= rows.len() * 98 / 100,
            "{measure}: only {compared} are compared"
        );
    }
    assert_eq!(
        (verdicts.len(), wrong),
        (MEASURES.len(), 0),
        "what is wrong is listed above"
    );
    assert_eq!(
        (report_agrees, report_differs),
        (agreeing, 0),
        "the report for people says the same"
    );
}

#[test]
fn only_arithmetic_excuses_a_rate_that_differs() {
    let turnover = &MEASURES[0];
    let judged = |published, from, ours| judge(turnover, published, from, ours);
    assert_eq!(judged("16.7", ["51.2", "307.1"], Some(16.672)), Verdict::Agrees);
    assert_eq!(
        judged("16.7", ["51.2", "307.1"], Some(16.95)),
        Verdict::Wrong,
        "ours is not what the terms give"
    );
    assert_eq!(
        judged("16.7", ["51.2", "307.1"], None),
        Verdict::Wrong,
        "nothing was counted"
    );
    assert_eq!(judged("u", ["u", "307.1"], None), Verdict::Withheld("u".to_owned()));
    assert_eq!(
        judged("16.7", ["x", "307.1"], Some(3.0)),
        Verdict::Withheld("x".to_owned())
    );
    assert_eq!(
        judged("19.0", ["51.2", "307.1"], Some(100.0 * 51.2 / 307.1)),
        Verdict::Contradiction
    );
    // Of a handful of people a tenth of a full-time equivalent is points: 0.96 to 1.04 leavers of 2.
    assert_eq!(judged("52", ["1", "2"], Some(50.0)), Verdict::Rounding);
    assert_eq!(judged("55", ["1", "2"], Some(50.0)), Verdict::Contradiction);
}
