//! The functions of PostgreSQL that clients call when they look around.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{CATALOG_SCHEMA, DATABASE, Named, OWNER, OWNER_OID};
use crate::settings::{SERVER_VERSION, Settings};
use crate::types;

/// Names that are no functions of PostgreSQL's: what casts to its special types become.
pub(crate) const RELATION_TEXT: &str = "_regclass_text";
pub(crate) const SCHEMA_TEXT: &str = "_regnamespace_text";
pub(crate) const PROCEDURE_TEXT: &str = "_regproc_text";

/// What functions that give rows of an array become: the array whose rows these are.
pub(crate) const SUBSCRIPTS: &str = "_subscripts";
pub(crate) const NUMBERED: &str = "_numbered";

type Body = Arc<dyn Fn(&[ScalarValue]) -> ScalarValue + Send + Sync>;

/// A function of one row's arguments, which may be of any number and type.
struct Told {
    name: &'static str,
    signature: Signature,
    gives: DataType,
    body: Body,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Told").field(&self.name).finish()
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for Told {}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.gives.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_scalars = arguments
            .args
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        if are_scalars {
            let values: Vec<_> = arguments
                .args
                .into_iter()
                .filter_map(|value| match value {
                    ColumnarValue::Scalar(value) => Some(value),
                    ColumnarValue::Array(_) => None,
                })
                .collect();
            return Ok(ColumnarValue::Scalar((self.body)(&values)));
        }
        let columns: Vec<ArrayRef> = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut given = Vec::with_capacity(arguments.number_rows);
        for row in 0..arguments.number_rows {
            let values = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<Vec<_>>>()?;
            given.push((self.body)(&values));
        }
        if given.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&self.gives)));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(given)?))
    }
}

fn function(
    name: &'static str,
    gives: DataType,
    body: impl Fn(&[ScalarValue]) -> ScalarValue + Send + Sync + 'static,
) -> Arc<ScalarUDF> {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    Arc::new(ScalarUDF::from(Told {
        name,
        signature: Signature::one_of(any, Volatility::Stable),
        gives,
        body: Arc::new(body),
    }))
}

fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

fn some_text(value: Option<String>) -> ScalarValue {
    ScalarValue::Utf8(value)
}

fn yes(value: bool) -> ScalarValue {
    ScalarValue::Boolean(Some(value))
}

fn number_at(values: &[ScalarValue], place: usize) -> Option<i64> {
    match values.get(place)?.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

fn oid_at(values: &[ScalarValue], place: usize) -> Option<i32> {
    number_at(values, place).and_then(|number| i32::try_from(number).ok())
}

fn text_at(values: &[ScalarValue], place: usize) -> Option<String> {
    match values.get(place)?.cast_to(&DataType::Utf8) {
        Ok(ScalarValue::Utf8(text)) => text,
        _ => None,
    }
}

/// Every function, for one connection.
pub(super) fn all(named: &Arc<Named>, user: &str, pid: i32, settings: &Settings) -> Vec<Arc<ScalarUDF>> {
    let mut functions = about_the_connection(user, pid, settings);
    functions.extend(about_names(named, user));
    functions.extend(about_privileges());
    functions.extend(that_know_nothing());
    functions
}

fn about_the_connection(user: &str, pid: i32, settings: &Settings) -> Vec<Arc<ScalarUDF>> {
    let version = format!("PostgreSQL {SERVER_VERSION} (casewatch {})", env!("CARGO_PKG_VERSION"));
    let always = |name, value: &str| {
        let value = text(value);
        function(name, DataType::Utf8, move |_| value.clone())
    };
    let settings = settings.clone();
    vec![
        always("version", &version),
        always("current_database", DATABASE),
        always("current_catalog", DATABASE),
        always("current_schema", "public"),
        always("current_user", user),
        always("session_user", user),
        always("current_role", user),
        always("user", user),
        function("current_schemas", text_list(), |values| {
            let implicit = matches!(values.first(), Some(ScalarValue::Boolean(Some(true))));
            let names = if implicit {
                vec![CATALOG_SCHEMA, "public"]
            } else {
                vec!["public"]
            };
            let names: Vec<ScalarValue> = names.into_iter().map(text).collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&names, &DataType::Utf8))
        }),
        function("pg_backend_pid", DataType::Int32, move |_| {
            ScalarValue::Int32(Some(pid))
        }),
        function("current_setting", DataType::Utf8, move |values| {
            let shown = text_at(values, 0).and_then(|name| settings.show(&name).ok());
            some_text(shown.map(|(_, value)| value))
        }),
        function("set_config", DataType::Utf8, |values| some_text(text_at(values, 1))),
    ]
}

