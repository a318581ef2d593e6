//! Who there is: the users file, one `[[user]]` each, with a role, a scope and a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::error::AccessError;
use super::scram::ScramSecret;

/// Authorities and teams that a user is bound to. A team stands for its whole tree. Where both are given, both hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// None: all.
    pub authorities: Option<BTreeSet<String>>,
    /// None: all.
    pub teams: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// A name in `access.toml`.
    pub role: String,
    pub scope: Scope,
    pub secret: ScramSecret,
}

/// The users of one file, as they were when it was read.
#[derive(Debug, Clone, Default)]
pub struct Users {
    by_name: BTreeMap<String, Arc<User>>,
}

/// A user made for a demonstration, with the password to print.
#[derive(Debug, Clone)]
pub struct DemoUser {
    pub user: Arc<User>,
    pub password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    user: Vec<UserEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: Spanned<String>,
    role: Spanned<String>,
    #[serde(default)]
    authorities: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    teams: Option<Spanned<Vec<String>>>,
    secret: Spanned<String>,
}

impl Users {
    /// Reads a users file.
    ///
    /// # Errors
    /// A file that cannot be read; what is wrong in it, with the line and the key.
    pub fn load(path: &Path) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(path).map_err(|error| AccessError::Read {
            path: path.to_owned(),
            detail: error.to_string(),
        })?;
        Self::parse(&text, path)
    }

    /// As [`Users::load`], of a text that stands at `path`.
    ///
    /// # Errors
    /// What is wrong in it, with the line and the key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, AccessError> {
        let file: UsersFile = toml::from_str(text).map_err(|error| AccessError::Parse {
            path: path.to_owned(),
            // The parser shows the line it stumbled over, which may hold a secret.
            detail: told_without_text(text, &error),
        })?;
        let mut by_name = BTreeMap::new();
        for entry in file.user {
            let wrong = |at: Range<usize>, detail: String, hint: &str| AccessError::Value {
                path: path.to_owned(),
                line: line_of(text, at.start),
                key: key_at(text, at.start).to_owned(),
                detail,
                hint: hint.to_owned(),
            };
            let (name, at) = (entry.name.get_ref().clone(), entry.name.span());
            if !is_user_name(&name) {
                let hint = "letters, digits and any of . _ - @, at most 63";
                return Err(wrong(at, format!("\"{name}\" is no name for a user"), hint));
            }
            let secret = entry.secret.get_ref().parse::<ScramSecret>();
            let secret = secret.map_err(|detail| {
                let hint = format!("casewatch user password {name}");
                wrong(entry.secret.span(), detail, &hint)
            })?;
            if entry.role.get_ref().is_empty() {
                let hint = "the roles stand in queries/access.toml";
                return Err(wrong(entry.role.span(), "it is empty".to_owned(), hint));
            }
            let named = |names: Option<Spanned<Vec<String>>>| {
                let Some(names) = names else { return Ok(None) };
                if names.get_ref().iter().any(String::is_empty) {
                    let hint = "leave the key out where all are meant";
                    return Err(wrong(names.span(), "one of them is empty".to_owned(), hint));
                }
                Ok(Some(names.into_inner().into_iter().collect()))
            };
            let user = User {
                scope: Scope {
                    authorities: named(entry.authorities)?,
                    teams: named(entry.teams)?,
                },
                role: entry.role.into_inner(),
                name: name.clone(),
                secret,
            };
            if by_name.insert(name.clone(), Arc::new(user)).is_some() {
                let hint = "names differ from user to user";
                return Err(wrong(at, format!("another user is called {name}, too"), hint));
            }
        }
        Ok(Self { by_name })
    }

    pub fn of(users: impl IntoIterator<Item = Arc<User>>) -> Self {
        Self {
            by_name: users.into_iter().map(|user| (user.name.clone(), user)).collect(),
        }
    }

    /// The user of this name. Whether the password is right is another question, and another's (a proxy that signs
    /// people in itself).
    pub fn find(&self, name: &str) -> Option<Arc<User>> {
        self.by_name.get(name).cloned()
    }

    /// Sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Users for a demonstration, each with a password of its own: a director, the manager of `team`, an analyst and an
    /// auditor.
    pub fn demo(team: &str) -> Vec<DemoUser> {
        let team = Scope {
            teams: Some(BTreeSet::from([team.to_owned()])),
            ..Scope::default()
        };
        let users = [
            ("director", "viewer", Scope::default()),
            ("manager", "team_manager", team),
            ("analyst", "analyst", Scope::default()),
            ("auditor", "auditor", Scope::default()),
            ("lookup", "caseworker_lookup", Scope::default()),
        ];
        let made = users.map(|(name, role, scope)| {
            let password = new_password();
            let user = User {
                name: name.to_owned(),
                role: role.to_owned(),
                scope,
                secret: ScramSecret::of_password(&password),
            };
            DemoUser {
                user: Arc::new(user),
                password,
            }
        });
        made.into()
    }
}

