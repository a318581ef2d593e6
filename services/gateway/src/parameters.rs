//! Values that a client binds, read by their type in either form, and put into the statement as literals.
//!
//! The protocol keeps values apart from the text, and so do we: they are parsed to values here and become nodes of the
//! parsed statement, never text of it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use bytes::Buf;
use chrono::{DateTime, Duration, NaiveDate, NaiveTime};
use datafusion::sql::sqlparser::ast::{
    Array, CastKind, DataType as SqlType, ExactNumberInfo, Expr, Ident, ObjectName, Statement, TimezoneInfo, Value,
    visit_expressions_mut,
};

use crate::error::{Failure, state};
use crate::types::{self, Described, Format, PgType};

/// The type of a parameter: as the client declared it, else as the statement needs it, else text.
pub(crate) fn type_of(declared: u32, needed: Option<&DataType>) -> u32 {
    if declared != 0 && declared != types::UNKNOWN.oid {
        return declared;
    }
    match needed {
        Some(needed) => Described::of(needed).oid(),
        None => types::TEXT.oid,
    }
}

/// Reads the value of parameter `number` as a literal of SQL.
///
/// # Errors
/// A value that is none of its type.
pub(crate) fn literal(number: usize, oid: u32, format: Format, value: Option<&[u8]>) -> Result<Expr, Failure> {
    let fault = |what: &str| {
        Failure::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("parameter ${number} cannot be read: {what}"),
        )
    };
    let Some(value) = value else {
        return Ok(match types::by_oid(oid).and_then(sql_type) {
            Some(sql_type) => cast(Value::Null, sql_type),
            None => Expr::Value(Value::Null.into()),
        });
    };
    if let Some(element) = types::element_of(oid) {
        let items = match format {
            Format::Text => text_items(text_of(value).map_err(fault)?).ok_or_else(|| fault("it is no array"))?,
            Format::Binary => binary_items(element, value).map_err(|what| fault(&what))?,
        };
        let items = items.into_iter().map(|item| match item {
            Some(item) => of_text(element, item),
            None => Ok(Expr::Value(Value::Null.into())),
        });
        let elem = items.collect::<Result<_, _>>().map_err(|what| fault(&what))?;
        return Ok(Expr::Array(Array { elem, named: true }));
    }
    let Some(known) = types::by_oid(oid) else {
        return Err(fault(&format!("its type (number {oid}) is not known here")));
    };
    let text = match format {
        Format::Text => text_of(value).map_err(fault)?.to_owned(),
        Format::Binary => binary_text(known, value).map_err(|what| fault(&what))?,
    };
    of_text(known, text).map_err(|what| fault(&what))
}

/// Puts literals where the statement has `$1`, `$2` and so on.
pub(crate) fn bind(statement: &mut Statement, values: &BTreeMap<usize, Expr>) {
    let _ = visit_expressions_mut(statement, |expression| {
        if let Expr::Value(value) = expression
            && let Value::Placeholder(name) = &value.value
            && let Some(value) = name.strip_prefix('$').and_then(|number| number.parse().ok())
            && let Some(literal) = values.get(&value)
        {
            *expression = literal.clone();
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The highest number of a parameter in a statement.
pub(crate) fn count(statement: &Statement) -> usize {
    let mut highest = 0;
    let _ = datafusion::sql::sqlparser::ast::visit_expressions(statement, |expression| {
        if let Expr::Value(value) = expression
            && let Value::Placeholder(name) = &value.value
            && let Some(number) = name.strip_prefix('$').and_then(|number| number.parse().ok())
        {
            highest = highest.max(number);
        }
        ControlFlow::<()>::Continue(())
    });
    highest
}

fn text_of(value: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(value).map_err(|_| "it is not UTF-8")
}

fn of_text(known: &PgType, text: String) -> Result<Expr, String> {
    let name = known.name;
    let wrong = || format!("`{text}` is no {name}");
    Ok(match name {
        "bool" => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" | "y" => Expr::Value(Value::Boolean(true).into()),
            "f" | "false" | "0" | "off" | "no" | "n" => Expr::Value(Value::Boolean(false).into()),
            _ => return Err(wrong()),
        },
        "int2" | "int4" | "int8" | "oid" => {
            text.trim().parse::<i64>().map_err(|_| wrong())?;
            number(text.trim())
        }
        "float4" | "float8" => {
            text.trim().parse::<f64>().map_err(|_| wrong())?;
            cast(Value::SingleQuotedString(text), SqlType::DoublePrecision)
        }
        "numeric" => {
            let trimmed = text.trim();
            let is_number = trimmed.parse::<f64>().is_ok_and(f64::is_finite) && !trimmed.contains(['e', 'E']);
            if !is_number {
                return Err(wrong());
            }
            let scale = trimmed.split_once('.').map_or(0, |(_, places)| places.len());
            let scale = i64::try_from(scale).map_err(|_| wrong())?;
            let exact = SqlType::Numeric(ExactNumberInfo::PrecisionAndScale(38, scale));
            cast(Value::SingleQuotedString(trimmed.to_owned()), exact)
        }
        _ => match sql_type(known) {
            Some(sql_type) => cast(Value::SingleQuotedString(text), sql_type),
            None => Expr::Value(Value::SingleQuotedString(text).into()),
        },
    })
}

/// The types that a text alone does not make clear.
fn sql_type(known: &PgType) -> Option<SqlType> {
    Some(match known.name {
        "bool" => SqlType::Boolean,
        "int2" | "int4" | "int8" | "oid" => SqlType::BigInt(None),
        "float4" | "float8" | "numeric" => SqlType::DoublePrecision,
        "date" => SqlType::Date,
        "time" => SqlType::Time(None, TimezoneInfo::None),
        "timestamp" => SqlType::Timestamp(None, TimezoneInfo::None),
        "timestamptz" => SqlType::Timestamp(None, TimezoneInfo::WithTimeZone),
        "bytea" => SqlType::Bytea,
        "interval" => SqlType::Interval {
            fields: None,
            precision: None,
        },
        _ => return None,
    })
}

fn cast(value: Value, data_type: SqlType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(value.into())),
        data_type,
        array: false,
        format: None,
    }
}

fn number(digits: &str) -> Expr {
    match digits.strip_prefix('-') {
        Some(digits) => Expr::Nested(Box::new(Expr::UnaryOp {
            op: datafusion::sql::sqlparser::ast::UnaryOperator::Minus,
            expr: Box::new(number(digits)),
        })),
        None => Expr::Value(Value::Number(digits.trim_start_matches('+').to_owned(), false).into()),
    }
}

/// A function's name as the parser gives it.
pub(crate) fn function_name(name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(name)])
}