fn about_names(named: &Arc<Named>, user: &str) -> Vec<Arc<ScalarUDF>> {
    let user = user.to_owned();
    let with = |named: &Arc<Named>| named.clone();
    let (views, constraints, indexes) = (with(named), with(named), with(named));
    let (visible, relations, schemas, tables, columns, to_relation) = (
        with(named),
        with(named),
        with(named),
        with(named),
        with(named),
        with(named),
    );
    vec![
        function("pg_table_is_visible", DataType::Boolean, move |values| {
            let relation = oid_at(values, 0).and_then(|oid| visible.relations.get(&oid));
            yes(relation.is_some_and(|(_, relation)| relation.schema == "public"))
        }),
        function("pg_get_userbyid", DataType::Utf8, move |values| {
            match oid_at(values, 0) {
                Some(OWNER_OID) => text(OWNER),
                Some(_) => text(user.clone()),
                None => ScalarValue::Utf8(None),
            }
        }),
        function("format_type", DataType::Utf8, |values| {
            let modifier = number_at(values, 1).unwrap_or(-1);
            some_text(number_at(values, 0).map(|oid| format_type(oid, modifier)))
        }),
        function(RELATION_TEXT, DataType::Utf8, move |values| match oid_at(values, 0) {
            Some(0) => text("-"),
            Some(oid) => text(relations.relation_name(oid).unwrap_or_else(|| oid.to_string())),
            None => some_text(text_at(values, 0)),
        }),
        function(SCHEMA_TEXT, DataType::Utf8, move |values| {
            some_text(oid_at(values, 0).map(|oid| match schemas.schemas.get(&oid) {
                Some(name) => name.clone(),
                None => oid.to_string(),
            }))
        }),
        function(PROCEDURE_TEXT, DataType::Utf8, |values| {
            let known = ["textin", "textrecv", "array_in", "array_recv"];
            let oid = oid_at(values, 0);
            let name = known
                .into_iter()
                .find(|name| Some(super::types_told::procedure_oid(name)) == oid);
            some_text(name.map(str::to_owned).or(Some("-".to_owned())))
        }),
        function("to_regclass", DataType::Int32, move |values| {
            ScalarValue::Int32(text_at(values, 0).and_then(|name| to_relation.relation_oid(&name)))
        }),
        function("to_regtype", DataType::Int32, |values| {
            let known = text_at(values, 0).and_then(|name| types::by_name(&name));
            ScalarValue::Int32(known.and_then(|known| i32::try_from(known.oid).ok()))
        }),
        function("obj_description", DataType::Utf8, move |values| {
            let relation = oid_at(values, 0).and_then(|oid| tables.relations.get(&oid));
            some_text(relation.and_then(|(_, relation)| relation.comment.clone()))
        }),
        function("col_description", DataType::Utf8, move |values| {
            let comment = || {
                let (_, relation) = columns.relations.get(&oid_at(values, 0)?)?;
                let place = usize::try_from(oid_at(values, 1)?).ok()?.checked_sub(1)?;
                relation.columns.get(place)?.comment.clone()
            };
            some_text(comment())
        }),
        function("pg_get_viewdef", DataType::Utf8, move |values| {
            let oid = oid_at(values, 0).or_else(|| views.relation_oid(&text_at(values, 0)?));
            let relation = oid.and_then(|oid| views.relations.get(&oid));
            some_text(relation.and_then(|(_, relation)| relation.definition.clone()))
        }),
        function("pg_get_constraintdef", DataType::Utf8, move |values| {
            some_text(oid_at(values, 0).and_then(|oid| constraints.constraint_definition(oid)))
        }),
        function("pg_get_indexdef", DataType::Utf8, move |values| {
            let column = number_at(values, 1).and_then(|place| usize::try_from(place).ok());
            let definition = |oid| indexes.index_definition(oid, column.unwrap_or(0));
            some_text(oid_at(values, 0).and_then(definition))
        }),
        function("quote_ident", DataType::Utf8, |values| {
            some_text(text_at(values, 0).map(|name| quoted(&name)))
        }),
        function("format", DataType::Utf8, |values| some_text(formatted(values))),
        function("parse_ident", text_list(), |values| {
            let parts = text_at(values, 0).map(|name| identifier_parts(&name));
            let parts: Option<Vec<ScalarValue>> = parts.map(|parts| parts.into_iter().map(text).collect());
            match parts {
                Some(parts) => ScalarValue::List(ScalarValue::new_list_nullable(&parts, &DataType::Utf8)),
                None => ScalarValue::new_null_list(DataType::Utf8, true, 1),
            }
        }),
        function(SUBSCRIPTS, list_of(DataType::Int64), |values| {
            let places = (1..=length_of(values).unwrap_or(0)).map(|place| ScalarValue::Int64(Some(place.into())));
            let places: Vec<ScalarValue> = places.collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&places, &DataType::Int64))
        }),
        function(NUMBERED, list_of(DataType::Struct(pair())), |values| {
            let pairs: Vec<ScalarValue> = (1..).zip(items(values)).map(numbered).collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&pairs, &DataType::Struct(pair())))
        }),
        // Of 64 bits, as DataFusion's `generate_series` wants its bounds.
        function("array_upper", DataType::Int64, |values| {
            ScalarValue::Int64(length_of(values).map(i64::from))
        }),
        function("array_lower", DataType::Int64, |values| {
            ScalarValue::Int64(length_of(values).map(|_| 1))
        }),
    ]
}

