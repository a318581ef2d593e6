//! Inline rows to tables at a moment: the rows become a history, and the live crate's own fold makes the present of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_empty_array, new_null_array};
use arrow::datatypes::DataType;
use casewatch_contract::{Column, Contract, RecordedAt, Table, TableName, system};
use casewatch_live::{Cut, Present, fold_at};
use datafusion::common::ScalarValue;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use toml::Value;

use super::format::{TestCase, TestFile, text_of};
use super::moment::{days_of, parse_date, parse_start};
use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// 2000-01-01T00:00:00Z: when a row that does not say so was recorded, and what a date it does not give is.
const LONG_AGO_MICROS: i64 = 946_684_800_000_000;
const LONG_AGO_DAYS: i32 = 10_957;
/// What required text is where a row and the defaults leave it out, so that it agrees everywhere.
const PLACEHOLDER: &str = "test";

/// The changes of each table that a test's rows stand for, checked against the contract.
pub struct History {
    tables: BTreeMap<TableName, Vec<Change>>,
}

struct Change {
    cells: Vec<ScalarValue>,
    op: String,
    recorded_at: i64,
}

impl History {
    pub fn read(file: &TestFile, test: &TestCase, contract: &Contract) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let mut tables = BTreeMap::new();
        let place = |word: &str| file.file.find_word(word, test.span.line).unwrap_or(test.span);
        for name in &test.not_supplied {
            if contract.table(name).is_none() {
                faults.push(unknown_table(&file.file, place(name), name, contract));
            }
        }
        for (name, rows) in &test.tables {
            let Some(table) = contract.table(name) else {
                faults.push(unknown_table(&file.file, place(name), name, contract));
                continue;
            };
            let defaults = file.defaults.get(name);
            let mut changes = Vec::new();
            for (index, row) in rows.iter().enumerate() {
                match change(table, index + 1, row, defaults) {
                    Ok(change) => changes.push(change),
                    Err(refusal) => {
                        let message = format!("{name}, row {}: {}", index + 1, refusal.message);
                        let fault = file
                            .file
                            .fault(place(&refusal.word), message)
                            .expected(refusal.expected);
                        let columns = table.columns.iter().map(|column| column.name.as_str());
                        faults.push(fault.suggest(&refusal.word, columns));
                    }
                }
            }
            tables.insert(table.name.clone(), changes);
        }
        for name in file.defaults.keys().filter(|name| contract.table(name).is_none()) {
            let span = file.file.find_word(name, 1).unwrap_or(Span::START);
            faults.push(unknown_table(&file.file, span, name, contract));
        }
        if faults.is_empty() {
            Ok(Self { tables })
        } else {
            Err(faults)
        }
    }

    /// Every table as it was known then, at one cut.
    pub async fn cut(&self, test: &TestCase, contract: &Contract, generation: u64) -> Result<Cut, String> {
        let mut tables = BTreeMap::new();
        for table in contract.tables() {
            let changes = self.tables.get(&table.name).map_or(&[][..], Vec::as_slice);
            let present = fold(table, changes, test).await?;
            tables.insert(table.name.clone(), Arc::new(present.with_generation(generation)));
        }
        let mut cut = Cut::of(RecordedAt(test.known_at), tables);
        cut.generation = generation;
        cut.supplied
            .retain(|name| !test.not_supplied.iter().any(|absent| *absent == **name));
        Ok(cut)
    }
}

async fn fold(table: &Arc<Table>, changes: &[Change], test: &TestCase) -> Result<Present, String> {
    let batch = history_batch(table, changes).map_err(|error| error.to_string())?;
    let schema = batch.schema();
    let stream = RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)]));
    fold_at(
        table,
        Box::pin(stream),
        RecordedAt(test.known_at),
        RecordedAt(test.as_of),
        None,
    )
    .await
    .map_err(|error| error.to_string())
}

