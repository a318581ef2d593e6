//! All tables together: the folder of schema files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::ContractError;
use crate::name::TableName;
use crate::parse::nearest;
use crate::privacy::{HmacKeys, Privacy, ReferenceKey};
use crate::table::{Reference, Table};

/// Every table, checked against each other: a reference names a table that exists, and one whose key is hashed in the
/// same domain, so that the two can be joined.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    tables: BTreeMap<TableName, Arc<Table>>,
}

impl Contract {
    /// Reads every `*.avsc` in a folder.
    pub fn load(dir: &Path) -> Result<Self, ContractError> {
        let mut tables = Vec::new();
        for path in schema_files(dir)? {
            let text = std::fs::read_to_string(&path).map_err(|source| ContractError::Read {
                path: path.clone(),
                source,
            })?;
            let file = path.display().to_string();
            tables.push((file.clone(), Table::parse(&file, &text)?));
        }
        if tables.is_empty() {
            return Err(ContractError::NoSchemas { path: dir.to_owned() });
        }
        Self::new(tables)
    }

    /// Puts tables together, each with the name of the file it came from.
    pub fn new(tables: Vec<(String, Table)>) -> Result<Self, ContractError> {
        let mut contract = Self::default();
        let mut files = BTreeMap::new();
        for (file, table) in tables {
            if let Some(other) = files.insert(table.name.clone(), file.clone()) {
                return Err(ContractError::Schema {
                    file,
                    place: "the record, attribute `name`".to_owned(),
                    expected: "a name of its own".to_owned(),
                    found: format!("`{}`, which is also in {other}", table.name),
                    hint: "one file a table".to_owned(),
                });
            }
            contract.tables.insert(table.name.clone(), Arc::new(table));
        }
        let mut told_by: Option<&TableName> = None;
        for (name, file) in &files {
            let table = &contract.tables[name];
            if table.deliveries.is_some()
                && let Some(other) = told_by.replace(name)
            {
                return Err(ContractError::Schema {
                    file: file.clone(),
                    place: "the record, attribute `deliveries`".to_owned(),
                    expected: "one table that records deliveries".to_owned(),
                    found: format!("a second one beside `{other}`"),
                    hint: "remove the attribute from one of them".to_owned(),
                });
            }
            for reference in &table.references {
                contract.check_reference(file, table, reference)?;
            }
        }
        Ok(contract)
    }

    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// All tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The table that records deliveries, where there is one.
    pub fn deliveries(&self) -> Option<&Arc<Table>> {
        self.tables().find(|table| table.deliveries.is_some())
    }

    /// Refuses keys that leave a domain of any table without one.
    pub fn check_keys(&self, keys: &HmacKeys) -> Result<(), ContractError> {
        self.tables().try_for_each(|table| check_keys(table, keys))
    }

    /// The key of the pseudonyms that stand for references to source systems; none where a domain of the tables has no key.
    pub fn reference_key(&self, keys: &HmacKeys) -> Option<ReferenceKey> {
        let columns = self.tables().flat_map(|table| &table.columns);
        keys.reference_key(columns.filter_map(|column| match &column.privacy {
            Privacy::Hmac(domain) => Some(domain),
            _ => None,
        }))
    }

    /// Whether values of this column may become labels of a metric: it is label-safe itself, or it is the key of a
    /// label-safe table or refers to one.
    pub fn may_label(&self, table: &Table, column: &str) -> bool {
        let Some(position) = table.columns.iter().position(|candidate| candidate.name == column) else {
            return false;
        };
        let column = &table.columns[position];
        if column.privacy.is_private() {
            return false;
        }
        let refers_to = table.references.iter().find(|reference| reference.column == position);
        match refers_to.and_then(|reference| self.table(&reference.table)) {
            Some(referred) => column.label_safe || referred.label_safe,
            None => column.label_safe || table.label_safe,
        }
    }

