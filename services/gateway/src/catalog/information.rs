//! `information_schema`: what is there in the words of the standard.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::cells::{Cell, NOTHING, row, table};
use super::{CATALOG_SCHEMA, DATABASE, Named, OWNER};
use crate::types::Described;

pub(super) fn schemata(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "catalog_name:n schema_name:n schema_owner:n default_character_set_catalog:n \
                   default_character_set_schema:n default_character_set_name:n sql_path:t";
    let rows: Vec<_> = named
        .schemas
        .values()
        .map(|name| row![DATABASE, name.as_str(), OWNER])
        .collect();
    table(columns, &rows)
}

pub(super) fn tables(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n table_type:t self_referencing_column_name:n \
                   reference_generation:t user_defined_type_catalog:n user_defined_type_schema:n \
                   user_defined_type_name:n is_insertable_into:t is_typed:t commit_action:t";
    let rows: Vec<_> = named
        .relations
        .values()
        .map(|(_, relation)| {
            let kind = if relation.is_view { "VIEW" } else { "BASE TABLE" };
            row![
                DATABASE,
                relation.schema.as_str(),
                relation.name.as_str(),
                kind,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                "NO",
                "NO"
            ]
        })
        .collect();
    table(columns, &rows)
}

pub(super) fn views(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n view_definition:t check_option:t is_updatable:t \
                   is_insertable_into:t is_trigger_updatable:t is_trigger_deletable:t is_trigger_insertable_into:t";
    let views = named.relations.values().filter(|(_, relation)| relation.is_view);
    let rows: Vec<_> = views
        .map(|(_, view)| {
            row![
                DATABASE,
                view.schema.as_str(),
                view.name.as_str(),
                view.definition.as_deref(),
                "NONE",
                "NO",
                "NO",
                "NO",
                "NO",
                "NO"
            ]
        })
        .collect();
    table(columns, &rows)
}

pub(super) fn privileges(named: &Named, user: &str) -> Arc<dyn TableProvider> {
    let columns = "grantor:n grantee:n table_catalog:n table_schema:n table_name:n privilege_type:t is_grantable:t \
                   with_hierarchy:t";
    let rows: Vec<_> = named
        .relations
        .values()
        .map(|(_, relation)| {
            let (schema, name) = (relation.schema.as_str(), relation.name.as_str());
            row![OWNER, user, DATABASE, schema, name, "SELECT", "NO", "NO"]
        })
        .collect();
    table(columns, &rows)
}

pub(super) fn columns(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i column_default:t \
                   is_nullable:t data_type:t character_maximum_length:i character_octet_length:i numeric_precision:i \
                   numeric_precision_radix:i numeric_scale:i datetime_precision:i interval_type:t interval_precision:i \
                   character_set_catalog:n character_set_schema:n character_set_name:n collation_catalog:n \
                   collation_schema:n collation_name:n domain_catalog:n domain_schema:n domain_name:n udt_catalog:n \
                   udt_schema:n udt_name:n scope_catalog:n scope_schema:n scope_name:n maximum_cardinality:i \
                   dtd_identifier:n is_self_referencing:t is_identity:t identity_generation:t identity_start:t \
                   identity_increment:t identity_maximum:t identity_minimum:t identity_cycle:t is_generated:t \
                   generation_expression:t is_updatable:t";
    let mut rows = Vec::new();
    for (_, relation) in named.relations.values() {
        for (place, column) in relation.columns.iter().enumerate() {
            rows.push(column_row(relation, place + 1, column));
        }
    }
    table(columns, &rows)
}

fn column_row(
    relation: &casewatch_query::Relation,
    place: usize,
    column: &casewatch_query::RelationColumn,
) -> Vec<Cell> {
    let described = Described::of(&column.data_type);
    let element = described.element;
    let data_type = if described.is_array { "ARRAY" } else { element.sql_name };
    let udt_name = if described.is_array {
        format!("_{}", element.name)
    } else {
        element.name.to_owned()
    };
    let (precision, radix, scale): (Option<i32>, Option<i32>, Option<i32>) = match element.name {
        _ if described.is_array => (None, None, None),
        "int2" => (Some(16), Some(2), Some(0)),
        "int4" => (Some(32), Some(2), Some(0)),
        "int8" => (Some(64), Some(2), Some(0)),
        "float4" => (Some(24), Some(2), None),
        "float8" => (Some(53), Some(2), None),
        "numeric" if described.modifier >= 4 => {
            let packed = described.modifier - 4;
            (Some(packed >> 16), Some(10), Some(packed & 0xffff))
        }
        "numeric" => (None, Some(10), None),
        _ => (None, None, None),
    };
    let datetime: Option<i32> = match element.name {
        "date" => Some(0),
        "time" | "timestamp" | "timestamptz" | "interval" => Some(6),
        _ => None,
    };
    let mut cells = row![
        DATABASE,
        relation.schema.as_str(),
        relation.name.as_str(),
        column.name.as_str(),
        place,
        NOTHING,
        if column.nullable { "YES" } else { "NO" },
        data_type,
        NOTHING,
        (element.category == "S").then_some(1_073_741_824),
        precision,
        radix,
        scale,
        datetime,
    ];
    cells.extend(std::iter::repeat_n(Cell::None, 11));
    cells.extend(row![
        DATABASE,
        CATALOG_SCHEMA,
        udt_name,
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING,
        place.to_string(),
        "NO",
        "NO"
    ]);
    cells.extend(std::iter::repeat_n(Cell::None, 5));
    cells.extend(row!["NO", "NEVER", NOTHING, "NO"]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tables::tests::named;

    #[tokio::test]
    async fn columns_are_told_in_the_words_of_the_standard() {
        let named = named();
        let context = datafusion::prelude::SessionContext::new();
        context.register_table("columns", columns(&named)).unwrap();
        let sql = "select data_type, numeric_precision, numeric_scale, udt_name, ordinal_position, is_updatable, \
                   is_generated, dtd_identifier from columns";
        let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
        let row = shown
            .lines()
            .nth(3)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(row, "| numeric | 12 | 2 | numeric | 1 | NO | NEVER | 1 |");
    }
}