/// The changes in the lake's form, in the order in which they were recorded, then written.
fn history_batch(table: &Table, changes: &[Change]) -> Result<RecordBatch, datafusion::error::DataFusionError> {
    let mut order: Vec<&Change> = changes.iter().collect();
    order.sort_by_key(|change| change.recorded_at);
    let schema = table.lake_schema();
    let mut columns = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let cell = |(position, change): (usize, &&Change)| match field.name().as_str() {
            _ if index < table.columns.len() => Some(change.cells[index].clone()),
            system::OP => Some(ScalarValue::from(change.op.as_str())),
            system::RECORDED_AT | system::INGESTED_AT => Some(moment(change.recorded_at)),
            system::SEQ => Some(ScalarValue::Binary(Some((position as u64).to_be_bytes().to_vec()))),
            system::SOURCE | system::CLUSTER | system::TOPIC => Some(ScalarValue::from(PLACEHOLDER)),
            system::PARTITION | system::EPOCH => Some(ScalarValue::from(0_i32)),
            system::OFFSET => Some(ScalarValue::from(position as i64)),
            _ => None,
        };
        let cells: Option<Vec<ScalarValue>> = order.iter().enumerate().map(cell).collect();
        let column: ArrayRef = match cells {
            Some(cells) if !cells.is_empty() => ScalarValue::iter_to_array(cells)?,
            Some(_) => new_empty_array(field.data_type()),
            None => new_null_array(field.data_type(), order.len()),
        };
        columns.push(column);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn moment(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::from("UTC")))
}

struct Refusal {
    word: String,
    message: String,
    expected: String,
}

fn change(table: &Table, number: usize, row: &toml::Table, defaults: Option<&toml::Table>) -> Result<Change, Refusal> {
    let mut op = "u".to_owned();
    let mut recorded_at = LONG_AGO_MICROS;
    let given = defaults.into_iter().flatten().chain(row);
    let mut values: BTreeMap<&str, &Value> = BTreeMap::new();
    for (name, value) in given {
        match name.as_str() {
            system::OP => op = text_of(value),
            system::RECORDED_AT => {
                let text = text_of(value);
                recorded_at = parse_start(&text).ok_or_else(|| refuse(name, &text, "a moment"))?;
            }
            _ if table.column(name).is_some() => {
                values.insert(name, value);
            }
            _ => {
                let message = format!("no column \"{name}\"");
                let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                return Err(Refusal {
                    word: name.clone(),
                    message,
                    expected: names.join(", "),
                });
            }
        }
    }
    if !["c", "u", "r", "d"].contains(&op.as_str()) {
        return Err(refuse(system::OP, &op, "c, u, r or d"));
    }
    let mut cells = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        let is_key = table.key.contains(&index);
        cells.push(match values.get(column.name.as_str()) {
            Some(value) => cell(column, value)?,
            None => placeholder(table, column, is_key, number),
        });
    }
    Ok(Change { cells, op, recorded_at })
}

fn refuse(word: &str, found: &str, expected: &str) -> Refusal {
    Refusal {
        word: word.to_owned(),
        message: format!("{word} is {found}"),
        expected: expected.to_owned(),
    }
}

/// What a column is where neither the row nor the defaults say.
fn placeholder(table: &Table, column: &Column, is_key: bool, number: usize) -> ScalarValue {
    let null = || ScalarValue::try_new_null(&column.data_type).expect("columns have types that have a null");
    if column.nullable && !is_key {
        return null();
    }
    match &column.data_type {
        DataType::Utf8 if is_key => ScalarValue::from(format!("{}-{number}", table.name)),
        DataType::Utf8 => {
            let first = column.symbols.as_ref().and_then(|symbols| symbols.first());
            ScalarValue::from(first.map_or(PLACEHOLDER, String::as_str))
        }
        DataType::Boolean => ScalarValue::from(false),
        DataType::Int32 => ScalarValue::from(0_i32),
        DataType::Int64 => ScalarValue::from(0_i64),
        DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(0), *precision, *scale),
        DataType::Date32 => ScalarValue::Date32(Some(LONG_AGO_DAYS)),
        DataType::Timestamp(..) => moment(LONG_AGO_MICROS),
        _ => null(),
    }
}

