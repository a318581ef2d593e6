//! The report as a page: every number already written, so that the template only lays out.

use std::collections::BTreeMap;

use casewatch_metrics::{Catalogue, Evaluated, TierBound};
use chrono::NaiveDate;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::chart::{Chart, Trend};
use crate::exceptions::{Exceptions, Judged};
use crate::figures::{Audience, Figure, Moment};
use crate::layout::{Indicator, Layout, Section as Planned};
use crate::words::{self, Direction, Style};

const TEMPLATE: &str = include_str!("monthly.html");
/// Of a figure before.
const MONTHS_A_YEAR: usize = 12;

/// The end of a month, and what the metrics were then.
pub struct MonthEnd {
    pub date: NaiveDate,
    pub metrics: Vec<Evaluated>,
}

/// Whose report it is.
#[derive(Debug, Clone, Serialize)]
pub struct Authority {
    pub id: String,
    pub name: String,
    /// The area that it is compared with beside the nation.
    pub region: Option<String>,
}

/// All that a report is made from.
pub struct Request<'a> {
    pub layout: &'a Layout,
    pub catalogue: &'a Catalogue,
    pub audience: Audience,
    pub authority: Authority,
    /// In order; the last one is the report's.
    pub months: &'a [MonthEnd],
    /// The day of which knowledge is; none: each month as it was known at its own end.
    pub known_at: Option<String>,
    /// The newest recorded time behind the numbers, in words.
    pub recorded_up_to: String,
    /// Whether that is earlier than the end of the month.
    pub ends_early: bool,
    pub prepared_on: NaiveDate,
    pub version: &'a str,
}

/// The report. Serializes for programs; [`Report::html`] is for people.
#[derive(Debug, Serialize)]
pub struct Report {
    pub title: String,
    pub introduction: String,
    pub is_public: bool,
    pub authority: Authority,
    pub nation: String,
    pub month: String,
    pub as_of: String,
    pub last_month: String,
    pub last_year: String,
    pub known_at: Option<String>,
    pub recorded_up_to: String,
    pub ends_early: bool,
    pub prepared_on: String,
    pub version: String,
    pub catalogue: String,
    pub notable_percent: u32,
    pub exceptions: Exceptions,
    pub sections: Vec<Section>,
    pub definitions: Vec<Definition>,
    pub marks: Marks,
}

#[derive(Debug, Serialize)]
pub struct Section {
    pub id: String,
    pub title: String,
    pub text: Option<String>,
    pub rows: Vec<Row>,
    /// Whether any of the rows has a published figure beside it.
    pub is_compared: bool,
    pub charts: Vec<Chart>,
    /// The figures of the charts, a month a row.
    pub months: Vec<MonthRow>,
    /// The first month of which anything is known, where the charts could have begun earlier.
    pub known_from: Option<String>,
}

/// An indicator's line.
#[derive(Debug, Serialize)]
pub struct Row {
    pub title: String,
    pub unit: String,
    pub metric: String,
    pub is_part: bool,
    pub now: Cell,
    pub last_month: Compared,
    pub last_year: Compared,
    /// The level of the target, and in words where the figure stands to it.
    pub target: Option<Target>,
    pub nation: Option<Published>,
    pub region: Option<Published>,
}

/// A figure as it is written.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    pub text: String,
    /// The number as it is shown, for programs.
    pub number: Option<f64>,
    /// What stands for the number, in full.
    pub why: Option<String>,
}

/// A figure of before, and what has changed since.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub cell: Cell,
    pub change: Option<String>,
    pub word: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Target {
    pub text: String,
    pub standing: Option<String>,
    pub is_reached: bool,
}

/// A figure that somebody else published.
#[derive(Debug, Serialize)]
pub struct Published {
    pub text: String,
    pub year: String,
}

#[derive(Debug, Serialize)]
pub struct MonthRow {
    pub month: String,
    pub cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
pub struct Definition {
    pub titles: Vec<String>,
    pub metric: String,
    pub help: String,
    pub source: String,
    pub owner: String,
    pub hash: String,
}

/// Which marks stand in the report, so that each that does is explained.
#[derive(Debug, Default, Serialize)]
pub struct Marks {
    pub withheld: bool,
    pub not_published: bool,
    pub unknown: bool,
    pub nothing: bool,
}

impl Report {
    /// Makes the report of the last of the months.
    ///
    /// # Panics
    /// Without a month.
    pub fn new(request: &Request<'_>) -> Self {
        let (last, layout) = (request.months.last().expect("a report has a month"), request.layout);
        let before = |months: usize| {
            request
                .months
                .iter()
                .nth_back(months)
                .map(|month| words::short_day(month.date))
        };
        let mut writer = Writer {
            request,
            moments: request
                .months
                .iter()
                .map(|month| Moment::new(&month.metrics, request.audience, &request.authority.id))
                .collect(),
            judged: Vec::new(),
            marks: Marks::default(),
        };
        let sections: Vec<Section> = layout
            .sections
            .iter()
            .enumerate()
            .map(|(index, section)| writer.section(index, section))
            .collect();
        Self {
            title: layout.title.clone(),
            introduction: layout.introduction.clone(),
            is_public: request.audience == Audience::Public,
            authority: request.authority.clone(),
            nation: layout.nation.clone(),
            month: words::month(last.date),
            as_of: words::day(last.date),
            last_month: before(1).unwrap_or_default(),
            last_year: before(MONTHS_A_YEAR).unwrap_or_default(),
            known_at: request.known_at.clone(),
            recorded_up_to: request.recorded_up_to.clone(),
            ends_early: request.ends_early,
            prepared_on: words::day(request.prepared_on),
            version: request.version.to_owned(),
            catalogue: request.catalogue.hash.clone(),
            notable_percent: (layout.notable_change * 100.0).round() as u32,
            exceptions: Exceptions::of(&writer.judged, layout.notable_change),
            sections,
            definitions: definitions(layout, &last.metrics),
            marks: writer.marks,
        }
    }

