//! `casewatch user`: the users file, edited in place. Comments and order stay; the file is replaced whole, readable by its
//! owner only, and never by one that casewatch would refuse.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use casewatch_query::{AccessError, Policy, ScramSecret, Users};
use serde::Serialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, value};

use crate::cli::{ReportFormat, UserAddArgs, UserCommand, UserListArgs};
use crate::failure::Failure;

/// The key of `[[user]]`.
const USER: &str = "user";
/// Shorter passwords are refused.
const LEAST_LETTERS: usize = 8;

/// # Errors
/// A file that cannot be read, is none, or cannot be written; a name that is taken or unknown; passwords that differ.
pub fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add(args) => add(&args),
        UserCommand::List(args) => list(&args),
        UserCommand::Remove { name, file } => {
            edit(&file.users, |users| remove(users, &name, &file.users))?;
            println!("user {name} was removed");
            Ok(())
        }
        UserCommand::Password { name, file } => {
            // A name that is not there is told before anybody types a password.
            find(&file.users, &name)?;
            let secret = ScramSecret::of_password(&new_password()?);
            edit(&file.users, |users| {
                let user = place_of(users, &name).and_then(|place| users.get_mut(place));
                let user = user.ok_or_else(|| no_user(&file.users, &name))?;
                user["secret"] = value(secret.to_string());
                Ok(())
            })?;
            println!("user {name} has a new password");
            Ok(())
        }
    }
}

fn add(args: &UserAddArgs) -> Result<(), Failure> {
    let (path, name) = (&args.file.users, &args.name);
    if path.exists() && Users::load(path).map_err(Failure::usage)?.find(name).is_some() {
        return Err(Failure::usage(AccessError::UserExists {
            path: path.clone(),
            name: name.clone(),
        }));
    }
    let policy = Policy::load(&args.queries).map_err(Failure::usage)?;
    if let Some(policy) = policy
        && !policy.roles().any(|(role, _)| role == args.role)
    {
        let known: Vec<&str> = policy.roles().map(|(role, _)| role).collect();
        return Err(Failure::usage(format!(
            "--role: access.toml has no role {}\nhint: it has {}",
            args.role,
            known.join(", ")
        )));
    }
    let secret = ScramSecret::of_password(&new_password()?);
    edit(path, |users| {
        let bound = |ids: &[String]| (!ids.is_empty()).then(|| ids.to_vec());
        let entry = Entry {
            name: name.clone(),
            role: args.role.clone(),
            authorities: bound(&args.authority),
            teams: bound(&args.team),
            secret: Some(secret.to_string()),
        };
        let text = toml::to_string(&entry).map_err(Failure::failed)?;
        let entry: DocumentMut = text.parse().map_err(Failure::failed)?;
        users.push(entry.into_table());
        Ok(())
    })?;
    println!("user {name} was added to {}", path.display());
    Ok(())
}