fn binary_text(known: &PgType, mut value: &[u8]) -> Result<String, String> {
    let expect = |bytes: usize| match value.len() == bytes {
        true => Ok(()),
        false => Err(format!("{} bytes are no {}", value.len(), known.name)),
    };
    Ok(match known.name {
        "bool" => {
            expect(1)?;
            (if value[0] == 0 { "f" } else { "t" }).to_owned()
        }
        "int2" => {
            expect(2)?;
            value.get_i16().to_string()
        }
        "int4" => {
            expect(4)?;
            value.get_i32().to_string()
        }
        "oid" => {
            expect(4)?;
            value.get_u32().to_string()
        }
        "int8" => {
            expect(8)?;
            value.get_i64().to_string()
        }
        "float4" => {
            expect(4)?;
            value.get_f32().to_string()
        }
        "float8" => {
            expect(8)?;
            value.get_f64().to_string()
        }
        "date" => {
            expect(4)?;
            let date = NaiveDate::from_ymd_opt(2000, 1, 1)
                .and_then(|start| start.checked_add_signed(Duration::days(value.get_i32().into())));
            date.ok_or("a date out of range")?.to_string()
        }
        "time" => {
            expect(8)?;
            let micros = value.get_i64();
            let time = NaiveTime::MIN + Duration::microseconds(micros);
            time.format("%H:%M:%S%.6f").to_string()
        }
        "timestamp" | "timestamptz" => {
            expect(8)?;
            let micros = value.get_i64().checked_add(946_684_800_000_000);
            let moment = micros.and_then(DateTime::from_timestamp_micros);
            let zone = if known.name == "timestamptz" { "+00:00" } else { "" };
            let moment = moment.ok_or("a moment out of range")?;
            format!("{}{zone}", moment.format("%Y-%m-%dT%H:%M:%S%.6f"))
        }
        "numeric" => numeric_text(value)?,
        "uuid" => {
            expect(16)?;
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            format!("{a}-{b}-{c}-{d}-{e}")
        }
        "bytea" => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
        "jsonb" => text_of(value.get(1..).unwrap_or_default())?.to_owned(),
        "interval" => return Err("an interval in binary form; send it as text".to_owned()),
        _ => text_of(value)?.to_owned(),
    })
}

fn numeric_text(mut value: &[u8]) -> Result<String, String> {
    let short = || "too few bytes for a numeric".to_owned();
    if value.len() < 8 {
        return Err(short());
    }
    let groups = usize::from(value.get_u16());
    let weight = i32::from(value.get_i16());
    let sign = value.get_u16();
    let scale = usize::from(value.get_u16());
    if value.len() < groups * 2 {
        return Err(short());
    }
    if sign != 0 && sign != 0x4000 {
        return Err("a numeric that is no number".to_owned());
    }
    let digits: Vec<u16> = (0..groups).map(|_| value.get_u16()).collect();
    let group_at = |place: i32| {
        usize::try_from(place)
            .ok()
            .and_then(|place| digits.get(place))
            .copied()
            .unwrap_or(0)
    };
    let mut whole: String = (0..=weight).map(|place| format!("{:04}", group_at(place))).collect();
    whole = whole.trim_start_matches('0').to_owned();
    if whole.is_empty() {
        whole.push('0');
    }
    let needed = i32::try_from(scale.div_ceil(4)).map_err(|_| short())?;
    let places: String = (1..=needed)
        .map(|place| format!("{:04}", group_at(weight + place)))
        .collect();
    let minus = if sign == 0x4000 { "-" } else { "" };
    Ok(match scale {
        0 => format!("{minus}{whole}"),
        _ => format!("{minus}{whole}.{}", &places[..scale]),
    })
}

