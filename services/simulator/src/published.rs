//! DfE's figures of the children's social work workforce, read from a file of the shape in which they are published: a
//! row an authority and year, with the numerators and denominators of the rates.
//!
//! Promises: a number is taken as it stands, to a thousandth; a figure that was withheld is none, never 0; a file that
//! cannot be understood is refused with the line and the column.

use std::collections::BTreeMap;
use std::path::Path;

use crate::SimulatorError;

/// Marks that stand for a figure that is withheld, unknown or does not exist.
pub const WITHHELD: [&str; 8] = ["", "c", "u", "x", "z", "low", ":", ".."];

/// Earliest and latest year of a census that the calendar has room for, its staff's first years included.
const YEARS: std::ops::RangeInclusive<i32> = 2012..=2039;
/// No authority of England comes near it; a number above is a slip.
const MOST: f64 = 1_000_000.0;

/// The figures of one authority at 30 September of a year, and of the year to it. Full-time equivalents and days are in
/// thousandths; what was withheld is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedYear {
    /// The calendar year.
    pub year: i32,
    /// Directly employed child-and-family social workers.
    pub in_post: Option<i64>,
    /// Leavers from 1 October to 30 September.
    pub leavers: Option<i64>,
    /// Agency social workers.
    pub agency: Option<i64>,
    /// Vacancies.
    pub vacancy: Option<i64>,
    /// Social workers, agency included, who hold a case.
    pub case_holders: Option<i64>,
    /// Cases that they hold.
    pub cases: Option<i64>,
    /// Days lost to sickness in the year, in full-time equivalents.
    pub days_lost: Option<i64>,
}

/// A whole file: the years of each authority, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedFigures {
    /// By the authority's code, as the file has it.
    pub authorities: BTreeMap<String, Vec<PublishedYear>>,
}

impl PublishedFigures {
    /// Reads a file. Rows of regions and of England are passed over.
    ///
    /// # Errors
    /// A file that cannot be read, lacks a column, holds something that is neither a number nor one of [`WITHHELD`], has
    /// an authority's year twice, contradicts itself, or has no authority.
    pub fn read(path: &Path) -> Result<Self, SimulatorError> {
        let text = std::fs::read_to_string(path).map_err(|source| SimulatorError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let mut place = Place { path, line: 1 };
        let header = reader.headers().map_err(|error| place.unreadable(&error))?.clone();
        let columns = Columns::find(&header, place)?;
        let mut lines: BTreeMap<(String, i32), u64> = BTreeMap::new();
        let mut figures = Self::default();
        for record in reader.records() {
            let record = record.map_err(|error| place.unreadable(&error))?;
            place.line = line_of(&text, &record);
            if record.len() != header.len() {
                let detail = format!("{} fields, where the header has {}", record.len(), header.len());
                return Err(place.refuse(None, detail, "a field with a comma in it stands in quotation marks"));
            }
            let row = Row {
                columns: &columns,
                record: &record,
                place,
            };
            if !row.is_authority() {
                continue;
            }
            let (authority, year) = (row.authority()?, row.figures()?);
            if let Some(first) = lines.insert((authority.clone(), year.year), place.line) {
                let detail = format!("{authority} has a row for {} already, on line {first}", year.year);
                return Err(place.refuse(Some(TIME), detail, "one row an authority and year"));
            }
            figures.authorities.entry(authority).or_default().push(year);
        }
        if figures.authorities.is_empty() {
            let hint = "rows of authorities have `Local authority` as their geographic_level";
            return Err(place.refuse(None, "no row of an authority".to_owned(), hint));
        }
        for years in figures.authorities.values_mut() {
            years.sort_by_key(|year| year.year);
        }
        Ok(figures)
    }

    /// The first and the last year of any authority.
    pub(crate) fn years(&self) -> (i32, i32) {
        let years = self.authorities.values().flatten().map(|year| year.year);
        let last = years.clone().max().unwrap_or(*YEARS.start());
        (years.min().unwrap_or(last), last)
    }
}

/// The line on which a record begins: where the reader stood before it, past the empty lines between.
fn line_of(text: &str, record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

const TIME: &str = "time_period";
const CODE: &str = "new_la_code";
const LEVEL: &str = "geographic_level";
const IN_POST: &str = "inpost_fte";
const LEAVERS: &str = "leavers_fte";
const AGENCY: &str = "agency_fte";
const VACANCY: &str = "vacancy_fte";
const HOLDERS: &str = "case_holders_fte";
const CASES: &str = "cases";
const DAYS_LOST: &str = "working_days_lost_fte";
/// What a file must have; everything else in it is passed over.
const REQUIRED: [&str; 9] = [TIME, CODE, IN_POST, LEAVERS, AGENCY, VACANCY, HOLDERS, CASES, DAYS_LOST];

/// Where columns stand.
struct Columns(BTreeMap<&'static str, usize>);

impl Columns {
    fn find(header: &csv::StringRecord, place: Place<'_>) -> Result<Self, SimulatorError> {
        let mut found = BTreeMap::new();
        for name in REQUIRED.into_iter().chain([LEVEL]) {
            // A spreadsheet may have put a byte order mark before the first name.
            let named = |field: &str| field.trim_start_matches('\u{feff}').trim() == name;
            if let Some(position) = header.iter().position(named) {
                found.insert(name, position);
            }
        }
        let missing: Vec<&str> = REQUIRED.into_iter().filter(|name| !found.contains_key(name)).collect();
        if missing.is_empty() {
            return Ok(Self(found));
        }
        let detail = format!("no column {}", missing.join(", "));
        let hint = "the columns are those of queries/reference/dfe_workforce_local_authority_2017_2022.csv";
        Err(place.refuse(None, detail, hint))
    }
}

/// A line of a file.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    line: u64,
}

impl Place<'_> {
    fn refuse(self, column: Option<&'static str>, detail: String, hint: &str) -> SimulatorError {
        SimulatorError::Figures {
            path: self.path.to_owned(),
            line: self.line,
            column: column.map_or(String::new(), |column| format!(", column {column}")),
            detail,
            hint: hint.to_owned(),
        }
    }

    fn unreadable(self, error: &csv::Error) -> SimulatorError {
        let line = error.position().map_or(self.line, csv::Position::line);
        Place { line, ..self }.refuse(None, error.to_string(), "the file is CSV in UTF-8, with a header")
    }
}

/// One row of a file.
struct Row<'a> {
    columns: &'a Columns,
    record: &'a csv::StringRecord,
    place: Place<'a>,
}

