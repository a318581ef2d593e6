//! The names of what can be looked at, from the statements of `board.toml`: they change with time, as everything does.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use casewatch_query::{AsOf, Engine, QueryError, Scope};
use serde::Serialize;

use crate::layout::Choices;
use crate::subject::{Called, Subject};

/// Everything that has a name at one moment, in the order of the statements.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    pub authorities: Vec<Authority>,
    pub services: Vec<Called>,
    pub teams: Vec<Team>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Authority {
    pub called: Called,
    /// Further columns of the statement.
    pub words: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Team {
    #[serde(flatten)]
    pub called: Called,
    pub service: Option<String>,
    pub authority: Option<String>,
    pub parent: Option<String>,
}

/// A row of a statement: its columns by name, those that are null left out.
type Row = BTreeMap<String, String>;

impl Names {
    /// # Errors
    /// A statement that fails.
    pub async fn read(
        engine: &Engine,
        choices: &Choices,
        as_of: Option<AsOf>,
        known_at: Option<AsOf>,
    ) -> Result<Self, QueryError> {
        let rows = async |sql: &str| -> Result<Vec<Row>, QueryError> {
            if sql.is_empty() {
                return Ok(Vec::new());
            }
            let answer = engine.session(as_of, known_at).sql(sql).await?;
            Ok(answer.collect().await?.iter().flat_map(rows_of).collect())
        };
        let authorities = rows(&choices.authorities).await?.into_iter().filter_map(|mut row| {
            let called = called(&mut row)?;
            Some(Authority { called, words: row })
        });
        let authorities = authorities.collect();
        let services = rows(&choices.services).await?.into_iter();
        let services = services.filter_map(|mut row| called(&mut row)).collect();
        let teams = rows(&choices.teams).await?.into_iter().filter_map(|mut row| {
            Some(Team {
                called: called(&mut row)?,
                service: row.remove("service"),
                authority: row.remove("authority"),
                parent: row.remove("parent"),
            })
        });
        Ok(Self {
            authorities,
            services,
            teams: teams.collect(),
        })
    }

    /// Whether nothing has a name: the tables behind the names have not been read.
    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.teams.is_empty()
    }

    pub fn authority(&self, id: &str) -> Option<&Authority> {
        self.authorities.iter().find(|authority| authority.called.id == id)
    }

    pub fn service(&self, id: &str) -> Option<&Called> {
        self.services.iter().find(|service| service.id == id)
    }

    pub fn team(&self, id: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.called.id == id)
    }

    /// The name of a value of a level's label; its id where it has none.
    pub fn name_of(&self, level: &str, id: &str) -> String {
        let called = match level {
            "authority" => self.authority(id).map(|authority| &authority.called),
            "service" => self.service(id),
            _ => self.team(id).map(|team| &team.called),
        };
        called.map_or_else(|| id.to_owned(), |called| called.name.clone())
    }

    /// These teams and all below them. A circle in the source ends.
    pub fn trees(&self, roots: &BTreeSet<String>) -> BTreeSet<String> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for team in &self.teams {
            if let Some(parent) = &team.parent {
                below.entry(parent).or_default().push(&team.called.id);
            }
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if found.insert(id.to_owned()) {
                open.extend(below.get(id).into_iter().flatten());
            }
        }
        found
    }

    /// What a viewer may look at.
    pub fn within(&self, scope: &Scope) -> Self {
        let own_teams = scope.teams.as_ref().map(|teams| self.trees(teams));
        let may_authority =
            |id: &str| own_teams.is_none() && scope.authorities.as_ref().is_none_or(|allowed| allowed.contains(id));
        let may_team = |team: &Team| {
            let in_authority = scope.authorities.as_ref().is_none_or(|allowed| {
                let of = team.authority.as_ref();
                of.is_some_and(|of| allowed.contains(of))
            });
            in_authority && own_teams.as_ref().is_none_or(|own| own.contains(&team.called.id))
        };
        let authorities = self.authorities.iter().filter(|it| may_authority(&it.called.id));
        Self {
            authorities: authorities.cloned().collect(),
            services: if own_teams.is_some() {
                Vec::new()
            } else {
                self.services.clone()
            },
            teams: self.teams.iter().filter(|team| may_team(team)).cloned().collect(),
        }
    }

    /// What a `$word` of a benchmark stands for: a column of the authority that is looked at, or of the only one.
    pub fn word(&self, subject: &Subject, word: &str) -> Option<&str> {
        let id = match (&subject.authority, &subject.team) {
            (Some(id), _) => Some(id),
            (None, Some(team)) => self.team(team)?.authority.as_ref(),
            (None, None) => None,
        };
        let authority = match id {
            Some(id) => self.authority(id)?,
            None => self.authorities.first().filter(|_| self.authorities.len() == 1)?,
        };
        authority.words.get(word).map(String::as_str)
    }
}

fn called(row: &mut Row) -> Option<Called> {
    let id = row.remove("id")?;
    let name = row.remove("name").unwrap_or_else(|| id.clone());
    Some(Called { id, name })
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, column)| Some((field.name().clone(), cast(column, &DataType::Utf8).ok()?)))
        .collect();
    let row = |at: usize| {
        let known = columns.iter().filter(|(_, column)| column.is_valid(at));
        known
            .map(|(name, column)| (name.clone(), column.as_string::<i32>().value(at).to_owned()))
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}