/// 80 bits, in letters and digits that are not taken for one another.
pub fn new_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bits: u128 = rand::random();
    let letter = |at: u32| char::from(LETTERS[usize::try_from((bits >> (5 * at)) & 31).unwrap_or_default()]);
    let mut password = String::new();
    for at in 0..16 {
        if at > 0 && at % 4 == 0 {
            password.push('-');
        }
        password.push(letter(at));
    }
    password
}

/// Names that need no quotes on any surface.
pub(crate) fn is_user_name(name: &str) -> bool {
    let sound = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '@');
    !name.is_empty() && name.len() <= 63 && name.chars().all(sound)
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// The key whose value begins at a place.
pub(crate) fn key_at(text: &str, at: usize) -> &str {
    let before = &text[..at.min(text.len())];
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.split('=').next().unwrap_or_default().trim()
}

fn told_without_text(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    format!("line {line}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Users, AccessError> {
        Users::parse(text, Path::new("users.toml"))
    }

    fn entry(rest: &str) -> String {
        format!(
            "[[user]]\nname = \"ann\"\nrole = \"analyst\"\nsecret = \"{}\"\n{rest}",
            ScramSecret::of_password("x")
        )
    }

    #[test]
    fn a_user_without_authorities_and_teams_is_bound_to_none() {
        let users = parse(&entry("")).unwrap();
        assert_eq!(users.find("ann").unwrap().scope, Scope::default());
        assert!(users.find("Ann").is_none());
        let users = parse(&entry("authorities = [\"E1\"]\nteams = []\n")).unwrap();
        let scope = &users.find("ann").unwrap().scope;
        assert_eq!(scope.authorities, Some(BTreeSet::from(["E1".to_owned()])));
        assert_eq!(
            scope.teams,
            Some(BTreeSet::new()),
            "an empty list is nobody's team, not every team"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_key_and_without_the_secret() {
        let two = entry("") + "\n" + &entry("");
        let told = |text: &str| parse(text).unwrap_err().to_string();
        assert!(told(&two).starts_with("users.toml:7: name: another user is called ann, too\nhint: "));
        assert!(told(&entry("team = 1")).starts_with("users.toml: line 5: unknown field `team`"));
        let no_secret = "[[user]]\nname = \"ann\"\nrole = \"analyst\"\nsecret = \"hunter2\"\n";
        let error = told(no_secret);
        assert!(
            error.starts_with("users.toml:4: secret: expected SCRAM-SHA-256$"),
            "{error}"
        );
        assert!(!error.contains("hunter2"));
        let broken = "[[user]]\nname = \"ann\"\nrole = \"analyst\"\nsecret = \"hunter2\n";
        assert!(!told(broken).contains("hunter2"));
        assert!(told(&entry("teams = [\"\"]")).starts_with("users.toml:5: teams: one of them is empty"));
        assert!(told(&entry("").replace("ann", "a b")).starts_with("users.toml:2: name: \"a b\" is no name"));
    }

    #[test]
    fn users_of_a_demonstration_sign_in_with_what_is_printed() {
        let users = Users::demo("T1");
        let roles: Vec<_> = users.iter().map(|made| made.user.role.as_str()).collect();
        let expected = ["viewer", "team_manager", "analyst", "auditor", "caseworker_lookup"];
        assert_eq!(roles, expected);
        assert!(users.iter().all(|made| made.user.secret.verify(&made.password)));
        let passwords: BTreeSet<_> = users.iter().map(|made| &made.password).collect();
        assert_eq!(passwords.len(), users.len());
        assert!(passwords.iter().all(|password| password.len() == 19));
    }
}
