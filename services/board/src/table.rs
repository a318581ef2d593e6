//! A tile as CSV: what it shows now, and its past.

use crate::view::{TileShown, Trend};

/// One line a number: what it is of, when, which part or row, which column.
///
/// # Errors
/// None: memory takes all there is to write. The library's error is passed on all the same.
pub fn csv_of(tile: &TileShown, as_of: &str, trend: Option<&Trend>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["series", "date", "part", "column", "unit", "value"])?;
    let mut line = |series: &str, date: &str, part: &str, column: &str, unit: &str, value: Option<f64>| {
        let value = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        writer.write_record([series, date, &plain(part), &plain(column), unit, &value])
    };
    if tile.value.is_some() || tile.parts.is_empty() && tile.rows.is_empty() {
        line("now", as_of, "", "", &tile.unit, tile.value)?;
    }
    for part in &tile.parts {
        line("now", as_of, &part.title, "", &tile.unit, part.value)?;
    }
    for row in &tile.rows {
        for (column, cell) in tile.columns.iter().zip(&row.cells) {
            line("now", as_of, &row.title, &column.title, &column.unit, *cell)?;
        }
    }
    for (series, points) in trend
        .iter()
        .flat_map(|trend| [("day", &trend.days), ("month", &trend.months)])
    {
        for (date, value) in points {
            line(series, date, "", "", &tile.unit, *value)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Text that no spreadsheet takes for a formula: names come from other systems.
fn plain(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}
