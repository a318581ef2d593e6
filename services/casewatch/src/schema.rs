//! `casewatch schema`: what a source system's engineer asks about the contract.

use std::path::Path;

use casewatch_contract::{Contract, RegistryClient, RegistryConfig};
use url::Url;

use crate::cli::{SchemaCommand, Subjects, contract_in};
use crate::failure::Failure;

/// # Errors
/// Schemas that do not load, a table that does not exist, a registry that refuses.
pub async fn run(command: SchemaCommand) -> Result<(), Failure> {
    match command {
        SchemaCommand::Show { table, schemas } => show(&contract_in(&schemas)?, table),
        SchemaCommand::Register {
            registry,
            topic_prefix,
            subjects,
            schemas,
        } => register(registry, &topic_prefix, subjects, &schemas).await,
    }
}

fn show(contract: &Contract, table: Option<String>) -> Result<(), Failure> {
    let Some(name) = table else {
        for table in contract.tables() {
            println!("{:<14} {}", table.name, table.doc);
        }
        return Ok(());
    };
    match contract.describe(&name) {
        Some(description) => {
            println!("{description}");
            Ok(())
        }
        None => {
            let known: Vec<&str> = contract.tables().map(|table| table.name.as_str()).collect();
            Err(Failure::usage(format!(
                "no table `{name}`; there are {}",
                known.join(", ")
            )))
        }
    }
}

/// Registers each schema as the subject of its topic's values. Decoding asks by id, whatever the subject.
async fn register(registry: Url, topic_prefix: &str, subjects: Subjects, schemas: &Path) -> Result<(), Failure> {
    let contract = contract_in(schemas)?;
    let client = RegistryClient::new(RegistryConfig::new(registry)).map_err(Failure::failed)?;
    for table in contract.tables() {
        let path = schemas.join(format!("{}.avsc", table.name));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::failed(format!("{}: cannot be read: {error}", path.display())))?;
        let schema: serde_json::Value = serde_json::from_str(&text).map_err(Failure::failed)?;
        let parts = ["namespace", "name"].map(|part| schema[part].as_str());
        let record: Vec<&str> = parts.into_iter().flatten().collect();
        let subject = subjects.name(&format!("{topic_prefix}{}", table.name), &record.join("."));
        let id = client.register(&subject, &schema).await.map_err(Failure::failed)?;
        println!("{subject}: id {id}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_named_as_serializers_name_them() {
        let name = |subjects: Subjects| subjects.name("m.public.cases", "casewatch.cases");
        assert_eq!(name(Subjects::Topic), "m.public.cases-value");
        assert_eq!(name(Subjects::Record), "casewatch.cases");
        assert_eq!(name(Subjects::TopicRecord), "m.public.cases-casewatch.cases");
    }
}
