//! "Northamptonshire 2018-2020", through Kafka, the lake and SQL to `/metrics`: the replay halts at each published date
//! until `/metrics` has reached it. Nothing in casewatch but the simulator knows these numbers.

use std::path::Path;
use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Exposition, Feed, Kafka, alone, until};
use serde_json::Value;

const PREFIX: &str = "casewatch.public.";
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends the events after `from` (the first day, when none) up to the end of `until`.
fn replay(kafka: &Kafka, from: Option<&str>, until: &str) {
    let mut arguments = vec![
        "simulate",
        "--scenario",
        "northamptonshire",
        "--brokers",
        kafka.brokers(),
    ];
    arguments.extend(["--topic-prefix", PREFIX, "--until", until]);
    arguments.extend(from.iter().flat_map(|day| ["--from", day]));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn midnight(day: &str) -> f64 {
    let date: chrono::NaiveDate = day.parse().expect("a day is written year-month-day");
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() as f64
}

/// `/metrics` once its cut stands on `day` and `agree` finds what it wants there.
fn at(casewatch: &Casewatch, day: &str, agree: impl Fn(&Exposition) -> Result<(), String>) {
    until(&format!("/metrics to agree on {day}"), PATIENCE, || {
        std::thread::sleep(Duration::from_millis(300));
        let scrape = casewatch.metrics();
        let cut = scrape.max("casewatch_cut_timestamp_seconds", &[]).ok_or("no cut yet")?;
        if cut < midnight(day) {
            return Err(format!("the cut stands at {cut}"));
        }
        agree(&scrape)
    });
    println!("{day}: agreed");
}

fn equal(what: &str, found: Option<f64>, expected: f64) -> Result<(), String> {
    if found == Some(expected) {
        Ok(())
    } else {
        Err(format!("{what}: {found:?} instead of {expected}"))
    }
}

fn within(what: &str, found: Option<f64>, low: f64, high: f64) -> Result<(), String> {
    match found {
        Some(value) if (low..=high).contains(&value) => Ok(()),
        _ => Err(format!("{what}: {found:?} instead of {low} to {high}")),
    }
}

/// What the live tables hold is what folding history gives, and what plain SQL over history gives (RULES 13); and since
/// the first snapshot is complete, nothing is known of any table before it (RULES 20).
fn history_agrees_with_the_present(casewatch: &Casewatch) {
    let sql = casewatch.sql();
    for (table, key) in [
        ("cases", "case_id"),
        ("allocations", "allocation_id"),
        ("teams", "team_id, valid_from"),
    ] {
        let live = sql.count(&format!("select count(*) from {table}"));
        let folded = sql.count(&format!("select count(*) from at('{table}', '2018-01-31')"));
        let latest = format!(
            "select count(*) from (select _op, row_number() over (partition by {key} order by encode(_seq, 'hex') desc) as n \
             from history.{table}) where n = 1 and _op <> 'd'"
        );
        assert!(live > 1, "{table}");
        assert_eq!((folded, sql.count(&latest)), (live, live), "{table}");
        let before = sql.try_rows(&format!("select count(*) from at('{table}', '2017-12-31')"));
        assert!(
            before.is_err_and(|said| said.contains("is not known before")),
            "{table}"
        );
    }
}

/// What metrics were at the end of a day, as known then, straight over a lake that has gone on since.
struct Past {
    day: String,
    samples: Vec<Value>,
}

impl Past {
    fn of(lake: &Path, day: &str, metrics: &[&str]) -> Self {
        let lake = lake.display().to_string();
        let mut arguments = vec!["metrics", "--lake", &lake, "--as-of", day, "--format", "json"];
        arguments.extend(metrics);
        let output = run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("metrics are text");
        let samples = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"));
        Self {
            day: day.to_owned(),
            samples: samples.collect(),
        }
    }

    /// The sum of the samples of a metric that have these labels.
    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let chosen = self.samples.iter().filter(|sample| {
            sample["metric"] == metric && labels.iter().all(|(name, value)| sample["labels"][name] == *value)
        });
        let values: Vec<f64> = chosen
            .map(|sample| sample["value"].as_f64().expect("the metric has a value"))
            .collect();
        assert!(!values.is_empty(), "{}: {metric} {labels:?} is not there", self.day);
        values.iter().sum()
    }

    fn is_near(&self, metric: &str, labels: &[(&str, &str)], published: f64, allowed: f64) {
        let found = self.sum(metric, labels);
        let said = format!("{} {metric} {labels:?}: {found:.3}, published {published}", self.day);
        println!("{said}");
        assert!((found - published).abs() <= allowed, "{said}");
    }
}

