//! Metric families to bytes: Prometheus text 0.0.4 and OpenMetrics 1.0, chosen by the scraper's `Accept` header.
//! The order of families and samples is the registry's, so two scrapes of one state are the same bytes.
//! Nothing here can reach a query: the input is finished families.

use std::fmt::Write;

use prometheus::TextEncoder;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use crate::definition::MEASURED_UNITS;

/// The two exposition formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The scraper's favourite of the two; text where it says nothing we know. OpenMetrics 0.0.1 is answered as text.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (0.0, Format::Text);
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, None);
            for parameter in parts {
                match parameter
                    .split_once('=')
                    .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
                {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.to_owned()),
                    _ => {}
                }
            }
            let format = match (media.as_str(), version.as_deref()) {
                ("application/openmetrics-text", None | Some("1.0.0")) => Format::OpenMetrics,
                ("text/plain" | "text/*" | "*/*", _) => Format::Text,
                _ => continue,
            };
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    pub fn encode(self, families: &[MetricFamily]) -> String {
        match self {
            Format::Text => TextEncoder::new()
                .encode_to_string(families)
                .expect("gathered families have a name and at least one metric"),
            Format::OpenMetrics => open_metrics(families),
        }
    }
}

fn open_metrics(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        encode_family(&mut out, family);
    }
    out.push_str("# EOF\n");
    out
}

fn encode_family(out: &mut String, family: &MetricFamily) {
    encode_head(out, family, "");
    each_line(family, &mut |line| {
        push(out, format_args!("{} {}\n", line.series(), number(line.value)));
    });
}

/// What OpenMetrics says of a family before its samples. It allows no other comment, so what is to be `noted` of them
/// stands behind the help.
pub(crate) fn encode_head(out: &mut String, family: &MetricFamily, noted: &str) {
    let name = family_name(family);
    let type_name = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "unknown",
    };
    let help = format!("{}{noted}", family.help());
    push(
        out,
        format_args!("# HELP {name} {}\n# TYPE {name} {type_name}\n", escaped(&help)),
    );
    if let Some(unit) = MEASURED_UNITS.iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
        push(out, format_args!("# UNIT {name} {unit}\n"));
    }
}

/// OpenMetrics names a counter's family without the _total of its samples.
fn family_name(family: &MetricFamily) -> &str {
    let name = family.name();
    match family.get_field_type() {
        MetricType::COUNTER => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    }
}

/// One sample as it is exposed: a histogram is several.
pub(crate) struct Line<'a> {
    name: &'a str,
    suffix: &'static str,
    metric: &'a Metric,
    bound: Option<&'a str>,
    pub(crate) value: f64,
}

impl Line<'_> {
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.name, self.suffix)
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.metric.get_label().iter();
        own.map(|pair: &LabelPair| (pair.name(), pair.value()))
            .chain(self.bound.map(|bound| ("le", bound)))
    }

    /// Name and labels, as the line begins.
    pub(crate) fn series(&self) -> String {
        let mut out = self.name();
        let mut separator = '{';
        for (key, label) in self.labels() {
            push(&mut out, format_args!("{separator}{key}=\"{}\"", escaped(label)));
            separator = ',';
        }
        if separator == ',' {
            out.push('}');
        }
        out
    }
}

/// The samples of a family in the order in which they are exposed.
pub(crate) fn each_line(family: &MetricFamily, each: &mut dyn FnMut(Line<'_>)) {
    let name = family_name(family);
    let line = |suffix, metric, value| Line {
        name,
        suffix,
        metric,
        bound: None,
        value,
    };
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::COUNTER => each(line("_total", metric, metric.get_counter().value())),
            MetricType::GAUGE => each(line("", metric, metric.get_gauge().value())),
            MetricType::HISTOGRAM => each_of_histogram(&line, metric, each),
            // The registry holds none of these: sample sets have three kinds, and no own metric is a summary.
            MetricType::SUMMARY | MetricType::UNTYPED => {}
        }
    }
}

