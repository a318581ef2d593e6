use std::collections::BTreeSet;

use casewatch_metrics::Reading;
use html5ever::tendril::TendrilSink;
use html5ever::tokenizer::TokenizerOpts;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::*;
use crate::fixture::{metrics, report};

/// In team one: 4 in January 2019, 3 the month before, 5 a year before.
fn team_one(back: u32) -> f64 {
    match back {
        0 => 4.0,
        12 => 5.0,
        _ => 3.0,
    }
}

fn inside() -> Report {
    report(Audience::Inside, |catalogue, back| {
        metrics(catalogue, team_one(back), 20.0)
    })
}

fn row<'r>(report: &'r Report, title: &str) -> &'r Row {
    report.sections[0].rows.iter().find(|row| row.title == title).unwrap()
}

#[test]
fn a_line_has_the_figure_before_and_since_when_what_changed_and_what_it_is_judged_by() {
    let report = inside();
    let one = row(&report, "of these in team one");
    assert_eq!((one.now.text.as_str(), one.last_month.cell.text.as_str()), ("4", "3"));
    assert_eq!(
        (one.last_month.change.as_deref(), one.last_month.word),
        (Some("+1"), "worse")
    );
    assert_eq!(
        (one.last_year.change.as_deref(), one.last_year.word),
        (Some("\u{2212}1"), "better")
    );
    let all = row(&report, "Waiting cases");
    assert_eq!(
        (all.now.text.as_str(), all.last_month.change.as_deref()),
        ("67", Some("no change"))
    );
    let target = all.target.as_ref().unwrap();
    assert_eq!(
        (target.text.as_str(), target.standing.as_deref()),
        ("at most 50", Some("above: warning"))
    );
    assert_eq!(row(&report, "Longest mean wait of a team").now.text, "20");
    assert_eq!(
        (report.last_month.as_str(), report.last_year.as_str()),
        ("31 Dec 2018", "31 Jan 2018")
    );
}

#[test]
fn a_published_figure_is_the_newest_of_its_area_with_its_year() {
    let report = inside();
    let agency = row(&report, "Agency");
    let published = |it: &Option<Published>| it.as_ref().map(|it| (it.text.clone(), it.year.clone())).unwrap();
    let told = |text: &str, year: &str| (text.to_owned(), year.to_owned());
    assert_eq!(published(&agency.nation), told("15.4 %", "2018"));
    assert_eq!(published(&agency.region), told("12.0 %", "2018"));
    assert_eq!(agency.now.text, "25.0 %");
    assert!(row(&report, "Waiting cases").nation.is_none());
}

#[test]
fn what_was_crossed_and_what_moved_is_told_in_words() {
    let told = inside().exceptions;
    assert_eq!(told.crossed, ["Waiting cases: 67, above the level of 50 (warning)."]);
    assert_eq!(
        told.worse_than_last_month,
        ["Waiting cases, of these in team one rose from 3 to 4 (+1)."]
    );
    assert!(
        told.better_than_last_year.is_empty(),
        "good news are told of the whole: {told:?}"
    );
    assert!(told.unknown.is_empty() && told.withheld.is_none(), "{told:?}");
}

#[test]
fn what_nobody_knows_is_told_with_its_reason_and_is_never_a_zero() {
    let reason = "table cases is not known before 2019-02-01";
    let report = report(Audience::Inside, |catalogue, _| {
        let mut metrics = metrics(catalogue, 4.0, 20.0);
        metrics[0].reading = Reading::Unknown(reason.to_owned());
        metrics
    });
    let waiting = row(&report, "Waiting cases");
    assert_eq!((waiting.now.text.as_str(), waiting.now.number), ("unknown", None));
    assert_eq!(waiting.now.why.as_deref(), Some(reason));
    assert!(waiting.last_month.change.is_none() && waiting.target.is_none_or_untold());
    assert_eq!(
        report.exceptions.unknown,
        [format!(
            "Waiting cases and Waiting cases, of these in team one: {reason}."
        )]
    );
    assert!(report.html().contains("not known before 2019-02-01"));
}

trait Untold {
    fn is_none_or_untold(&self) -> bool;
}

impl Untold for Option<Target> {
    /// A target that stands there without saying how far away an unknown figure is.
    fn is_none_or_untold(&self) -> bool {
        self.as_ref()
            .is_none_or(|target| target.standing.is_none() && !target.is_reached)
    }
}

#[test]
fn for_the_public_every_small_number_makes_the_same_file() {
    let file = |small: [f64; 3], mean: f64| {
        let report = report(Audience::Public, |catalogue, back| {
            let small = match back {
                0 => small[0],
                12 => small[2],
                _ => small[1],
            };
            metrics(catalogue, small, mean)
        });
        (report.html(), serde_json::to_string(&report).unwrap())
    };
    let (html, json) = file([4.0, 3.0, 5.0], 20.0);
    assert!(
        html.contains("for publication") && html.contains(">67<"),
        "the total is published"
    );
    for small in [[1.0, 1.0, 1.0], [5.0, 5.0, 5.0], [2.0, 5.0, 1.0], [3.0, 4.0, 2.0]] {
        for mean in [1.0, 300.0] {
            let (other_html, other_json) = file(small, mean);
            assert!(
                other_html == html && other_json == json,
                "{small:?} and {mean} make another file"
            );
        }
    }
}