impl Row<'_> {
    fn text(&self, column: &'static str) -> Option<&str> {
        self.record.get(*self.columns.0.get(column)?).map(str::trim)
    }

    fn is_authority(&self) -> bool {
        self.text(LEVEL)
            .is_none_or(|level| level.eq_ignore_ascii_case("local authority"))
    }

    fn authority(&self) -> Result<String, SimulatorError> {
        match self.text(CODE) {
            Some(code) if !WITHHELD.contains(&code) => Ok(code.to_owned()),
            _ => {
                let hint = "the authority's area code, such as E10000021";
                Err(self.place.refuse(Some(CODE), "no code".to_owned(), hint))
            }
        }
    }

    fn year(&self) -> Result<i32, SimulatorError> {
        let text = self.text(TIME).unwrap_or_default();
        match text.parse() {
            Ok(year) if YEARS.contains(&year) => Ok(year),
            _ => {
                let detail = format!("`{text}` is no year from {} to {}", YEARS.start(), YEARS.end());
                Err(self
                    .place
                    .refuse(Some(TIME), detail, "the year of the 30 September that the row is about"))
            }
        }
    }

    /// Thousandths, or none where the figure is withheld.
    fn thousandths(&self, column: &'static str) -> Result<Option<i64>, SimulatorError> {
        let text = self.text(column).unwrap_or_default();
        if WITHHELD.contains(&text) {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if (0.0..=MOST).contains(&number) => Ok(Some((number * 1000.0).round() as i64)),
            _ => {
                let detail = format!("`{text}` is neither a number from 0 on nor a mark of a withheld figure");
                let marks = WITHHELD[1..].join(", ");
                let hint = format!("digits with a point, such as 237.6; or one of {marks}");
                Err(self.place.refuse(Some(column), detail, &hint))
            }
        }
    }

    fn figures(&self) -> Result<PublishedYear, SimulatorError> {
        let cases = self.thousandths(CASES)?;
        if cases.is_some_and(|cases| cases % 1000 != 0) {
            let detail = format!("`{}` is no whole number", self.text(CASES).unwrap_or_default());
            return Err(self.place.refuse(Some(CASES), detail, "cases are counted"));
        }
        let year = PublishedYear {
            year: self.year()?,
            in_post: self.thousandths(IN_POST)?,
            leavers: self.thousandths(LEAVERS)?,
            agency: self.thousandths(AGENCY)?,
            vacancy: self.thousandths(VACANCY)?,
            case_holders: self.thousandths(HOLDERS)?,
            cases: cases.map(|cases| cases / 1000),
            days_lost: self.thousandths(DAYS_LOST)?,
        };
        self.consistent(&year)?;
        Ok(year)
    }

    /// Refuses what no staff could be made of.
    fn consistent(&self, year: &PublishedYear) -> Result<(), SimulatorError> {
        if let (Some(holders), Some(in_post), Some(agency)) = (year.case_holders, year.in_post, year.agency)
            && holders > in_post + agency
        {
            let detail = format!(
                "{} hold cases, and {} are in post or from an agency",
                fte(holders),
                fte(in_post + agency)
            );
            let hint = "those who hold cases are among those in post and the agency's";
            return Err(self.place.refuse(Some(HOLDERS), detail, hint));
        }
        if let (Some(holders), Some(cases)) = (year.case_holders, year.cases)
            && (cases * 1000 < holders || (holders == 0 && cases > 0))
        {
            let detail = format!("{cases} cases for {} who hold at least one each", fte(holders));
            return Err(self
                .place
                .refuse(Some(CASES), detail, "each of them holds at least one case"));
        }
        if year.in_post == Some(0) && year.days_lost.is_some_and(|days| days > 0) {
            let detail = "days lost, and nobody in post to lose them".to_owned();
            return Err(self
                .place
                .refuse(Some(DAYS_LOST), detail, "0, or a mark of a withheld figure"));
        }
        Ok(())
    }
}

