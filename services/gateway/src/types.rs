//! Types of PostgreSQL for the types of Arrow, and how they are described to a client.

use arrow::datatypes::{DataType, Field};
use pgwire::messages::data::FieldDescription;

/// On a field: the name of the type that it is to be described as, where Arrow has no such type.
pub(crate) const TYPE_KEY: &str = "pg.type";

/// A row of PostgreSQL's `pg_type`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PgType {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    /// In bytes; -1 where values differ.
    pub(crate) size: i16,
    /// Of arrays of it; 0 where there are none.
    pub(crate) array_oid: u32,
    /// `typcategory`.
    pub(crate) category: &'static str,
    /// As the standard spells it, where that differs.
    pub(crate) sql_name: &'static str,
}

macro_rules! types {
    ($($constant:ident = $oid:literal, $name:literal, $size:literal, $array:literal, $category:literal, $sql:literal;)*) => {
        $(pub(crate) static $constant: PgType = PgType {
            oid: $oid, name: $name, size: $size, array_oid: $array, category: $category, sql_name: $sql,
        };)*
        /// All that are not arrays.
        pub(crate) static TYPES: &[&PgType] = &[$(&$constant),*];
    };
}

// Object identifiers as in PostgreSQL's src/include/catalog/pg_type.dat: clients know them by heart.
types! {
    BOOL = 16, "bool", 1, 1000, "B", "boolean";
    BYTEA = 17, "bytea", -1, 1001, "U", "bytea";
    CHAR = 18, "char", 1, 1002, "Z", "\"char\"";
    NAME = 19, "name", 64, 1003, "S", "name";
    INT8 = 20, "int8", 8, 1016, "N", "bigint";
    INT2 = 21, "int2", 2, 1005, "N", "smallint";
    INT2VECTOR = 22, "int2vector", -1, 1006, "A", "int2vector";
    INT4 = 23, "int4", 4, 1007, "N", "integer";
    REGPROC = 24, "regproc", 4, 1008, "N", "regproc";
    TEXT = 25, "text", -1, 1009, "S", "text";
    OID = 26, "oid", 4, 1028, "N", "oid";
    XID = 28, "xid", 4, 1011, "U", "xid";
    OIDVECTOR = 30, "oidvector", -1, 1013, "A", "oidvector";
    JSON = 114, "json", -1, 199, "U", "json";
    FLOAT4 = 700, "float4", 4, 1021, "N", "real";
    FLOAT8 = 701, "float8", 8, 1022, "N", "double precision";
    UNKNOWN = 705, "unknown", -2, 0, "X", "unknown";
    BPCHAR = 1042, "bpchar", -1, 1014, "S", "character";
    VARCHAR = 1043, "varchar", -1, 1015, "S", "character varying";
    DATE = 1082, "date", 4, 1182, "D", "date";
    TIME = 1083, "time", 8, 1183, "D", "time without time zone";
    TIMESTAMP = 1114, "timestamp", 8, 1115, "D", "timestamp without time zone";
    TIMESTAMPTZ = 1184, "timestamptz", 8, 1185, "D", "timestamp with time zone";
    INTERVAL = 1186, "interval", 16, 1187, "T", "interval";
    NUMERIC = 1700, "numeric", -1, 1231, "N", "numeric";
    REGCLASS = 2205, "regclass", 4, 2210, "N", "regclass";
    REGTYPE = 2206, "regtype", 4, 2211, "N", "regtype";
    RECORD = 2249, "record", -1, 2287, "P", "record";
    VOID = 2278, "void", 4, 0, "P", "void";
    UUID = 2950, "uuid", 16, 2951, "U", "uuid";
    JSONB = 3802, "jsonb", -1, 3807, "U", "jsonb";
}

pub(crate) fn by_oid(oid: u32) -> Option<&'static PgType> {
    TYPES.iter().copied().find(|known| known.oid == oid)
}

pub(crate) fn by_name(name: &str) -> Option<&'static PgType> {
    let name = name.trim_matches('"');
    TYPES
        .iter()
        .copied()
        .find(|known| known.name == name || known.sql_name == name)
}