fn text_list() -> DataType {
    list_of(DataType::Utf8)
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// As `_pg_expandarray` calls an item and its place.
fn pair() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Fields::from(vec![number("x"), number("n")])
}

/// The numbers in an array.
fn items(values: &[ScalarValue]) -> Vec<Option<i64>> {
    let Some(ScalarValue::List(list)) = values.first() else {
        return Vec::new();
    };
    let numbers = cast(list.values(), &DataType::Int64);
    numbers.map_or_else(
        |_| Vec::new(),
        |numbers| numbers.as_primitive::<Int64Type>().iter().collect(),
    )
}

fn numbered((place, item): (i64, Option<i64>)) -> ScalarValue {
    ScalarStructBuilder::new()
        .with_scalar(pair()[0].clone(), ScalarValue::Int64(item))
        .with_scalar(pair()[1].clone(), ScalarValue::Int64(Some(place)))
        .build()
        .unwrap_or(ScalarValue::Null)
}

/// A name as it must be written.
fn quoted(name: &str) -> String {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    match name.chars().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// `schema."Some table"` taken apart.
fn identifier_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for character in name.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(String::new()),
            other => {
                let last = parts.last_mut().expect("there is always one");
                match is_quoted {
                    true => last.push(other),
                    false => last.extend(other.to_lowercase()),
                }
            }
        }
    }
    parts
}

/// `format('%I.%s', ...)`: names, texts and literals in the places that are marked.
fn formatted(values: &[ScalarValue]) -> Option<String> {
    let pattern = text_at(values, 0)?;
    let mut written = String::new();
    let mut next = 1;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            written.push(character);
            continue;
        }
        let kind = characters.next()?;
        if kind == '%' {
            written.push('%');
            continue;
        }
        let value = text_at(values, next);
        next += 1;
        match kind {
            's' => written.push_str(&value.unwrap_or_default()),
            'I' => written.push_str(&quoted(&value?)),
            'L' => match value {
                Some(value) => written.push_str(&format!("'{}'", value.replace('\'', "''"))),
                None => written.push_str("NULL"),
            },
            _ => return None,
        }
    }
    Some(written)
}

fn length_of(values: &[ScalarValue]) -> Option<i32> {
    match values.first()? {
        ScalarValue::List(list) if !arrow::array::Array::is_null(list.as_ref(), 0) => {
            Some(list.value_length(0)).filter(|length| *length > 0)
        }
        _ => None,
    }
}

/// As `format_type` writes a type: `numeric(18,2)`, `integer[]`.
fn format_type(oid: i64, modifier: i64) -> String {
    let Ok(oid) = u32::try_from(oid) else {
        return "???".to_owned();
    };
    if oid == 0 {
        return "-".to_owned();
    }
    let modifier = i32::try_from(modifier).unwrap_or(-1);
    let written = |element: &types::PgType| format!("{}{}", element.sql_name, types::modifier_text(element, modifier));
    match (types::by_oid(oid), types::element_of(oid)) {
        (Some(element), _) => written(element),
        (None, Some(element)) => format!("{}[]", written(element)),
        (None, None) => "???".to_owned(),
    }
}

