//! A line over months as SVG, drawn by the page's template. Every coordinate comes from a number that the table beside it
//! shows, rounded as it is shown there; a month without one is a gap.

use chrono::NaiveDate;
use serde::Serialize;

use crate::figures::Figure;
use crate::words::{Style, is_january, month};

pub const WIDTH: f64 = 340.0;
pub const HEIGHT: f64 = 150.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 24.0;
/// Lines across, beside the one at 0.
const MOST_TICKS: f64 = 4.0;

#[derive(Debug, Serialize)]
pub struct Chart {
    pub id: String,
    pub title: String,
    pub unit: String,
    /// What it shows, for who cannot see it.
    pub description: String,
    pub width: f64,
    pub height: f64,
    /// Edges of the field.
    pub left: f64,
    pub right: f64,
    pub bottom: f64,
    pub lines: Vec<String>,
    /// Months that stand alone between gaps.
    pub dots: Vec<Point>,
    pub last: Option<Point>,
    pub across: Vec<Point>,
    pub years: Vec<Point>,
    /// Months whose figure is withheld.
    pub withheld: Vec<Point>,
    pub target: Option<Point>,
}

/// A place, and what is written there.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub text: String,
}

/// What a chart is drawn of.
pub struct Trend<'a> {
    pub id: String,
    pub title: &'a str,
    pub style: &'a Style,
    pub months: &'a [(NaiveDate, Figure)],
    /// The level of the target as it is shown.
    pub target: Option<f64>,
}

impl Trend<'_> {
    /// None where no month has a number, and where one is below zero, which the field does not reach.
    pub fn draw(&self) -> Option<Chart> {
        let shown: Vec<Option<f64>> = self.months.iter().map(|(_, figure)| self.shown(figure)).collect();
        if shown.iter().flatten().any(|number| *number < 0.0) {
            return None;
        }
        let highest = shown.iter().flatten().copied().reduce(f64::max)?;
        let step = step(highest.max(self.target.unwrap_or(0.0)));
        let top = step * (highest.max(self.target.unwrap_or(0.0)) / step).ceil().max(1.0);
        let y = |value: f64| tenth(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM));
        let steps = self.months.len().max(2) - 1;
        let x = |index: usize| tenth(LEFT + index as f64 / steps as f64 * (WIDTH - LEFT - RIGHT));
        let (lines, dots) = segments(&shown, &x, &y);
        let last = shown.iter().enumerate().next_back();
        let last = last.and_then(|(index, number)| {
            Some(Point {
                x: x(index),
                y: y((*number)?),
                text: self.style.write((*number)?),
            })
        });
        let across = (0..=(top / step).round() as usize).map(|line| Point {
            x: LEFT,
            y: y(step * line as f64),
            text: tick(step * line as f64),
        });
        let januaries = self
            .months
            .iter()
            .enumerate()
            .filter(|(_, (date, _))| is_january(*date));
        let years = januaries.map(|(index, (date, _))| Point {
            x: x(index),
            y: HEIGHT - BOTTOM,
            text: date.format("%Y").to_string(),
        });
        let withheld = self
            .months
            .iter()
            .enumerate()
            .filter(|(_, (_, figure))| *figure == Figure::Withheld);
        let withheld = withheld.map(|(index, _)| Point {
            x: x(index),
            y: HEIGHT - BOTTOM - 3.0,
            text: "c".to_owned(),
        });
        let target = self.target.map(|target| Point {
            x: LEFT,
            y: y(target),
            text: self.style.write(target),
        });
        Some(Chart {
            id: self.id.clone(),
            title: self.title.to_owned(),
            unit: self.style.unit.clone(),
            description: self.description(&shown),
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            bottom: HEIGHT - BOTTOM,
            lines,
            dots,
            last,
            across: across.collect(),
            years: years.collect(),
            withheld: withheld.collect(),
            target,
        })
    }

    fn shown(&self, figure: &Figure) -> Option<f64> {
        figure.number().map(|number| self.style.shown(number))
    }

    fn description(&self, shown: &[Option<f64>]) -> String {
        let known = || {
            self.months
                .iter()
                .zip(shown)
                .filter_map(|((date, _), shown)| Some((*date, (*shown)?)))
        };
        let told = |name: &str, found: Option<(NaiveDate, f64)>| {
            found.map(|(date, shown)| format!("{name} {} at the end of {}", self.style.write(shown), month(date)))
        };
        let lowest = known().min_by(|a, b| a.1.total_cmp(&b.1));
        // The later of two equal ones, as for the lowest the earlier: any would be true.
        let highest = known().max_by(|a, b| a.1.total_cmp(&b.1));
        let latest = known().next_back();
        let parts = [told("lowest", lowest), told("highest", highest), told("latest", latest)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let gaps = shown.iter().filter(|shown| shown.is_none()).count();
        let gaps = match gaps {
            0 => String::new(),
            gaps => format!("; {gaps} of {} months have no figure", shown.len()),
        };
        format!("Line over month ends: {}{gaps}.", parts.join(", "))
    }
}

