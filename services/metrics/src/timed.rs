//! Samples of many moments as one OpenMetrics text.
//!
//! OpenMetrics wants the samples of a family together, and those of a series one after the other; moments are computed one
//! after the other, with every family in each. So each family's samples wait in a temporary file, as numbers, until the last moment is done.
//! Memory holds the names of the series, and in the end the numbers of one family.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::definition::MetricDefinition;
use crate::disclosure::PublishedSet;
use crate::encode::{each_line, encode_head, number};
use crate::past::{Evaluated, Reading};
use crate::samples::{SampleSet, bare_family};

/// Series, time and value of a sample.
const RECORD_BYTES: usize = 4 + 8 + 8;

/// Families of samples that wait for the last moment.
pub struct TimedFamilies {
    families: Vec<Family>,
}

/// What a text holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub samples: u64,
    pub series: u64,
}

struct Family {
    definition: Arc<MetricDefinition>,
    /// The beginning of each series' lines, and its number.
    series: HashMap<String, u32>,
    waiting: BufWriter<File>,
    samples: u64,
    left_out: Vec<LeftOut>,
    assumed: Option<Span>,
}

/// Moments at which a metric has no value for one reason.
struct LeftOut {
    reason: String,
    span: Span,
}

struct Span {
    moments: u64,
    first: String,
    last: String,
}

impl TimedFamilies {
    /// Families in the order in which they will come.
    ///
    /// # Errors
    /// A temporary file that cannot be made.
    pub fn new(definitions: impl IntoIterator<Item = Arc<MetricDefinition>>) -> io::Result<Self> {
        let families = definitions.into_iter().map(|definition| {
            Ok(Family {
                definition,
                series: HashMap::new(),
                waiting: BufWriter::new(tempfile::tempfile()?),
                samples: 0,
                left_out: Vec::new(),
                assumed: None,
            })
        });
        Ok(Self {
            families: families.collect::<io::Result<_>>()?,
        })
    }

    /// Takes what the metrics are at a moment: `at_seconds` since 1970, `moment` as people read it.
    ///
    /// # Errors
    /// A temporary file that cannot be written.
    pub fn push(&mut self, at_seconds: i64, moment: &str, metrics: &[Evaluated]) -> io::Result<()> {
        for (family, evaluated) in self.families.iter_mut().zip(metrics) {
            match &evaluated.reading {
                Reading::Samples(set) => family.push(at_seconds, set)?,
                Reading::Published(set) => family.push_published(at_seconds, moment, set)?,
                Reading::Withheld(reason) => family.leave_out(format!("withheld, {reason}"), moment),
                Reading::NoSeries => {}
                Reading::Unknown(reason) => family.leave_out(format!("unknown, {reason}"), moment),
                Reading::Failed(error) => family.leave_out(format!("failed, {error}"), moment),
            }
            if evaluated.assumed {
                Span::note(&mut family.assumed, moment);
            }
        }
        Ok(())
    }

    /// Writes the whole text.
    ///
    /// # Errors
    /// A temporary file that cannot be read, an output that cannot be written.
    pub fn write(self, out: &mut impl Write) -> io::Result<Written> {
        let mut written = Written::default();
        for family in self.families {
            written.samples += family.samples;
            written.series += family.series.len() as u64;
            family.write(out)?;
        }
        out.write_all(b"# EOF\n")?;
        out.flush()?;
        Ok(written)
    }
}

impl Family {
    fn push(&mut self, at_seconds: i64, set: &SampleSet) -> io::Result<()> {
        let mut outcome = Ok(());
        each_line(&set.family(), &mut |line| {
            let next = u32::try_from(self.series.len()).expect("a family has fewer than 2^32 series");
            let series = *self.series.entry(line.series()).or_insert(next);
            let mut record = [0; RECORD_BYTES];
            record[..4].copy_from_slice(&series.to_le_bytes());
            record[4..12].copy_from_slice(&at_seconds.to_le_bytes());
            record[12..].copy_from_slice(&line.value.to_le_bytes());
            if outcome.is_ok() {
                outcome = self.waiting.write_all(&record);
            }
            self.samples += 1;
        });
        outcome
    }

    /// OpenMetrics has no word for a number that is withheld.
    fn push_published(&mut self, at_seconds: i64, moment: &str, published: &PublishedSet) -> io::Result<()> {
        if !published.withheld.is_empty() {
            let reason = "series that would give small numbers away".to_owned();
            self.leave_out(reason, moment);
        }
        if published.rounded.contains(&true) {
            self.leave_out("the last digit of totals over the widest level".to_owned(), moment);
        }
        self.push(at_seconds, &published.shown)
    }

    fn leave_out(&mut self, reason: String, moment: &str) {
        match self.left_out.iter_mut().find(|left_out| left_out.reason == reason) {
            Some(known) => known.span.extend(moment),
            None => self.left_out.push(LeftOut {
                reason,
                span: Span::at(moment),
            }),
        }
    }