/// The type of an array's elements, by the array's own number.
pub(crate) fn element_of(array_oid: u32) -> Option<&'static PgType> {
    TYPES
        .iter()
        .copied()
        .find(|known| known.array_oid == array_oid && array_oid != 0)
}

/// What a type of Arrow is to a client: a type, or an array of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) element: &'static PgType,
    pub(crate) is_array: bool,
    /// `atttypmod`: precision and scale of a numeric, else -1.
    pub(crate) modifier: i32,
}

impl Described {
    pub(crate) fn of(data_type: &DataType) -> Self {
        let (data_type, is_array) = match data_type {
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::FixedSizeList(field, _)
            | DataType::ListView(field)
            | DataType::LargeListView(field) => (field.data_type(), true),
            DataType::Dictionary(_, value) => (value.as_ref(), false),
            other => (other, false),
        };
        let modifier = match data_type {
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                let scale = i32::from((*scale).max(0));
                ((i32::from(*precision) << 16) | scale) + 4
            }
            _ => -1,
        };
        Self {
            element: scalar(data_type),
            is_array,
            modifier,
        }
    }

    pub(crate) fn of_field(field: &Field) -> Self {
        let own = Self::of(field.data_type());
        match field.metadata().get(TYPE_KEY).and_then(|name| by_name(name)) {
            Some(element) => Self { element, ..own },
            None => own,
        }
    }

    pub(crate) fn oid(self) -> u32 {
        match self.is_array {
            true => self.element.array_oid,
            false => self.element.oid,
        }
    }

    pub(crate) fn size(self) -> i16 {
        match self.is_array {
            true => -1,
            false => self.element.size,
        }
    }

    /// As `format_type` gives it.
    #[cfg(test)]
    pub(crate) fn sql_name(self) -> String {
        let array = if self.is_array { "[]" } else { "" };
        format!(
            "{}{}{array}",
            self.element.sql_name,
            modifier_text(self.element, self.modifier)
        )
    }

    pub(crate) fn description(self, name: &str, format: Format) -> FieldDescription {
        let code = match format {
            Format::Text => 0,
            Format::Binary => 1,
        };
        FieldDescription::new(name.to_owned(), 0, 0, self.oid(), self.size(), self.modifier, code)
    }
}

/// `(18,2)` of a numeric that has such bounds.
pub(crate) fn modifier_text(element: &PgType, modifier: i32) -> String {
    if element.oid != NUMERIC.oid || modifier < 4 {
        return String::new();
    }
    let packed = modifier - 4;
    format!("({},{})", packed >> 16, packed & 0xffff)
}

fn scalar(data_type: &DataType) -> &'static PgType {
    match data_type {
        DataType::Boolean => &BOOL,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => &INT2,
        DataType::UInt16 | DataType::Int32 => &INT4,
        // What ranks and counts, which are no larger.
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => &INT8,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            &NUMERIC
        }
        DataType::Float16 | DataType::Float32 => &FLOAT4,
        DataType::Float64 => &FLOAT8,
        DataType::Date32 | DataType::Date64 => &DATE,
        DataType::Time32(_) | DataType::Time64(_) => &TIME,
        DataType::Timestamp(_, None) => &TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => &TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => &INTERVAL,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => &BYTEA,
        _ => &TEXT,
    }
}

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

/// The format of a column, of those a client asked for: none is text, one is for all.
pub(crate) fn format_at(codes: &[i16], place: usize) -> Format {
    let code = match codes {
        [] => 0,
        [one] => *one,
        codes => codes.get(place).copied().unwrap_or(0),
    };
    match code {
        1 => Format::Binary,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_type_of_arrow_is_one_that_clients_know() {
        let named = |data_type: DataType| Described::of(&data_type).sql_name();
        assert_eq!(named(DataType::Decimal128(18, 2)), "numeric(18,2)");
        assert_eq!(named(DataType::UInt64), "bigint");
        assert_eq!(
            named(DataType::Timestamp(
                arrow::datatypes::TimeUnit::Microsecond,
                Some("UTC".into())
            )),
            "timestamp with time zone"
        );
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        assert_eq!(
            (named(list.clone()), Described::of(&list).oid()),
            ("integer[]".to_owned(), 1007)
        );
        assert_eq!(Described::of(&DataType::Utf8).oid(), 25);
    }
}