fn cell(column: &Column, value: &Value) -> Result<ScalarValue, Refusal> {
    let text = text_of(value);
    let refused = |expected: &str| refuse(&column.name, &text, expected);
    match &column.data_type {
        DataType::Utf8 => {
            if let Some(symbols) = &column.symbols
                && !symbols.contains(&text)
            {
                return Err(refused(&symbols.join(", ")));
            }
            Ok(ScalarValue::from(text))
        }
        DataType::Boolean => value
            .as_bool()
            .map(ScalarValue::from)
            .ok_or_else(|| refused("true or false")),
        DataType::Int32 => {
            let number = value.as_integer().and_then(|number| i32::try_from(number).ok());
            number.map(ScalarValue::from).ok_or_else(|| refused("a whole number"))
        }
        DataType::Int64 => value
            .as_integer()
            .map(ScalarValue::from)
            .ok_or_else(|| refused("a whole number")),
        DataType::Decimal128(precision, scale) => {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|number| number as f64));
            let number = number.ok_or_else(|| refused("a number"))?;
            let scaled = (number * 10_f64.powi(i32::from(*scale))).round() as i128;
            Ok(ScalarValue::Decimal128(Some(scaled), *precision, *scale))
        }
        DataType::Date32 => {
            let date = parse_date(&text).ok_or_else(|| refused("a date such as \"2018-10-17\""))?;
            Ok(ScalarValue::Date32(Some(days_of(date))))
        }
        DataType::Timestamp(..) => parse_start(&text)
            .map(moment)
            .ok_or_else(|| refused("a moment such as \"2018-10-17T09:30:00Z\"")),
        other => Err(refused(&format!("nothing: tests cannot write {other}"))),
    }
}