/// The items of `{a,"b c",NULL}`: one dimension.
pub(crate) fn text_items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut characters = inner.chars().peekable();
    if characters.peek().is_none() {
        return Some(items);
    }
    loop {
        let mut item = String::new();
        let mut quoted = false;
        loop {
            match characters.next() {
                Some('"') => {
                    quoted = true;
                    loop {
                        match characters.next()? {
                            '"' => break,
                            '\\' => item.push(characters.next()?),
                            other => item.push(other),
                        }
                    }
                }
                Some('{') => return None,
                Some('\\') => item.push(characters.next()?),
                Some(',') => {
                    items.push(item_of(item, quoted));
                    break;
                }
                None => {
                    items.push(item_of(item, quoted));
                    return Some(items);
                }
                Some(other) => item.push(other),
            }
        }
    }
}

fn item_of(item: String, quoted: bool) -> Option<String> {
    match quoted {
        true => Some(item),
        false if item.trim().eq_ignore_ascii_case("null") => None,
        false => Some(item.trim().to_owned()),
    }
}

fn binary_items(element: &PgType, mut value: &[u8]) -> Result<Vec<Option<String>>, String> {
    let short = || "too few bytes for an array".to_owned();
    if value.len() < 12 {
        return Err(short());
    }
    let dimensions = value.get_i32();
    value.advance(8);
    match dimensions {
        0 => return Ok(Vec::new()),
        1 => {}
        _ => return Err("an array of more than one dimension".to_owned()),
    }
    if value.len() < 8 {
        return Err(short());
    }
    let count = usize::try_from(value.get_i32()).map_err(|_| short())?;
    value.advance(4);
    let mut items = Vec::new();
    for _ in 0..count {
        if value.len() < 4 {
            return Err(short());
        }
        let Ok(length) = usize::try_from(value.get_i32()) else {
            items.push(None);
            continue;
        };
        if value.len() < length {
            return Err(short());
        }
        items.push(Some(binary_text(element, &value[..length])?));
        value.advance(length);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn bound(oid: u32, format: Format, value: &[u8]) -> String {
        literal(1, oid, format, Some(value)).unwrap().to_string()
    }

    #[test]
    fn a_value_reads_the_same_in_both_forms() {
        assert_eq!(bound(23, Format::Binary, &7_i32.to_be_bytes()), "7");
        assert_eq!(bound(23, Format::Text, b"7"), "7");
        assert_eq!(bound(20, Format::Binary, &(-7_i64).to_be_bytes()), "(-7)");
        assert_eq!(bound(16, Format::Binary, &[1]), "true");
        // 17 October 2018 is 6,864 days after 2000.
        let date = bound(1082, Format::Binary, &6_864_i32.to_be_bytes());
        assert_eq!(date, bound(1082, Format::Text, b"2018-10-17"));
        let packed = [0, 3, 0, 1, 0, 0, 0, 4, 0, 1, 9, 41, 26, 133];
        assert_eq!(
            bound(1700, Format::Binary, &packed),
            bound(1700, Format::Text, b"12345.6789")
        );
        let array = [
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, b'a', 255, 255, 255, 255,
        ];
        assert_eq!(
            bound(1009, Format::Binary, &array),
            bound(1009, Format::Text, b"{a,NULL}")
        );
    }

    #[test]
    fn what_is_none_of_its_type_is_refused_by_its_number() {
        for (oid, value) in [(23, "seven"), (16, "maybe"), (1700, "1e5"), (1007, "{1")] {
            let refused = literal(2, oid, Format::Text, Some(value.as_bytes())).unwrap_err();
            assert_eq!(refused.code, state::INVALID_TEXT_REPRESENTATION);
            assert!(refused.message.contains("$2"), "{}", refused.message);
        }
        assert!(literal(1, 23, Format::Binary, Some(&[1, 2])).is_err());
    }

    #[test]
    fn a_value_can_never_become_a_part_of_the_statement() {
        let sql = "select * from t where a = $1 and b < $2";
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        assert_eq!(count(&statement), 2);
        let evil = literal(1, 25, Format::Text, Some(b"x' or '1' = '1")).unwrap();
        let values = BTreeMap::from([(1, evil), (2, number("5"))]);
        bind(&mut statement, &values);
        assert_eq!(
            statement.to_string(),
            "SELECT * FROM t WHERE a = 'x'' or ''1'' = ''1' AND b < 5"
        );
    }
}