    /// The one comment that OpenMetrics allows before a family's samples is its help.
    fn notes(&self) -> String {
        let left_out = self.left_out.iter();
        let mut notes: Vec<String> = left_out
            .map(|left_out| format!(" Left out {}: {}.", left_out.span.text(), left_out.reason))
            .collect();
        notes.extend(self.assumed.as_ref().map(|span| {
            let moments = span.text();
            format!(" {moments}: rests on rows of first snapshots taken as always known (--assume-known).")
        }));
        notes.concat()
    }

    fn write(self, out: &mut impl Write) -> io::Result<()> {
        let mut head = String::new();
        encode_head(&mut head, &bare_family(&self.definition), &self.notes());
        out.write_all(head.as_bytes())?;
        let mut names = vec![String::new(); self.series.len()];
        for (name, series) in self.series {
            names[series as usize] = name;
        }
        let mut waiting = self.waiting.into_inner().map_err(|error| error.into_error())?;
        waiting.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        waiting.read_to_end(&mut bytes)?;
        let mut records: Vec<(u32, i64, f64)> = bytes.chunks_exact(RECORD_BYTES).map(record).collect();
        records.sort_by_key(|(series, at_seconds, _)| (*series, *at_seconds));
        for (series, at_seconds, value) in records {
            let name = &names[series as usize];
            writeln!(out, "{name} {} {at_seconds}", number(value))?;
        }
        Ok(())
    }
}

fn record(bytes: &[u8]) -> (u32, i64, f64) {
    let part = |range: std::ops::Range<usize>| &bytes[range];
    let whole = "the record has this many bytes";
    (
        u32::from_le_bytes(part(0..4).try_into().expect(whole)),
        i64::from_le_bytes(part(4..12).try_into().expect(whole)),
        f64::from_le_bytes(part(12..20).try_into().expect(whole)),
    )
}

impl Span {
    fn at(moment: &str) -> Self {
        Self {
            moments: 1,
            first: moment.to_owned(),
            last: moment.to_owned(),
        }
    }

    fn extend(&mut self, moment: &str) {
        self.moments += 1;
        self.last = moment.to_owned();
    }

    fn note(span: &mut Option<Self>, moment: &str) {
        match span {
            Some(span) => span.extend(moment),
            None => *span = Some(Self::at(moment)),
        }
    }

    fn text(&self) -> String {
        match self.moments {
            1 => format!("at {}", self.first),
            moments => format!("at {moments} moments from {} to {}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::{OPEN_CASES, parse};
    use crate::samples::tests::set;

    fn evaluated(reading: Reading, assumed: bool) -> Vec<Evaluated> {
        let definition = Arc::new(parse(OPEN_CASES).unwrap());
        vec![Evaluated {
            definition,
            reading,
            assumed,
        }]
    }

    fn cases(states: &[&str], counts: &[f64]) -> Vec<Evaluated> {
        let counts: Vec<Option<f64>> = counts.iter().copied().map(Some).collect();
        evaluated(Reading::Samples(Arc::new(set(states, &counts).unwrap())), false)
    }

    #[test]
    fn a_familys_samples_stand_together_series_by_series_and_what_is_unknown_is_in_its_help() {
        let mut families = TimedFamilies::new([Arc::new(parse(OPEN_CASES).unwrap())]).unwrap();
        let unknown = || {
            evaluated(
                Reading::Unknown("table cases is not known before 2018".to_owned()),
                false,
            )
        };
        families.push(1, "2017-11-30", &unknown()).unwrap();
        families.push(2, "2017-12-31", &unknown()).unwrap();
        families
            .push(10, "2018-01-31", &cases(&["open", "waiting"], &[5.0, 2.0]))
            .unwrap();
        families
            .push(20, "2018-02-28", &evaluated(Reading::NoSeries, true))
            .unwrap();
        families.push(30, "2018-03-31", &cases(&["open"], &[4.5])).unwrap();
        let mut out = Vec::new();
        let written = families.write(&mut out).unwrap();
        assert_eq!(written, Written { samples: 3, series: 2 });
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.lines();
        let help = lines.next().unwrap();
        assert!(
            help.ends_with(
                " Left out at 2 moments from 2017-11-30 to 2017-12-31: unknown, table cases is not known before 2018. \
                 at 2018-02-28: rests on rows of first snapshots taken as always known (--assume-known)."
            ),
            "{help}"
        );
        let rest: Vec<&str> = lines.collect();
        assert_eq!(
            rest,
            [
                "# TYPE casewatch_cases_open gauge",
                "casewatch_cases_open{authority=\"north\",state=\"open\"} 5.0 10",
                "casewatch_cases_open{authority=\"north\",state=\"open\"} 4.5 30",
                "casewatch_cases_open{authority=\"north\",state=\"waiting\"} 2.0 10",
                "# EOF",
            ]
        );
    }

    #[test]
    fn without_a_moment_the_text_is_families_without_samples() {
        let families = TimedFamilies::new([Arc::new(parse(OPEN_CASES).unwrap())]).unwrap();
        let mut out = Vec::new();
        assert_eq!(families.write(&mut out).unwrap(), Written::default());
        assert!(String::from_utf8(out).unwrap().ends_with(" gauge\n# EOF\n"));
    }
}