    /// One HTML file that needs no other.
    pub fn html(&self) -> String {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("it names no delimiter"));
        let template = environment.template_from_str(TEMPLATE).expect("the template is tested");
        template
            .render(context! { report => Serde(self) })
            .expect("the template names what a report has")
    }
}

/// Writes figures, and remembers what the exceptions are drawn from.
struct Writer<'a> {
    request: &'a Request<'a>,
    moments: Vec<Moment<'a>>,
    judged: Vec<Judged>,
    marks: Marks,
}

impl Writer<'_> {
    fn section(&mut self, index: usize, planned: &Planned) -> Section {
        let id = format!("s{}", index + 1);
        let (mut rows, mut drawn) = (Vec::new(), Vec::new());
        let mut whole = "";
        for indicator in &planned.indicators {
            let style = self.style(indicator);
            let figures: Vec<Figure> = self.moments.iter().map(|moment| moment.indicator(indicator)).collect();
            let bounds = self.bounds(indicator);
            if !indicator.part {
                whole = &indicator.title;
            }
            let title = match indicator.part && !whole.is_empty() {
                true => format!("{whole}, {}", indicator.title),
                false => indicator.title.clone(),
            };
            rows.push(self.row(&title, indicator, &style, &figures, &bounds));
            if indicator.chart {
                let target = own_bound(indicator, &bounds).map(|tier| style.shown(tier.bound));
                drawn.push((title, style, figures, target));
            }
        }
        // Months of which nothing is known at all make a long table and say it no better than a sentence.
        let is_known = |figure: &Figure| !matches!(figure, Figure::Unknown(_) | Figure::Nothing);
        let known = |month: usize| drawn.iter().any(|(_, _, figures, _)| is_known(&figures[month]));
        let first = (0..self.request.months.len()).find(|month| known(*month)).unwrap_or(0);
        let dates: Vec<NaiveDate> = self.request.months[first..].iter().map(|month| month.date).collect();
        let (mut charts, mut columns) = (Vec::new(), Vec::new());
        for (place, (title, style, figures, target)) in drawn.into_iter().enumerate() {
            let months: Vec<(NaiveDate, Figure)> = dates.iter().copied().zip(figures.into_iter().skip(first)).collect();
            let trend = Trend {
                id: format!("{id}c{}", place + 1),
                title: &title,
                style: &style,
                months: &months,
                target,
            };
            if let Some(chart) = trend.draw() {
                columns.push(months.iter().map(|(_, figure)| self.cell(figure, &style)).collect());
                charts.push(chart);
            }
        }
        Section {
            id,
            title: planned.title.clone(),
            text: planned.text.clone(),
            is_compared: rows.iter().any(|row| row.nation.is_some() || row.region.is_some()),
            rows,
            charts,
            months: month_rows(&dates, &columns),
            known_from: (first > 0).then(|| words::month(dates[0])),
        }
    }

    fn style(&self, indicator: &Indicator) -> Style {
        let metrics = &self.request.catalogue.metrics;
        let found = metrics
            .iter()
            .find(|metric| metric.name.name == *indicator.metric.get_ref());
        Style::of(indicator, found.map_or("", |metric| metric.unit.as_str()))
    }

    /// The tiers that stand with the indicator's target, as they are at the end of the month.
    fn bounds(&self, indicator: &Indicator) -> Vec<TierBound> {
        let (Some(target), Some(moment)) = (&indicator.target, self.moments.last()) else {
            return Vec::new();
        };
        let thresholds = &self.request.catalogue.thresholds;
        thresholds.bounds_of(
            indicator.metric.get_ref(),
            target.get_ref(),
            &self.request.authority.id,
            &|metric| moment.sum(metric),
        )
    }

    fn row(
        &mut self,
        title: &str,
        indicator: &Indicator,
        style: &Style,
        figures: &[Figure],
        bounds: &[TierBound],
    ) -> Row {
        let now = figures.last().cloned().unwrap_or(Figure::Nothing);
        let before = |months: usize| figures.iter().nth_back(months).cloned().unwrap_or(Figure::Nothing);
        let (month, year) = (before(1), before(MONTHS_A_YEAR));
        let reached = now
            .number()
            .and_then(|number| bounds.iter().rfind(|tier| number > tier.bound));
        self.judged.push(Judged::new(
            title.to_owned(),
            indicator,
            style,
            &now,
            &month,
            &year,
            reached,
        ));
        let target = own_bound(indicator, bounds).map(|tier| Target {
            text: format!("at most {}", style.write(style.shown(tier.bound))),
            standing: now.number().map(|number| match (reached, number > tier.bound) {
                (Some(reached), true) => format!("above: {}", severity(reached.severity)),
                (_, true) => "above".to_owned(),
                (_, false) => "met".to_owned(),
            }),
            is_reached: now.number().is_some_and(|number| number > tier.bound),
        });
        let moment = self.moments.last();
        let published = |area: Option<&String>| {
            let (year, number) = moment?.benchmark(indicator.benchmark.as_ref()?, area?)?;
            let text = style.write(style.shown(number));
            Some(Published { text, year })
        };
        let request = self.request;
        Row {
            title: indicator.title.clone(),
            unit: style.unit.clone(),
            metric: indicator.metric.get_ref().clone(),
            is_part: indicator.part,
            nation: published(Some(&request.layout.nation)),
            region: published(request.authority.region.as_ref()),
            last_month: self.compared(&month, &now, style, indicator),
            last_year: self.compared(&year, &now, style, indicator),
            now: self.cell(&now, style),
            target,
        }
    }

    /// A change is told where both figures are.
    fn compared(&mut self, before: &Figure, now: &Figure, style: &Style, indicator: &Indicator) -> Compared {
        let both = before.number().zip(now.number());
        let shown = both.map(|(from, to)| (style.shown(from), style.shown(to)));
        Compared {
            cell: self.cell(before, style),
            change: shown.map(|(from, to)| style.change(from, to)),
            word: shown.map_or("", |(from, to)| Direction::of(indicator.good, from, to).word()),
        }
    }

    fn cell(&mut self, figure: &Figure, style: &Style) -> Cell {
        let without = |text: &str, why: &str| Cell {
            text: text.to_owned(),
            number: None,
            why: Some(why.to_owned()),
        };
        match figure {
            Figure::Number(number) => {
                let shown = style.shown(*number);
                Cell {
                    text: style.write(shown),
                    number: Some(shown),
                    why: None,
                }
            }
            Figure::Withheld => {
                self.marks.withheld = true;
                without("c", "confidential")
            }
            Figure::NotPublished => {
                self.marks.not_published = true;
                without("not published", "it is not published")
            }
            Figure::Nothing => {
                self.marks.nothing = true;
                without("\u{2013}", "there was nothing to count")
            }
            Figure::Unknown(reason) => {
                self.marks.unknown = true;
                without("unknown", reason)
            }
            Figure::Failed(error) => {
                self.marks.unknown = true;
                without("unknown", error.as_deref().unwrap_or("it could not be computed"))
            }
        }
    }
}