#[test]
fn for_the_public_a_figure_is_a_published_cell_or_a_c() {
    let report = report(Audience::Public, |catalogue, back| {
        metrics(catalogue, team_one(back), 20.0)
    });
    let cell = |title: &str| row(&report, title).now.text.clone();
    assert_eq!(cell("Waiting cases"), "67");
    assert_eq!(cell("of these in team one"), "c");
    assert_eq!(cell("Mean wait in team one"), "c");
    assert_eq!(
        cell("Longest mean wait of a team"),
        "c",
        "the team that is withheld may have the longest"
    );
    assert_eq!(cell("Agency"), "not published");
    let charts: Vec<&str> = report.sections[0]
        .charts
        .iter()
        .map(|chart| chart.title.as_str())
        .collect();
    assert_eq!(charts, ["Waiting cases"], "nothing is drawn of what is withheld");
    assert!(report.marks.withheld && report.marks.not_published && !report.marks.unknown);
    let told = report.exceptions.withheld.unwrap();
    assert_eq!(
        told,
        "Waiting cases, of these in team one, Mean wait in team one and Longest mean wait of a team"
    );
}

#[test]
fn for_the_public_no_reason_is_repeated_that_may_quote_a_number() {
    let report = report(Audience::Public, |catalogue, _| {
        let mut metrics = metrics(catalogue, 4.0, 20.0);
        metrics[0].reading = Reading::Failed("cannot cast 987654 to a date".to_owned());
        metrics[1].reading = Reading::Withheld("its parts sum to 876543".to_owned());
        metrics
    });
    let text = report.html() + &serde_json::to_string(&report).unwrap();
    assert!(!text.contains("987654") && !text.contains("876543"), "{text}");
    assert!(report.exceptions.unknown[0].ends_with("it could not be computed."));
}

/// A document's elements, in order. They are whole for as long as the document lives.
fn elements(html: &str) -> (RcDom, Vec<Handle>) {
    let options = ParseOpts {
        tokenizer: TokenizerOpts {
            exact_errors: true,
            ..TokenizerOpts::default()
        },
        ..ParseOpts::default()
    };
    let dom = parse_document(RcDom::default(), options).one(html);
    assert!(dom.errors.borrow().is_empty(), "{:?}", dom.errors.borrow());
    let (mut open, mut found) = (vec![dom.document.clone()], Vec::new());
    while let Some(node) = open.pop() {
        open.extend(node.children.borrow().iter().rev().cloned());
        if matches!(node.data, NodeData::Element { .. }) {
            found.push(node);
        }
    }
    (dom, found)
}

fn name(node: &Handle) -> String {
    match &node.data {
        NodeData::Element { name, .. } => name.local.to_string(),
        _ => String::new(),
    }
}

fn attribute(node: &Handle, wanted: &str) -> Option<String> {
    let NodeData::Element { attrs, .. } = &node.data else {
        return None;
    };
    let attrs = attrs.borrow();
    let found = attrs.iter().find(|attribute| &*attribute.name.local == wanted);
    found.map(|attribute| attribute.value.to_string())
}

fn has_child(node: &Handle, wanted: &str) -> bool {
    node.children.borrow().iter().any(|child| name(child) == wanted)
}

#[test]
fn the_page_is_valid_html_that_a_screen_reader_can_read_and_that_needs_no_other_file() {
    for audience in [Audience::Inside, Audience::Public] {
        let report = report(audience, |catalogue, back| metrics(catalogue, team_one(back), 20.0));
        let html = report.html();
        let (_document, elements) = elements(&html);
        let of = |wanted: &str| elements.iter().filter(|node| name(node) == wanted).collect::<Vec<_>>();
        assert_eq!((of("h1").len(), of("main").len()), (1, 1));
        assert!(of("table").len() == 2 && of("table").iter().all(|table| has_child(table, "caption")));
        assert!(of("th").iter().all(|head| attribute(head, "scope").is_some()));
        assert_eq!(of("svg").len(), report.sections[0].charts.len());
        for drawing in of("svg") {
            assert_eq!(attribute(drawing, "role").as_deref(), Some("img"));
            assert!(has_child(drawing, "title") && has_child(drawing, "desc"));
        }
        let ids: Vec<String> = elements.iter().filter_map(|node| attribute(node, "id")).collect();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "an id stands twice: {ids:?}");
        for node in &elements {
            for attribute_name in ["src", "href", "data", "srcset", "action"] {
                let target = attribute(node, attribute_name);
                assert!(target.is_none_or(|target| target.starts_with('#') && ids.contains(&target[1..].to_owned())));
            }
        }
        assert!(of("script").is_empty() && of("link").is_empty() && !html.contains("url("));
    }
}

#[test]
fn what_data_say_is_text_and_never_markup() {
    let html = inside().html();
    assert!(html.contains("Some &amp; Other Shire") && html.contains("What &lt;matters&gt; &amp; why."));
    assert!(!html.contains("<matters>"));
}