/// Lines between gaps, and months that no line reaches.
fn segments(shown: &[Option<f64>], x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> (Vec<String>, Vec<Point>) {
    let (mut lines, mut dots) = (Vec::new(), Vec::new());
    let mut run: Vec<(f64, f64)> = Vec::new();
    // A gap behind the end closes the last run.
    for (index, number) in shown.iter().copied().chain([None]).enumerate() {
        if let Some(number) = number {
            run.push((x(index), y(number)));
            continue;
        }
        match run.as_slice() {
            [] => {}
            [(x, y)] => dots.push(Point {
                x: *x,
                y: *y,
                text: String::new(),
            }),
            run => {
                let points = run.iter().map(|(x, y)| format!("{x},{y}"));
                lines.push(points.collect::<Vec<_>>().join(" "));
            }
        }
        run.clear();
    }
    (lines, dots)
}

/// 1, 2 or 5 times a power of ten, so that few lines reach the highest number.
fn step(highest: f64) -> f64 {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let power = 10_f64.powf((highest / MOST_TICKS).log10().floor());
    let fits = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power * MOST_TICKS >= highest);
    fits.unwrap_or(10.0) * power
}

fn tick(value: f64) -> String {
    // Of a step such as 0.2, without what binary fractions add to it.
    let rounded = (value * 1e6).round() / 1e6;
    match rounded >= 10_000.0 {
        true => format!("{}k", rounded / 1_000.0),
        false => rounded.to_string(),
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::tests::indicator;

    fn trend(numbers: &[Option<f64>]) -> Option<Chart> {
        let style = Style::of(&indicator("sum"), "cases");
        let months: Vec<(NaiveDate, Figure)> = numbers
            .iter()
            .enumerate()
            .map(|(index, number)| {
                let date = NaiveDate::from_ymd_opt(2018, 1 + index as u32, 28).unwrap();
                (date, number.map_or(Figure::Withheld, Figure::Number))
            })
            .collect();
        let trend = Trend {
            id: "a".to_owned(),
            title: "Open cases",
            style: &style,
            months: &months,
            target: None,
        };
        trend.draw()
    }

    #[test]
    fn a_line_breaks_where_a_figure_is_withheld_and_nothing_is_drawn_there_but_a_c() {
        let chart = trend(&[Some(100.0), Some(50.0), None, Some(0.0)]).unwrap();
        // From the top, 100, half-way down; the zero alone at the bottom.
        assert_eq!(chart.lines, ["42,14 126.7,70"]);
        assert_eq!((chart.dots.len(), chart.dots[0].y), (1, HEIGHT - BOTTOM));
        assert_eq!((chart.withheld.len(), chart.withheld[0].x), (1, 211.3));
        assert!(
            chart.description.ends_with("; 1 of 4 months have no figure."),
            "{}",
            chart.description
        );
        assert!(trend(&[None, None]).is_none(), "nothing to draw");
    }

    #[test]
    fn the_scale_begins_at_zero_and_has_round_lines() {
        assert_eq!([551.0, 81.0, 4.0, 3.5, 0.0].map(step), [200.0, 50.0, 1.0, 1.0, 0.5]);
        let chart = trend(&[Some(551.0), Some(383.0)]).unwrap();
        let texts: Vec<&str> = chart.across.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["0", "200", "400", "600"]);
    }
}
