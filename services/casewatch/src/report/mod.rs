//! `casewatch report`: the monthly report of an authority, from a lake, as HTML and PDF.

mod month;
mod pdf;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use casewatch_contract::RecordedAt;
use casewatch_metrics::{Checked, Evaluated, Reading};
use casewatch_query::AsOf;
use casewatch_report::{Audience, Authority, Layout, MonthEnd, Report, Request, authorities};
use tempfile::NamedTempFile;

use crate::cli::{PastArgs, ReportArgs, ReportOutput};
use crate::failure::Failure;
use crate::past::{Day, Moment, Walk, chosen, go_through};
use crate::progress;

pub use month::Month;

/// Writes the report of a month.
///
/// # Errors
/// A layout that does not check, a lake that has nothing of the month, an authority that it does not know; a query that
/// failed, after the report was written without it.
pub async fn run(args: ReportArgs) -> Result<(), Failure> {
    // Before the work, lest it be in vain.
    let browser = args.pdf.then(pdf::Browser::find).transpose()?;
    let past = past_args(&args);
    let mut layout = None;
    let walk = Walk::open_for(&past, |checked| {
        let found = Layout::load(&past.folders.queries, &checked.catalogue).map_err(Failure::usage)?;
        let names: Vec<String> = found.metrics(&checked.catalogue).into_iter().collect();
        layout = Some(found);
        chosen(checked, &names)
    });
    let mut walk = walk.await?;
    let layout = layout.expect("it was loaded to choose by");
    let ends_at = walk.lake_ends_at();
    if ends_at < args.month.begins_after() {
        return Err(Failure::refused(format!(
            "nothing of {} is in the lake: its newest change was recorded {}\nhint: name an earlier month, or load what is missing",
            args.month,
            in_words(ends_at)
        )));
    }
    let audience = if args.publish {
        Audience::Public
    } else {
        Audience::Inside
    };
    if args.publish {
        walk = walk.for_publication();
    }
    let moments: Vec<Moment> = args.month.ends(*layout.months.get_ref());
    let bar = progress::of_steps(moments.len());
    let mut months = Vec::new();
    let dates = args.month.dates(moments.len());
    let last = Moment::end_of(args.month.last_day());
    let take = async |seen: crate::past::Seen| {
        months.push(MonthEnd {
            date: dates[months.len()],
            metrics: seen.metrics,
        });
        Ok(())
    };
    let failures = go_through(&mut walk, moments, &bar, take).await?;
    let found = &months.last().expect("a layout has at least a year of months").metrics;
    if args.publish {
        tell_what_is_withheld(found);
    }
    let id = whose(args.authority.as_deref(), found)?;
    let authority = named(walk.checked(), &layout, &past.folders.queries, id).await?;
    let request = Request {
        layout: &layout,
        catalogue: &walk.checked().catalogue,
        audience,
        authority,
        months: &months,
        known_at: args.known_at.as_deref().map(known_in_words).transpose()?,
        recorded_up_to: in_words(ends_at.min(last.at)),
        ends_early: ends_at < last.at && day_of(ends_at) < args.month.last_day(),
        prepared_on: Day::today().0,
        version: env!("CARGO_PKG_VERSION"),
    };
    let report = Report::new(&request);
    write(&args, &report, browser.as_ref())?;
    failures.result()
}

fn past_args(args: &ReportArgs) -> PastArgs {
    PastArgs {
        names: Vec::new(),
        lake: args.lake.clone(),
        known_at: args.known_at.clone(),
        assume_known: false,
        folders: args.folders.clone(),
    }
}