fn fte(thousandths: i64) -> String {
    format!("{} full-time equivalents", thousandths as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "time_period,geographic_level,new_la_code,la_name,inpost_fte,leavers_fte,agency_fte,vacancy_fte,\
                          case_holders_fte,cases,working_days_lost_fte";

    fn read(rows: &str) -> Result<PublishedFigures, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("figures.csv");
        std::fs::write(&path, format!("{HEADER}\n{rows}\n")).expect("a file");
        PublishedFigures::read(&path)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "figures.csv"))
    }

    #[test]
    fn numbers_are_read_to_the_thousandth_and_withheld_figures_are_none() {
        let rows = "2019,Local authority,E1,\"Wight, Isle of\",12.5,u,3,x,7.25,90,low\n\
                    2018,Local authority,E1,Wight,11,1,0,0,7,80,20.5\n\
                    2019,Regional,,South,1,1,1,1,1,1,1";
        let figures = read(rows).expect("a good file");
        let years = &figures.authorities["E1"];
        assert_eq!(
            (figures.authorities.len(), years.len(), figures.years()),
            (1, 2, (2018, 2019))
        );
        assert_eq!((years[0].year, years[0].days_lost), (2018, Some(20_500)));
        let expected = PublishedYear {
            year: 2019,
            in_post: Some(12_500),
            leavers: None,
            agency: Some(3000),
            vacancy: None,
            case_holders: Some(7250),
            cases: Some(90),
            days_lost: None,
        };
        assert_eq!(years[1], expected);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_refused_with_line_and_column() {
        let good = "2019,Local authority,E1,A,10,1,2,3,7,90,20";
        for (rows, expected) in [
            (
                "2019,Local authority,E1,A,\"12,5\",1,2,3,7,90,20",
                "line 2, column inpost_fte: `12,5` is neither",
            ),
            (
                "2019,Local authority,E1,A,10,-1,2,3,7,90,20",
                "line 2, column leavers_fte: `-1` is neither",
            ),
            (
                "2019,Local authority,E1,A,10,1,2,NaN,7,90,20",
                "line 2, column vacancy_fte: `NaN` is neither",
            ),
            (
                "2019-20,Local authority,E1,A,10,1,2,3,7,90,20",
                "line 2, column time_period: `2019-20` is no year",
            ),
            (
                "2019,Local authority,,A,10,1,2,3,7,90,20",
                "line 2, column new_la_code: no code",
            ),
            (
                "2019,Local authority,E1,A,10,1,2,3,7,90.5,20",
                "line 2, column cases: `90.5` is no whole number",
            ),
            (
                "2019,Local authority,E1,A,10,1,2,3,12.5,90,20",
                "line 2, column case_holders_fte: 12.5 full-time",
            ),
            (
                "2019,Local authority,E1,A,10,1,2,3,7,6,20",
                "line 2, column cases: 6 cases for 7 full-time",
            ),
            (
                "2019,Local authority,E1,A,0,1,8,3,7,90,20",
                "line 2, column working_days_lost_fte: days lost",
            ),
            (
                "2019,Local authority,E1,A,10",
                "line 2: 5 fields, where the header has 11",
            ),
            (
                "2019,Regional,,South,10,1,2,3,7,90,20",
                "line 2: no row of an authority",
            ),
        ] {
            let said = read(rows).expect_err(rows);
            assert!(said.contains(&format!("figures.csv: {expected}")), "{rows}: {said}");
        }
        let said = read(&format!("{good}\n\n{good}")).expect_err("twice");
        assert!(
            said.contains("line 4, column time_period: E1 has a row for 2019 already, on line 2"),
            "{said}"
        );
    }

    #[test]
    fn a_file_without_a_column_is_refused_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("figures.csv");
        std::fs::write(&path, "time_period,new_la_code,inpost_fte\n").expect("a file");
        let said = PublishedFigures::read(&path)
            .expect_err("columns are missing")
            .to_string();
        assert!(said.contains("line 1: no column leavers_fte, agency_fte"), "{said}");
        let absent = PublishedFigures::read(&folder.path().join("absent.csv")).expect_err("no file");
        assert!(matches!(absent, SimulatorError::File { .. }), "{absent}");
    }
}