fn unknown_table(file: &SourceFile, span: Span, name: &str, contract: &Contract) -> Diagnostic {
    let names: Vec<&str> = contract.tables().map(|table| table.name.as_str()).collect();
    let fault = file
        .fault(span, format!("no table \"{name}\""))
        .expected(names.join(", "));
    fault.suggest(name, names.iter().copied())
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Date32Type, Decimal128Type, TimestampMicrosecondType};

    use super::*;
    use crate::lineage::tests::contract;

    fn file(tables: &str) -> TestFile {
        let text = format!(
            "[defaults.contracts]\nfte = 0.5\n[[test]]\nname = \"t\"\nas_of = \"2018-10-17\"\nknown_at = \"2018-10-31\"\n\
             not_supplied = [\"posts\"]\n[test.tables]\n{tables}\n[[test.expect]]\nview = \"v\"\nrows = []\n"
        );
        let mut faults = Vec::new();
        TestFile::parse(SourceFile::new("t.toml", text), &mut faults).unwrap_or_else(|| panic!("{faults:?}"))
    }

    async fn cut(tables: &str) -> Cut {
        let file = file(tables);
        let history = History::read(&file, &file.tests[0], &contract()).unwrap_or_else(|faults| panic!("{faults:?}"));
        history.cut(&file.tests[0], &contract(), 7).await.unwrap()
    }

    fn column(cut: &Cut, table: &str, column: &str) -> Vec<Option<String>> {
        let present = &cut.tables[table];
        let texts = present.batches.iter().flat_map(|batch| {
            let values = arrow::compute::cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
            values
                .as_string::<i32>()
                .iter()
                .map(|value| value.map(str::to_owned))
                .collect::<Vec<_>>()
        });
        texts.collect()
    }

    #[tokio::test]
    async fn rows_give_only_the_columns_that_matter() {
        let cut = cut(
            "contracts = [{ worker_id = \"w1\", started_on = \"2018-01-31\" }, {}]\n\
                       cases = [{ opened_at = \"2018-07-01\" }]",
        )
        .await;
        let batch = &cut.tables["contracts"].batches[0];
        assert_eq!(
            column(&cut, "contracts", "contract_id"),
            [Some("contracts-1".into()), Some("contracts-2".into())]
        );
        assert_eq!(
            column(&cut, "contracts", "worker_id"),
            [Some("w1".into()), Some("test".into())]
        );
        assert_eq!(column(&cut, "contracts", "employment")[0].as_deref(), Some("permanent"));
        assert_eq!(column(&cut, "contracts", "ended_on"), [None, None]);
        let fte = batch
            .column_by_name("fte")
            .unwrap()
            .as_primitive::<Decimal128Type>()
            .value(0);
        assert_eq!(fte, 500, "a default of the file, as a decimal of scale 3");
        assert_eq!(
            batch
                .column_by_name("started_on")
                .unwrap()
                .as_primitive::<Date32Type>()
                .value(0),
            17_562
        );
        let opened = cut.tables["cases"].batches[0]
            .column_by_name("opened_at")
            .unwrap()
            .clone();
        let midnight = parse_start("2018-06-30T23:00:00Z").unwrap();
        assert_eq!(
            opened.as_primitive::<TimestampMicrosecondType>().value(0),
            midnight,
            "00:00 in London"
        );
    }

    #[tokio::test]
    async fn what_was_recorded_after_known_at_is_not_seen_and_the_last_recorded_version_wins() {
        let cut = cut(
            "transfers = [\n{ transfer_id = \"a\", to_team_id = \"late\", _recorded_at = \"2018-11-05\" },\n\
             { transfer_id = \"a\", to_team_id = \"new\", _recorded_at = \"2018-10-05\" },\n\
             { transfer_id = \"a\", to_team_id = \"old\" },\n\
             { transfer_id = \"b\" }, { transfer_id = \"b\", _op = \"d\", _recorded_at = \"2018-10-01\" }]",
        )
        .await;
        assert_eq!(column(&cut, "transfers", "to_team_id"), [Some("new".to_owned())]);
    }

    #[tokio::test]
    async fn a_column_changed_in_place_takes_the_version_of_the_as_of() {
        let cut = cut(
            "cases = [{ case_id = \"k\", team_id = \"before\", closure_reason = \"RC1\", _recorded_at = \"2018-10-01\" },\n\
             { case_id = \"k\", team_id = \"after\", closure_reason = \"RC2\", _recorded_at = \"2018-10-25\" }]",
        )
        .await;
        assert_eq!(column(&cut, "cases", "team_id"), [Some("before".to_owned())]);
        assert_eq!(column(&cut, "cases", "closure_reason"), [Some("RC2".to_owned())]);
    }

    #[tokio::test]
    async fn every_table_counts_as_supplied_but_those_named() {
        let cut = cut("").await;
        assert!(cut.supplied.contains("visits") && !cut.supplied.contains("posts"));
        assert_eq!(cut.tables["visits"].rows, 0);
    }

    #[test]
    fn a_wrong_table_column_or_value_is_refused_with_its_place() {
        let refused = |tables: &str| {
            let file = file(tables);
            let faults = History::read(&file, &file.tests[0], &contract()).err().unwrap();
            (faults[0].line, faults[0].message.clone(), faults[0].hint.clone())
        };
        let (line, message, hint) = refused("case = [{}]");
        assert_eq!((line, message.as_str()), (9, "no table \"case\""));
        assert_eq!(hint.as_deref(), Some("did you mean \"cases\"?"));
        let (line, message, hint) = refused("cases = [\n{ case_id = \"k\", opnened_at = \"2018-01-01\" }]");
        assert_eq!((line, message.as_str()), (10, "cases, row 1: no column \"opnened_at\""));
        assert_eq!(hint.as_deref(), Some("did you mean \"opened_at\"?"));
        assert_eq!(
            refused("cases = [{ closure_reason = \"RC99\" }]").1,
            "cases, row 1: closure_reason is RC99"
        );
        assert_eq!(
            refused("absences = [{ started_on = \"soon\" }]").1,
            "absences, row 1: started_on is soon"
        );
    }
}