    fn check_reference(&self, file: &str, table: &Table, reference: &Reference) -> Result<(), ContractError> {
        let column = &table.columns[reference.column];
        let fault = |expected: String, found: String, hint: String| ContractError::Schema {
            file: file.to_owned(),
            place: format!("the record, attribute `references`, field `{}`", column.name),
            expected,
            found,
            hint,
        };
        let Some(referred) = self.table(&reference.table) else {
            let hint = match nearest(&reference.table, self.tables.keys().map(|name| &**name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "add its schema file, or remove the reference".to_owned(),
            };
            return Err(fault(
                "a table of the contract".to_owned(),
                format!("`{}`", reference.table),
                hint,
            ));
        };
        let key = &referred.columns[referred.key[0]];
        if key.privacy != column.privacy || key.data_type != column.data_type {
            return Err(fault(
                format!(
                    "{} with privacy {}, as {}.{}",
                    key.data_type, key.privacy, referred.name, key.name
                ),
                format!("{} with privacy {}", column.data_type, column.privacy),
                "both ends of a reference must be stored alike, or they never meet".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Refuses keys that leave a domain of this table without one.
pub(crate) fn check_keys(table: &Table, keys: &HmacKeys) -> Result<(), ContractError> {
    for column in &table.columns {
        if let Privacy::Hmac(domain) = &column.privacy
            && !keys.has(domain)
        {
            return Err(ContractError::MissingKey {
                domain: domain.clone(),
                table: table.name.clone(),
            });
        }
    }
    Ok(())
}

fn schema_files(dir: &Path) -> Result<Vec<PathBuf>, ContractError> {
    let unreadable = |source| ContractError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::HmacDomain;

    fn schemas() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
    }

    fn shipped() -> Contract {
        Contract::load(&schemas()).unwrap()
    }

    #[test]
    fn the_shipped_contract_has_seventeen_tables() {
        let names: Vec<String> = shipped().tables().map(|table| table.name.to_string()).collect();
        assert_eq!(
            names,
            [
                "absences",
                "allocations",
                "assessments",
                "cases",
                "children",
                "conferences",
                "contracts",
                "feeds",
                "placements",
                "plans",
                "posts",
                "referrals",
                "supervisions",
                "teams",
                "transfers",
                "visits",
                "workers",
            ]
        );
    }

    #[test]
    fn every_shipped_table_names_its_authority_feed_and_clock_and_keeps_authority_out_of_keys() {
        for table in shipped().tables() {
            assert!(table.column("authority").unwrap().label_safe, "{}", table.name);
            let feed = &table.columns[table.source.unwrap()];
            assert!(feed.name == "source_system" && !feed.nullable, "{}", table.name);
            assert_eq!(table.recorded_at.as_deref(), Some("recorded_at"), "{}", table.name);
            assert!(
                table.key_columns().all(|column| column.name != "authority"),
                "{}",
                table.name
            );
        }
    }

    #[test]
    fn the_shipped_contract_has_one_table_that_records_deliveries() {
        let contract = shipped();
        let table = contract.deliveries().unwrap();
        let roles = table.deliveries.as_ref().unwrap();
        assert_eq!(&*table.name, "feeds");
        assert_eq!(table.columns[roles.feed].name, "feed_id");
        assert_eq!(table.columns[roles.expected_next_by].name, "expected_next_by");

        let twice = contract
            .tables()
            .filter(|table| table.deliveries.is_some())
            .flat_map(|table| {
                let mut other = Table::clone(table);
                other.name = "others".into();
                [("a".to_owned(), Table::clone(table)), ("b".to_owned(), other)]
            })
            .collect();
        let error = Contract::new(twice).expect_err("two such tables").to_string();
        assert!(error.contains("expected one table that records deliveries"), "{error}");
    }

    #[test]
    fn every_shipped_closed_list_is_label_safe_and_no_private_column_is() {
        for table in shipped().tables() {
            for column in &table.columns {
                let expected = column.symbols.is_some() || column.name == "authority";
                assert_eq!(column.label_safe, expected, "{}.{}", table.name, column.name);
            }
        }
    }

    #[test]
    fn the_shipped_contract_changes_these_columns_in_place() {
        let contract = shipped();
        let mut undated = Vec::new();
        for table in contract.tables() {
            for column in table.columns.iter().filter(|column| column.undated) {
                undated.push(format!("{}.{}", table.name, column.name));
            }
        }
        assert_eq!(
            undated,
            [
                "cases.team_id",
                "cases.primary_need",
                "cases.non_sw_lead_agreed",
                "children.household_id",
                "workers.swe_registered",
            ]
        );
    }

    #[test]
    fn the_shipped_contract_hides_these_columns() {
        let contract = shipped();
        let mut private = Vec::new();
        for table in contract.tables() {
            for column in table.columns.iter().filter(|column| column.privacy.is_private()) {
                private.push(format!("{}.{} {}", table.name, column.name, column.privacy));
            }
        }
        assert_eq!(
            private,
            [
                "cases.child_id hmac:child",
                "children.child_id hmac:child",
                "children.household_id hmac:household",
                "children.birth_month month",
                "children.expected_birth_month month",
                "children.died_on month",
                "children.merged_into hmac:child",
                "referrals.child_id hmac:child",
                "workers.hr_ref hmac:hr",
                "workers.swe_ref hmac:swe",
            ]
        );
    }

    #[test]
    fn a_domain_without_a_key_is_refused_by_name() {
        let key = "00".repeat(32);
        let mut keys = HmacKeys::none();
        for domain in ["child", "household", "hr"] {
            keys = keys.with_hex(HmacDomain::from(domain), &key).unwrap();
        }
        let error = shipped().check_keys(&keys).unwrap_err().to_string();
        assert!(
            error.starts_with("no key for the privacy domain `swe`, which table workers needs"),
            "{error}"
        );
        shipped()
            .check_keys(&keys.with_hex("swe".into(), &key).unwrap())
            .unwrap();
        shipped().check_keys(&HmacKeys::demo()).unwrap();
    }

    #[test]
    fn labels_may_name_teams_closed_lists_and_authorities_and_nothing_that_identifies() {
        let contract = shipped();
        let may = |table: &str, column| contract.may_label(contract.table(table).unwrap(), column);
        assert!(may("teams", "team_id") && may("teams", "name") && may("cases", "team_id"));
        assert!(may("cases", "authority") && may("cases", "primary_need"));
        assert!(!may("cases", "case_id") && !may("cases", "child_id") && !may("allocations", "worker_id"));
        assert!(!may("teams", "manager_worker_id") && !may("cases", "opened_at") && !may("cases", "nonsense"));
    }

    #[test]
    fn a_reference_to_a_missing_table_or_into_another_domain_is_refused() {
        let parse = |name: &str, references: &str, privacy: &str| {
            let text = format!(
                r#"{{"type": "record", "name": "{name}", "doc": "d", "key": ["id"], "references": {references},
                "fields": [{{"name": "id", "type": "string", "doc": "d"}},
                           {{"name": "owner", "type": "string", "privacy": "{privacy}", "doc": "d"}}]}}"#
            );
            (format!("{name}.avsc"), Table::parse(name, &text).unwrap())
        };
        let owners = || parse("owners", "{}", "keep");
        Contract::new(vec![owners(), parse("pets", r#"{"owner": "owners"}"#, "keep")]).unwrap();

        let missing = Contract::new(vec![owners(), parse("pets", r#"{"owner": "owner"}"#, "keep")]);
        let error = missing.unwrap_err().to_string();
        assert!(
            error.starts_with("pets.avsc: ") && error.ends_with("did you mean `owners`?"),
            "{error}"
        );

        let other_domain = Contract::new(vec![owners(), parse("pets", r#"{"owner": "owners"}"#, "hmac:owner")]);
        let error = other_domain.unwrap_err().to_string();
        assert!(
            error.contains("expected Utf8 with privacy keep, as owners.id"),
            "{error}"
        );
    }
}
