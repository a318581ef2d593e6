//! Which keys the identities in a table went through: how many, and whether they are ours.
//!
//! A pseudonym does not tell its key, so the lake does. A table's metadata holds, for each domain of its columns, the
//! number of keys (its generation) and a check value of them; a file's name holds the generations above the first that
//! its rows went through. Both are read from the very state that is committed against, so a writer, a reader or an
//! erasure with other keys is refused however long it slept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use casewatch_contract::{HmacDomain, HmacKeys, Privacy, Table};
use deltalake::kernel::{Metadata, MetadataExt};
use serde::{Deserialize, Serialize};

use crate::error::{LakeError, Result};
use crate::log::TableState;
use crate::schema::FORMAT_PROPERTY;

const PROPERTY_PREFIX: &str = "casewatch.keys.";

/// Generations by domain; a domain that is not named is at its first.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Generations(BTreeMap<String, u32>);

impl Generations {
    pub fn of(&self, domain: &str) -> u32 {
        self.0.get(domain).copied().unwrap_or(1)
    }

    /// Those that a data file's name tells.
    pub fn of_file(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        // The first part is `part-<uuid>`; neither suffix of the format has a dash.
        let parts = name.split('.').skip(1).filter_map(|part| part.rsplit_once('-'));
        Self::new(parts.filter_map(|(domain, generation)| Some((domain.to_owned(), generation.parse().ok()?))))
    }

    /// Those of the keys given, for the domains of a table.
    pub fn of_keys(keys: &HmacKeys, table: &Table) -> Self {
        Self::of_domains(keys, domains(table))
    }

    pub fn of_domains(keys: &HmacKeys, domains: impl IntoIterator<Item = HmacDomain>) -> Self {
        let domains = domains.into_iter();
        Self::new(domains.map(|domain| (domain.to_string(), keys.generation(&domain))))
    }

    fn new(generations: impl Iterator<Item = (String, u32)>) -> Self {
        Self(generations.filter(|(_, generation)| *generation > 1).collect())
    }
}

impl fmt::Display for Generations {
    /// As in a file's name: `.child-2.household-3`, nothing for the first generations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(domain, generation)| write!(f, ".{domain}-{generation}"))
    }
}

/// The domains of a table's hashed columns.
pub(crate) fn domains(table: &Table) -> BTreeSet<HmacDomain> {
    let domains = table.columns.iter().filter_map(|column| match &column.privacy {
        Privacy::Hmac(domain) => Some(domain.clone()),
        _ => None,
    });
    domains.collect()
}

/// What a table's metadata says of a domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub generation: u32,
    pub check: String,
}

pub(crate) fn recorded(metadata: &Metadata, domain: &HmacDomain) -> Option<Recorded> {
    let text = metadata.configuration().get(&format!("{PROPERTY_PREFIX}{domain}"))?;
    let (generation, check) = text.split_once('/')?;
    Some(Recorded {
        generation: generation.parse().ok()?,
        check: check.to_owned(),
    })
}

/// `metadata` saying that the table's identities go through exactly `keys`.
pub(crate) fn record(keys: &HmacKeys, table: &Table, metadata: &Metadata) -> Result<Metadata> {
    let mut metadata = metadata.clone();
    let mut set = |key: String, value: String| -> Result<()> {
        let with_it = metadata.clone().add_config_key(key, value);
        metadata = with_it.map_err(|error| LakeError::Log {
            table: table.name.to_string(),
            version: 0,
            detail: format!("its keys cannot be recorded: {error}"),
        })?;
        Ok(())
    };
    for domain in domains(table) {
        let generation = keys.generation(&domain);
        if let Some(check) = keys.check_value(&domain, generation) {
            set(format!("{PROPERTY_PREFIX}{domain}"), format!("{generation}/{check}"))?;
        }
    }
    set(FORMAT_PROPERTY.to_owned(), crate::FORMAT.to_string())?;
    Ok(metadata)
}