/// What may be listed may be read, and nothing may be written.
fn about_privileges() -> Vec<Arc<ScalarUDF>> {
    let reading = |values: &[ScalarValue]| {
        let asked = values.iter().rev().find_map(|value| match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
                Some(text.to_ascii_uppercase())
            }
            _ => None,
        });
        let allowed = ["SELECT", "USAGE", "CONNECT", "EXECUTE", "MEMBER"];
        yes(asked.is_some_and(|asked| asked.split(',').any(|asked| allowed.contains(&asked.trim()))))
    };
    [
        "has_table_privilege",
        "has_any_column_privilege",
        "has_column_privilege",
        "has_schema_privilege",
        "has_database_privilege",
        "has_function_privilege",
        "has_type_privilege",
        "has_language_privilege",
        "has_sequence_privilege",
        "has_tablespace_privilege",
        "pg_has_role",
    ]
    .into_iter()
    .map(|name| function(name, DataType::Boolean, reading))
    .collect()
}

/// What there is nothing to tell about.
fn that_know_nothing() -> Vec<Arc<ScalarUDF>> {
    let mut functions = Vec::new();
    for name in [
        "inet_client_addr",
        "inet_server_addr",
        "pg_get_expr",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_result",
        "pg_get_functiondef",
        "pg_get_partkeydef",
        "pg_get_ruledef",
        "pg_get_serial_sequence",
        "pg_get_statisticsobjdef_columns",
        "pg_get_triggerdef",
        "pg_tablespace_location",
        "shobj_description",
    ] {
        functions.push(function(name, DataType::Utf8, |_| ScalarValue::Utf8(None)));
    }
    for name in [
        "pg_type_is_visible",
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
    ] {
        functions.push(function(name, DataType::Boolean, |_| yes(true)));
    }
    for name in [
        "pg_is_in_recovery",
        "pg_is_other_temp_schema",
        "pg_relation_is_publishable",
        "row_security_active",
    ] {
        functions.push(function(name, DataType::Boolean, |_| yes(false)));
    }
    for name in [
        "pg_database_size",
        "pg_indexes_size",
        "pg_relation_size",
        "pg_stat_get_numscans",
        "pg_table_size",
        "pg_tablespace_size",
        "pg_total_relation_size",
    ] {
        functions.push(function(name, DataType::Int64, |_| ScalarValue::Int64(Some(0))));
    }
    for name in [
        "pg_my_temp_schema",
        "pg_relation_is_updatable",
        "inet_server_port",
        "inet_client_port",
    ] {
        functions.push(function(name, DataType::Int32, |_| ScalarValue::Int32(Some(0))));
    }
    functions.push(function("pg_size_pretty", DataType::Utf8, |values| {
        some_text(number_at(values, 0).map(|bytes| format!("{bytes} bytes")))
    }));
    functions.push(function("pg_encoding_to_char", DataType::Utf8, |_| text("UTF8")));
    functions.push(function("pg_char_to_encoding", DataType::Int32, |_| {
        ScalarValue::Int32(Some(6))
    }));
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_postgresql_writes_them() {
        assert_eq!(format_type(1700, 1_179_654), "numeric(18,2)");
        assert_eq!(format_type(1007, -1), "integer[]");
        assert_eq!(format_type(1184, -1), "timestamp with time zone");
        assert_eq!(format_type(999_999, -1), "???");
    }

    #[test]
    fn names_are_put_together_and_taken_apart() {
        let values = [text("%I.%s: %L"), text("Odd name"), text("cases"), text("it's")];
        assert_eq!(formatted(&values).unwrap(), "\"Odd name\".cases: 'it''s'");
        assert_eq!(identifier_parts("History.\"Odd.name\""), ["history", "Odd.name"]);
    }

    #[test]
    fn whoever_asks_may_read_and_not_write() {
        let may = |privilege: &str| {
            let function = about_privileges().remove(0);
            let name = function.name().to_owned();
            let field = Arc::new(Field::new("x", DataType::Utf8, true));
            let given = function
                .invoke_with_args(ScalarFunctionArgs {
                    args: vec![
                        ColumnarValue::Scalar(text("cases")),
                        ColumnarValue::Scalar(text(privilege)),
                    ],
                    arg_fields: vec![field.clone(), field],
                    number_rows: 1,
                    return_field: Arc::new(Field::new(name, DataType::Boolean, true)),
                    config_options: Arc::default(),
                })
                .unwrap();
            matches!(given, ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
        };
        assert!(may("SELECT") && may("usage"));
        assert!(!may("INSERT") && !may("CREATE"));
    }
}
