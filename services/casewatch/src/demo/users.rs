//! Users of one run of the demo, with passwords of their own, in a users file as a real system has it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use casewatch_query::{DemoUser, Users};

use crate::failure::Failure;

pub const FILE: &str = "users.toml";
/// A team of the synthetic authority, for its manager.
const TEAM: &str = "NT000007";

/// Writes the file, readable by nobody else.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(folder: &Path) -> Result<Vec<DemoUser>, Failure> {
    let made = Users::demo(TEAM);
    let mut text = String::new();
    for DemoUser { user, .. } in &made {
        let (name, role, secret) = (&user.name, &user.role, user.secret.to_string());
        let entry = writeln!(text, "[[user]]\nname = {name:?}\nrole = {role:?}\nsecret = {secret:?}");
        entry.expect("a text takes text");
        if let Some(teams) = &user.scope.teams {
            let teams: Vec<&String> = teams.iter().collect();
            writeln!(text, "teams = {teams:?}").expect("a text takes text");
        }
    }
    let path = folder.join(FILE);
    let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_users_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = write(folder.path()).unwrap();
        let read = Users::load(&folder.path().join(FILE)).unwrap();
        assert!(!made.is_empty());
        for DemoUser { user, .. } in made {
            assert_eq!(read.find(&user.name), Some(user));
        }
    }
}