fn each_of_histogram<'a>(
    line: &impl Fn(&'static str, &'a Metric, f64) -> Line<'a>,
    metric: &'a Metric,
    each: &mut dyn FnMut(Line<'_>),
) {
    let histogram = metric.get_histogram();
    let finite = histogram
        .get_bucket()
        .iter()
        .filter(|bucket| bucket.upper_bound().is_finite());
    for bucket in finite {
        let bound = number(bucket.upper_bound());
        each(Line {
            bound: Some(&bound),
            ..line("_bucket", metric, bucket.cumulative_count() as f64)
        });
    }
    let count = histogram.get_sample_count() as f64;
    each(Line {
        bound: Some("+Inf"),
        ..line("_bucket", metric, count)
    });
    each(line("_count", metric, count));
    each(line("_sum", metric, histogram.get_sample_sum()));
}

/// OpenMetrics asks for canonical numbers: 1.0, not 1, and its own words for what is no finite number.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        }
    } else {
        format!("{value:?}")
    }
}

/// Backslash, quote and newline, as both HELP lines and label values want them in OpenMetrics.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Opts, Registry};

    use super::*;

    fn families() -> Vec<MetricFamily> {
        let registry = Registry::new();
        let cases = IntGaugeVec::new(Opts::new("casewatch_cases_open", "Open \"cases\" of a\\b."), &["state"]).unwrap();
        cases.with_label_values(&["new\nline"]).set(3);
        cases.with_label_values(&["a\"quote\\"]).set(2);
        let rows = IntCounter::new("casewatch_rows_total", "Rows.").unwrap();
        rows.inc_by(5);
        let seconds = Histogram::with_opts(
            HistogramOpts::new("casewatch_query_seconds", "Time of a query.").buckets(vec![0.1, 1.0]),
        )
        .unwrap();
        seconds.observe(0.5);
        registry.register(Box::new(cases)).unwrap();
        registry.register(Box::new(rows)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        registry.gather()
    }

    #[test]
    fn open_metrics_is_written_to_the_letter() {
        let expected = "\
# HELP casewatch_cases_open Open \\\"cases\\\" of a\\\\b.
# TYPE casewatch_cases_open gauge
casewatch_cases_open{state=\"a\\\"quote\\\\\"} 2.0
casewatch_cases_open{state=\"new\\nline\"} 3.0
# HELP casewatch_query_seconds Time of a query.
# TYPE casewatch_query_seconds histogram
# UNIT casewatch_query_seconds seconds
casewatch_query_seconds_bucket{le=\"0.1\"} 0.0
casewatch_query_seconds_bucket{le=\"1.0\"} 1.0
casewatch_query_seconds_bucket{le=\"+Inf\"} 1.0
casewatch_query_seconds_count 1.0
casewatch_query_seconds_sum 0.5
# HELP casewatch_rows Rows.
# TYPE casewatch_rows counter
casewatch_rows_total 5.0
# EOF
";
        assert_eq!(Format::OpenMetrics.encode(&families()), expected);
    }

    #[test]
    fn text_escapes_labels_and_keeps_the_counters_whole_name() {
        let text = Format::Text.encode(&families());
        assert!(
            text.contains("casewatch_cases_open{state=\"a\\\"quote\\\\\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE casewatch_rows_total counter\ncasewatch_rows_total 5\n"),
            "{text}"
        );
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn the_scrapers_favourite_format_wins() {
        let prometheus_242 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                              q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::negotiate(prometheus_242), Format::OpenMetrics);
        assert_eq!(Format::negotiate(""), Format::Text);
        assert_eq!(Format::negotiate("*/*"), Format::Text);
        assert_eq!(
            Format::negotiate("text/plain;q=0.9, application/openmetrics-text;q=0.2"),
            Format::Text
        );
        assert_eq!(
            Format::negotiate("application/openmetrics-text; version=0.0.1"),
            Format::Text
        );
        assert_eq!(
            Format::negotiate("application/openmetrics-text; version=\"1.0.0\";q=0"),
            Format::Text
        );
        assert_eq!(Format::negotiate("text/html, application/json"), Format::Text);
    }

    #[test]
    fn two_scrapes_of_one_state_are_the_same_bytes() {
        let families = families();
        for format in [Format::Text, Format::OpenMetrics] {
            assert_eq!(format.encode(&families), format.encode(&families));
        }
    }
}