/// DfE's counts, by time travel from the end of the scenario: flow within 2 %, staff within 1 %, rates within 0.2 points.
fn the_published_counts_stand_in_the_past(lake: &Path) {
    let flow = [
        "casewatch_cases_open",
        "casewatch_referrals",
        "casewatch_re_referrals_ratio",
        "casewatch_referrals_no_further_action_ratio",
    ];
    for (day, published) in [
        ("2018-03-31", [5430.0, 11_216.0, 0.302, 0.512]),
        ("2019-03-31", [4693.0, 11_266.0, 0.299, 0.478]),
        ("2020-03-31", [5371.0, 13_504.0, 0.328, 0.349]),
    ] {
        let past = Past::of(lake, day, &flow);
        let year = ("period", "12_months");
        let labels = [
            vec![],
            vec![year],
            vec![year],
            vec![year, ("service", "all"), ("team", "all")],
        ];
        for ((metric, labels), published) in flow.into_iter().zip(labels).zip(published) {
            past.is_near(metric, &labels, published, 0.02 * published);
        }
    }
    let staff = [
        "casewatch_social_workers_fte",
        "casewatch_posts_vacant_fte",
        "casewatch_leavers_fte",
        "casewatch_turnover_ratio",
        "casewatch_vacancy_ratio",
        "casewatch_agency_ratio",
        "casewatch_absence_ratio",
        "casewatch_dfe_caseload_cases_per_fte",
    ];
    // In post, agency, vacancy and leavers in full-time equivalents; turnover, vacancy, agency and absence; caseload.
    for (day, counts, rates, caseload) in [
        (
            "2018-09-30",
            [307.1, 106.0, 112.0, 51.2],
            [0.167, 0.267, 0.257, 0.019],
            18.7,
        ),
        (
            "2019-09-30",
            [316.0, 142.5, 124.9, 61.9],
            [0.196, 0.283, 0.311, 0.019],
            18.8,
        ),
        (
            "2020-09-30",
            [325.6, 125.3, 164.9, 44.4],
            [0.136, 0.336, 0.278, 0.012],
            17.7,
        ),
    ] {
        let past = Past::of(lake, day, &staff);
        let census = ("measured", "30_september");
        let [in_post, agency, vacancy, leavers] = counts;
        let [employed, from_agency] = ["directly_employed", "agency"].map(|kind| [census, ("employment", kind)]);
        past.is_near(staff[0], &employed, in_post, 0.01 * in_post);
        past.is_near(staff[0], &from_agency, agency, 0.01 * agency);
        past.is_near(staff[1], &[census], vacancy, 0.01 * vacancy);
        past.is_near(staff[2], &[census], leavers, 0.01 * leavers);
        for (metric, rate) in staff[3..7].iter().zip(rates) {
            past.is_near(metric, &[census], rate, 0.002);
        }
        past.is_near(staff[7], &[], caseload, 0.2);
    }
}

#[test]
fn the_published_numbers_of_2018_to_2020_stand_in_metrics_on_their_dates() {
    let _alone = alone();
    let kafka = Kafka::start();
    replay(&kafka, None, "2018-01-31");
    let config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    let no_holder = |scrape: &Exposition| scrape.sum("casewatch_cases_no_holder", &[]);
    at(&casewatch, "2018-01-31", |scrape| {
        equal("no holder", no_holder(scrape), 551.0)
    });

    history_agrees_with_the_present(&casewatch);

    replay(&kafka, Some("2018-02-01"), "2018-10-17");
    at(&casewatch, "2018-10-17", |scrape| {
        equal("no holder", no_holder(scrape), 383.0)?;
        // Those whose assessment has not begun, and those in whose assessment nobody is at work.
        let needing = ["awaiting_assessment", "assessment"].map(|status| {
            scrape
                .sum(
                    "casewatch_cases_no_holder",
                    &[("service", "front_door"), ("status", status)],
                )
                .unwrap_or(0.0)
        });
        equal(
            "at the front door, needing assessment",
            Some(needing.iter().sum()),
            267.0,
        )
    });

    replay(&kafka, Some("2018-10-18"), "2019-01-31");
    at(&casewatch, "2019-01-31", |scrape| {
        equal("no holder", no_holder(scrape), 81.0)?;
        within(
            "in transition",
            scrape.sum("casewatch_cases_in_transition", &[]),
            20.0,
            30.0,
        )
    });

    replay(&kafka, Some("2019-02-01"), "2019-05-31");
    at(&casewatch, "2019-05-31", |scrape| {
        equal("no holder", no_holder(scrape), 152.0)?;
        equal(
            "oldest wait",
            scrape.max("casewatch_no_holder_wait_oldest_calendardays", &[]),
            75.0,
        )
    });

    replay(&kafka, Some("2019-06-01"), "2019-10-31");
    at(&casewatch, "2019-10-31", |scrape| {
        within("no holder", no_holder(scrape), 301.0, 450.0)
    });

    let mut from = "2019-11-01";
    for month_end in [
        "2020-02-29",
        "2020-03-31",
        "2020-04-30",
        "2020-05-31",
        "2020-06-30",
        "2020-07-31",
    ] {
        replay(&kafka, Some(from), month_end);
        at(&casewatch, month_end, |scrape| {
            equal("unallocated", scrape.sum("casewatch_cases_unallocated", &[]), 0.0)
        });
        from = match month_end {
            "2020-02-29" => "2020-03-01",
            "2020-03-31" => "2020-04-01",
            "2020-04-30" => "2020-05-01",
            "2020-05-31" => "2020-06-01",
            _ => "2020-07-01",
        };
    }

    replay(&kafka, Some("2020-08-01"), "2020-09-30");
    at(&casewatch, "2020-09-30", |scrape| {
        within("cases open", scrape.sum("casewatch_cases_open", &[]), 5000.0, 5450.0)
    });
    casewatch.stop(PATIENCE);
    the_published_counts_stand_in_the_past(&config.lake);
}
