//! What is looked at - everything, an authority, a service, a team with the teams below it - and what a viewer may look at.

use std::collections::BTreeSet;

use casewatch_query::Scope;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use crate::layout::LEVELS;
use crate::names::Names;

/// What an address asks for. Unknown keys, such as a theme, are somebody else's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Asked {
    pub authority: Option<String>,
    pub service: Option<String>,
    pub team: Option<String>,
    pub as_of: Option<String>,
    pub known_at: Option<String>,
}

impl Asked {
    /// An empty value is none: forms send all their fields.
    pub fn cleaned(self) -> Self {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            authority: some(self.authority),
            service: some(self.service),
            team: some(self.team),
            as_of: some(self.as_of),
            known_at: some(self.known_at),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    #[error("no {level} is called \"{id}\" at that time")]
    Unknown { level: &'static str, id: String },
    #[error("you may not look at {level} \"{id}\"")]
    Forbidden { level: &'static str, id: String },
}

/// What is looked at, resolved: which series belong to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub authority: Option<String>,
    pub service: Option<String>,
    pub team: Option<String>,
    /// The team and those below it; all teams that may be seen when no team is looked at and only some may.
    teams: Option<BTreeSet<String>>,
    /// Authorities that may be seen, when no authority is looked at and only some may.
    authorities: Option<BTreeSet<String>>,
}

/// An authority, service or team as it is named to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    pub id: String,
    pub name: String,
}

impl Subject {
    /// What is asked for, within what may be seen. Whoever may see one authority or a few teams alone starts there.
    ///
    /// # Errors
    /// What is unknown, and what may not be seen.
    pub fn resolve(asked: &Asked, scope: &Scope, names: &Names) -> Result<Self, SubjectError> {
        let mut subject = Self {
            authority: asked.authority.clone(),
            service: asked.service.clone(),
            team: asked.team.clone(),
            ..Self::default()
        };
        let own_teams = scope.teams.as_ref().map(|teams| names.trees(teams));
        if let Some(own) = &own_teams {
            // Totals of an authority or a service are more than their own teams'.
            if let Some(team) = &subject.team
                && !own.contains(team)
            {
                return Err(forbidden(2, team));
            }
            if subject.team.is_none() && (subject.authority.is_some() || subject.service.is_some()) {
                let (level, id) = match (&subject.authority, &subject.service) {
                    (Some(id), _) => (0, id),
                    (_, id) => (1, id.as_ref().expect("one of the two was asked for")),
                };
                return Err(forbidden(level, id));
            }
            if subject.team.is_none() {
                subject.team = scope.teams.as_ref().and_then(|teams| teams.first().cloned());
            }
        }
        if let Some(authorities) = &scope.authorities {
            if let Some(id) = &subject.authority
                && !authorities.contains(id)
            {
                return Err(forbidden(0, id));
            }
            let only = authorities.first().filter(|_| authorities.len() == 1);
            if subject.authority.is_none() && subject.team.is_none() {
                subject.authority = only.cloned();
            }
            subject.authorities = Some(authorities.clone());
        }
        if let Some(id) = &subject.team {
            let team = names.team(id);
            // Before the names are known nothing else is, and nothing is given away.
            if team.is_none() && !names.is_empty() {
                return Err(unknown(2, id));
            }
            if let Some(allowed) = &subject.authorities
                && !team
                    .and_then(|team| team.authority.as_ref())
                    .is_some_and(|of| allowed.contains(of))
            {
                return Err(forbidden(2, id));
            }
            subject.teams = Some(names.trees(&BTreeSet::from([id.clone()])));
        }
        if let Some(id) = &subject.authority
            && subject.team.is_none()
            && !names.is_empty()
            && names.authority(id).is_none()
        {
            return Err(unknown(0, id));
        }
        if let Some(id) = &subject.service
            && !names.services.is_empty()
            && names.service(id).is_none()
        {
            return Err(unknown(1, id));
        }
        Ok(subject)
    }

    /// The narrowest level that is looked at.
    pub fn level(&self) -> Option<&'static str> {
        let named = [&self.authority, &self.service, &self.team];
        let narrowest = LEVELS.into_iter().zip(named).rev().find(|(_, id)| id.is_some());
        narrowest.map(|(level, _)| level)
    }

    /// Whether a series with this value of a level's label belongs to what is looked at.
    pub fn holds(&self, level: &str, value: &str) -> bool {
        let is = |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| wanted == value);
        match level {
            // A team's address may name an authority or a service that it was in at another time.
            "authority" if self.team.is_some() => true,
            "service" if self.team.is_some() => true,
            "authority" => {
                is(&self.authority) && self.authorities.as_ref().is_none_or(|allowed| allowed.contains(value))
            }
            "service" => is(&self.service),
            _ => self.teams.as_ref().is_none_or(|teams| teams.contains(value)),
        }
    }

    /// Of a series that is not combined: an authority that may not be seen is left out, whatever the roll-up says.
    pub fn holds_own(&self, level: &str, value: &str) -> bool {
        level != "authority" || self.holds(level, value)
    }

    /// The value that the one series of what is looked at has at a level; none: any, where there is but one.
    pub fn own<'a>(&'a self, level: &str, rollup: &'a str) -> Option<&'a str> {
        match level {
            "authority" if self.team.is_some() => None,
            "authority" => self.authority.as_deref(),
            "service" if self.team.is_some() => None,
            "service" => Some(self.service.as_deref().unwrap_or(rollup)),
            _ => Some(self.team.as_deref().unwrap_or(rollup)),
        }
    }

    /// The same with another value at a level: a row of a table.
    pub fn with(&self, level: &str, id: &str, names: &Names) -> Self {
        let mut row = self.clone();
        let id = id.to_owned();
        match level {
            "authority" => row.authority = Some(id),
            "service" => row.service = Some(id),
            _ => {
                row.teams = Some(names.trees(&BTreeSet::from([id.clone()])));
                row.team = Some(id);
            }
        }
        row
    }

    /// The address of its page.
    pub fn link(&self) -> String {
        let escape = |text: &str| -> String { byte_serialize(text.as_bytes()).collect() };
        if let Some(team) = &self.team {
            return format!("/?team={}", escape(team));
        }
        let named = [("authority", &self.authority), ("service", &self.service)];
        let parts = named
            .iter()
            .filter_map(|(key, id)| Some(format!("{key}={}", escape(id.as_ref()?))));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{}", parts.join("&"))
        }
    }
}

fn forbidden(level: usize, id: &str) -> SubjectError {
    SubjectError::Forbidden {
        level: LEVELS[level],
        id: id.to_owned(),
    }
}

fn unknown(level: usize, id: &str) -> SubjectError {
    SubjectError::Unknown {
        level: LEVELS[level],
        id: id.to_owned(),
    }
}