/// The newest month first.
fn month_rows(dates: &[NaiveDate], columns: &[Vec<Cell>]) -> Vec<MonthRow> {
    if columns.is_empty() {
        return Vec::new();
    }
    let months = dates.iter().enumerate().rev();
    let rows = months.map(|(index, date)| MonthRow {
        month: words::short_month(*date),
        cells: columns.iter().map(|cells| cells[index].clone()).collect(),
    });
    rows.collect()
}

/// The bound of the tier that the layout names.
fn own_bound<'t>(indicator: &Indicator, bounds: &'t [TierBound]) -> Option<&'t TierBound> {
    let target = indicator.target.as_ref()?;
    bounds.iter().find(|tier| tier.tier == *target.get_ref())
}

/// What a tier is called where people read it.
pub fn severity(severity: &str) -> &'static str {
    match severity {
        "page" => "alarm",
        "warn" => "warning",
        _ => "to be watched",
    }
}

/// Each metric once, in the order in which the report speaks of it.
fn definitions(layout: &Layout, metrics: &[Evaluated]) -> Vec<Definition> {
    let mut titles: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut whole = "";
    for indicator in layout.indicators() {
        let metric = indicator.metric.get_ref().as_str();
        let named = titles.entry(metric).or_default();
        if named.is_empty() {
            order.push(metric);
        }
        if !indicator.part {
            whole = &indicator.title;
            named.push(indicator.title.clone());
        } else if named.is_empty() {
            named.push(format!("{whole}, {}", indicator.title));
        }
    }
    let found = order.into_iter().filter_map(|name| {
        let evaluated = metrics.iter().find(|it| it.definition.name.name == name)?;
        let definition = &evaluated.definition;
        Some(Definition {
            titles: titles.remove(name)?,
            metric: name.to_owned(),
            help: definition.help.clone(),
            source: definition.source.clone(),
            owner: definition.owner.clone(),
            hash: definition.hash.clone(),
        })
    });
    found.collect()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