/// The authority that was asked for, or the only one that the lake knows.
fn whose(asked: Option<&str>, metrics: &[Evaluated]) -> Result<String, Failure> {
    let known: Vec<String> = authorities(metrics).into_iter().collect();
    let list = known.join(", ");
    match (asked, known.as_slice()) {
        (Some(asked), _) if known.iter().any(|id| id == asked) => Ok(asked.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (_, []) => Err(Failure::failed(
            "no metric of the report has a number for any authority at the end of the month\n\
             hint: `casewatch metrics --as-of` says of each metric why",
        )),
        (Some(asked), _) => Err(Failure::usage(format!(
            "--authority: {asked} is not in the lake\nhint: it has {list}"
        ))),
        (None, _) => Err(Failure::usage(format!(
            "the lake has several authorities\nhint: name one of {list} with --authority"
        ))),
    }
}

/// What the authority is called, by the layout's own SQL.
async fn named(checked: &Checked, layout: &Layout, queries: &Path, id: String) -> Result<Authority, Failure> {
    let path = layout.authorities_in(queries);
    let in_file = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
    let sql = std::fs::read_to_string(&path).map_err(|error| in_file(error.to_string()))?;
    let answer = checked.engine.session(None, None).sql(&sql).await;
    let answer = answer.map_err(|error| in_file(error.to_string()))?;
    let batches = answer.collect().await.map_err(|error| in_file(error.to_string()))?;
    for batch in &batches {
        let [ids, names, regions] = ["authority", "name", "region"].map(|column| text_column(batch, column));
        let (ids, names, regions) = (
            ids.map_err(in_file)?,
            names.map_err(in_file)?,
            regions.map_err(in_file)?,
        );
        if let Some(row) = ids.iter().position(|found| found.as_ref() == Some(&id)) {
            let name = names[row].clone().unwrap_or_else(|| id.clone());
            let region = regions[row].clone();
            return Ok(Authority { id, name, region });
        }
    }
    let (name, region) = (id.clone(), None);
    Ok(Authority { id, name, region })
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<Vec<Option<String>>, String> {
    let column = batch.column_by_name(name);
    let column = column.ok_or_else(|| format!("it yields no column \"{name}\""))?;
    let texts = cast(column, &DataType::Utf8).map_err(|error| format!("column \"{name}\": {error}"))?;
    let texts = texts.as_string::<i32>();
    Ok((0..texts.len())
        .map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned()))
        .collect())
}

/// Whoever makes a report for the public sees why a metric is not in it; the report cannot say it, for reasons quote numbers.
fn tell_what_is_withheld(metrics: &[Evaluated]) {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for evaluated in metrics {
        if let Reading::Withheld(reason) = &evaluated.reading {
            reasons.entry(reason).or_default().push(&evaluated.definition.name.name);
        }
    }
    for (reason, names) in reasons {
        eprintln!("note: not published: {}: {reason}", names.join(", "));
    }
}

fn write(args: &ReportArgs, report: &Report, browser: Option<&pdf::Browser>) -> Result<(), Failure> {
    if args.format == ReportOutput::Json {
        let text = serde_json::to_string_pretty(report).map_err(Failure::failed)? + "\n";
        return match &args.out {
            Some(path) => put(path, text.as_bytes()),
            None => std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output),
        };
    }
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| default_name(args, &report.authority));
    put(&path, report.html().as_bytes())?;
    println!("{}", path.display());
    if let Some(browser) = browser {
        let _printing = progress::Spinner::new("printing");
        let pdf = path.with_extension("pdf");
        browser.print(&path, &pdf)?;
        println!("{}", pdf.display());
    }
    Ok(())
}

fn default_name(args: &ReportArgs, authority: &Authority) -> PathBuf {
    // The code of an authority comes out of data.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let id: String = authority
        .id
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let public = if args.publish { "-public" } else { "" };
    format!("report-{id}-{}{public}.html", args.month.number()).into()
}

/// Puts a whole file in place of what stood there.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let unwritten = |error: std::io::Error| {
        Failure::failed(format!(
            "{}: cannot be written: {error}\nhint: --out names another place",
            path.display()
        ))
    };
    let mut file = tempfile::Builder::new();
    let file = file.prefix(".report-").permissions(readable_by_all());
    let mut file: NamedTempFile = file.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(unwritten)?;
    file.write_all(bytes).map_err(unwritten)?;
    file.persist(path).map_err(|error| unwritten(error.error))?;
    Ok(())
}

/// As any new file: the umask takes from it.
fn readable_by_all() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

/// A moment as people in London read it.
fn in_words(at: AsOf) -> String {
    match chrono::DateTime::from_timestamp_micros(at.0.0) {
        Some(moment) => {
            let local = moment.with_timezone(&chrono_tz::Europe::London);
            local.format("%-d %B %Y at %H:%M").to_string()
        }
        None => RecordedAt(at.0.0).to_string(),
    }
}

fn day_of(at: AsOf) -> chrono::NaiveDate {
    let moment = chrono::DateTime::from_timestamp_micros(at.0.0).unwrap_or_default();
    moment.with_timezone(&chrono_tz::Europe::London).date_naive()
}

fn known_in_words(text: &str) -> Result<String, Failure> {
    let moment = Moment::parse("--known-at", text)?;
    Ok(match moment.text.parse::<chrono::NaiveDate>() {
        Ok(day) => format!("the end of {}", casewatch_report::day(day)),
        Err(_) => in_words(moment.at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_london_reads_them() {
        let summer: AsOf = "2018-07-01T08:30:00Z".parse().unwrap();
        assert_eq!(in_words(summer), "1 July 2018 at 09:30");
        assert_eq!(
            day_of("2018-06-30T23:30:00Z".parse().unwrap()).to_string(),
            "2018-07-01"
        );
        assert_eq!(known_in_words("2019-02-28").unwrap(), "the end of 28 February 2019");
    }
}