/// Refuses whoever would add rows to `state`, or look for identities in it, with other keys than its own. Returns the
/// metadata to commit along when the table does not say its keys yet.
pub(crate) fn check_writer(keys: &HmacKeys, table: &Table, state: &TableState) -> Result<Option<Metadata>> {
    let mut unrecorded = false;
    for domain in domains(table) {
        let given = keys.generation(&domain);
        match recorded(&state.metadata, &domain) {
            Some(recorded) => compare(keys, table, &domain, &recorded)?,
            // A table of format 1 with rows in it: there was one key.
            None if given > 1 && !state.files.is_empty() => return Err(mismatch(table, &domain, 1, given)),
            None => unrecorded |= given > 0,
        }
    }
    match unrecorded {
        true => record(keys, table, &state.metadata).map(Some),
        false => Ok(None),
    }
}

/// Refuses a reader with other keys than the table's, and every reader of a table that is half rotated. A reader without
/// keys asks for no identity and is let through.
pub(crate) fn check_reader(keys: &HmacKeys, table: &Table, state: &TableState) -> Result<()> {
    for domain in domains(table) {
        let recorded = recorded(&state.metadata, &domain);
        let given = keys.generation(&domain);
        match &recorded {
            Some(recorded) if given > 0 => compare(keys, table, &domain, recorded)?,
            None if given > 1 && !state.files.is_empty() => return Err(mismatch(table, &domain, 1, given)),
            _ => {}
        }
        let stored = recorded.map_or(1, |recorded| recorded.generation);
        let left = |path: &String| Generations::of_file(path).of(domain.as_str()) != stored;
        if state.files.keys().any(left) {
            return Err(LakeError::Rotating {
                table: table.name.to_string(),
            });
        }
    }
    Ok(())
}

fn compare(keys: &HmacKeys, table: &Table, domain: &HmacDomain, recorded: &Recorded) -> Result<()> {
    let given = keys.generation(domain);
    if given != recorded.generation {
        return Err(mismatch(table, domain, recorded.generation, given));
    }
    same_keys(keys, table, domain, recorded)
}

/// Refuses keys of which the first are not those that the table records.
pub(crate) fn same_keys(keys: &HmacKeys, table: &Table, domain: &HmacDomain, recorded: &Recorded) -> Result<()> {
    match keys.check_value(domain, recorded.generation) {
        Some(check) if check == recorded.check => Ok(()),
        Some(_) => Err(LakeError::OtherKey {
            table: table.name.to_string(),
            domain: domain.to_string(),
        }),
        None => Err(mismatch(table, domain, recorded.generation, keys.generation(domain))),
    }
}

fn mismatch(table: &Table, domain: &HmacDomain, stored: u32, given: u32) -> LakeError {
    let hint = match given > stored {
        true => "run `casewatch rotate-keys` to bring the lake to the new key",
        false => "the lake was rotated: configure every key it went through, the oldest first, and start again",
    };
    LakeError::KeyGeneration {
        table: table.name.to_string(),
        domain: domain.to_string(),
        stored,
        given,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_the_generations_above_the_first_and_gives_them_back() {
        let generations = Generations::new(
            [
                ("child".to_owned(), 2),
                ("hr_ref".to_owned(), 1),
                ("swe".to_owned(), 12),
            ]
            .into_iter(),
        );
        assert_eq!(generations.to_string(), ".child-2.swe-12");
        let path = format!(
            "_recorded_month=2018-01/part-{}{generations}.zstd.parquet",
            uuid::Uuid::nil()
        );
        assert_eq!(Generations::of_file(&path), generations);
        let first = format!("_recorded_month=2018-01/part-{}.zstd.parquet", uuid::Uuid::nil());
        assert_eq!(Generations::of_file(&first), Generations::default());
        assert_eq!((generations.of("child"), generations.of("hr_ref")), (2, 1));
    }
}