/// A user as the file and `--format json` have it; only the file has the secret.
#[derive(Serialize)]
struct Entry {
    name: String,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorities: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

fn list(args: &UserListArgs) -> Result<(), Failure> {
    let users = Users::load(&args.file.users).map_err(Failure::usage)?;
    let mut out = std::io::stdout().lock();
    for user in users.iter() {
        let bound = |ids: &Option<BTreeSet<String>>| ids.as_ref().map(|ids| ids.iter().cloned().collect::<Vec<_>>());
        let (authorities, teams) = (bound(&user.scope.authorities), bound(&user.scope.teams));
        let line = match args.format {
            ReportFormat::Json => {
                let entry = Entry {
                    name: user.name.clone(),
                    role: user.role.clone(),
                    authorities,
                    teams,
                    secret: None,
                };
                serde_json::to_string(&entry).map_err(Failure::failed)?
            }
            ReportFormat::Table => {
                let told = |what: &str, ids: Option<Vec<String>>| match ids {
                    Some(ids) => format!("{what} {}", ids.join(", ")),
                    None => format!("every {what}"),
                };
                let (authorities, teams) = (told("authority", authorities), told("team", teams));
                format!("{:<24}{:<20}{authorities}; {teams}", user.name, user.role)
            }
        };
        writeln!(out, "{line}").map_err(Failure::output)?;
    }
    Ok(())
}

fn remove(users: &mut ArrayOfTables, name: &str, path: &Path) -> Result<(), Failure> {
    let place = place_of(users, name).ok_or_else(|| no_user(path, name))?;
    users.remove(place);
    Ok(())
}

fn find(path: &Path, name: &str) -> Result<(), Failure> {
    let users = Users::load(path).map_err(Failure::usage)?;
    users.find(name).map(drop).ok_or_else(|| no_user(path, name))
}

fn no_user(path: &Path, name: &str) -> Failure {
    Failure::usage(AccessError::NoUser {
        path: path.to_owned(),
        name: name.to_owned(),
    })
}

fn place_of(users: &ArrayOfTables, name: &str) -> Option<usize> {
    users
        .iter()
        .position(|user| user.get("name").and_then(Item::as_str) == Some(name))
}

/// Twice from a terminal, or once from what is piped in: its first line.
fn new_password() -> Result<String, Failure> {
    let password = if std::io::stdin().is_terminal() {
        let ask = |prompt: &str| rpassword::prompt_password(prompt).map_err(Failure::failed);
        let (once, again) = (ask("Password: ")?, ask("Again: ")?);
        if once != again {
            return Err(Failure::usage("the two passwords differ; nothing was changed"));
        }
        once
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.chars().count() < LEAST_LETTERS {
        return Err(Failure::usage(format!(
            "a password has at least {LEAST_LETTERS} letters; nothing was changed\nhint: three words are easy to keep in mind"
        )));
    }
    Ok(password)
}

/// Changes the users of a file, or of one that is not there yet.
fn edit(path: &Path, change: impl FnOnce(&mut ArrayOfTables) -> Result<(), Failure>) -> Result<(), Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unwritten(path, &error)),
    };
    Users::parse(&text, path).map_err(Failure::usage)?;
    let mut document: DocumentMut = text.parse().map_err(Failure::failed)?;
    let users = document
        .entry(USER)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let users = users.as_array_of_tables_mut().ok_or_else(|| {
        let path = path.display();
        Failure::usage(format!(
            "{path}: users stand in sections [[user]], not in an inline list"
        ))
    })?;
    change(users)?;
    let text = document.to_string();
    Users::parse(&text, path).map_err(Failure::usage)?;
    replace(path, &text).map_err(|error| unwritten(path, &error))
}

/// The file is whole at any time, and nobody else's to read: a temporary file is made so.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(AccessError::Write {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use toml_edit::Table;

    use super::*;

    #[test]
    fn an_edit_keeps_comments_and_others_and_leaves_a_file_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let secret = ScramSecret::of_password("x");
        let entry = |name: &str| format!("[[user]]\nname = \"{name}\"\nrole = \"viewer\"\nsecret = \"{secret}\"\n");
        let before = format!(
            "# who there is\n{}\n# on leave until May\n{}",
            entry("ann"),
            entry("bob")
        );
        std::fs::write(&path, &before).unwrap();
        edit(&path, |users| {
            let mut user = Table::new();
            user["name"] = value("cem");
            user["role"] = value("viewer");
            user["secret"] = value(secret.to_string());
            users.push(user);
            Ok(())
        })
        .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&before), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        edit(&path, |users| remove(users, "ann", &path)).unwrap();
        let names: Vec<String> = Users::load(&path)
            .unwrap()
            .iter()
            .map(|user| user.name.clone())
            .collect();
        assert_eq!(names, ["bob", "cem"]);
        assert!(std::fs::read_to_string(&path).unwrap().contains("# on leave until May"));
    }

    #[test]
    fn a_change_that_would_be_refused_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let failure = edit(&path, |users| {
            users.push(Table::new());
            Ok(())
        });
        assert!(failure.unwrap_err().message.contains("missing field `name`"));
        assert!(!path.exists());
        assert!(
            edit(&path, |users| remove(users, "ann", &path))
                .unwrap_err()
                .message
                .contains("there is no user ann")
        );
    }
}
