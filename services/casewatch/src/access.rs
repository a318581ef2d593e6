//! Who may sign in, as the users file has it now, and the audit log of what they see: for every surface that shows rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use casewatch_query::{AccessError, AuditLog, AuditWriter, Engine, Users};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::opened::Opened;

/// How often the users file is looked at. Polling works on every kind of mount.
const PERIOD: Duration = Duration::from_secs(1);

/// What surfaces ask before they show anything.
#[derive(Clone)]
pub struct Access {
    /// The users as they were last read; a file that is refused changes nothing. Nobody, where none is configured.
    pub users: watch::Receiver<Arc<Users>>,
    pub audit: AuditLog,
}

/// What keeps [`Access`] true while the system runs.
pub struct Keeping {
    file: Option<(PathBuf, String)>,
    users: watch::Sender<Arc<Users>>,
    writer: AuditWriter,
}

impl Access {
    /// # Errors
    /// A users file that is refused, with its line and key.
    pub fn open(opened: &Opened) -> Result<(Self, Keeping), Failure> {
        let (file, users) = match &opened.config.access.users {
            None => (None, Users::default()),
            Some(path) => {
                let text = text_of(path).map_err(|error| Failure::usage(format!("access.users: {error}")))?;
                let users = Users::parse(&text, path).map_err(Failure::usage)?;
                (Some((path.clone(), text)), users)
            }
        };
        let (users, current) = watch::channel(Arc::new(users));
        let (audit, writer) = AuditLog::new(opened.lake.clone(), opened.contract.clone());
        let access = Self { users: current, audit };
        Ok((access, Keeping { file, users, writer }))
    }

    /// A user whom the policy refuses could sign in and would see nothing: better told now than then.
    pub fn warn_of_roles(&self, engine: &Engine) {
        for user in self.users.borrow().iter() {
            let granted = match engine.policy() {
                Some(policy) => policy.grant(user).map(drop),
                None => Err(AccessError::NoPolicy),
            };
            if let Err(error) = granted {
                tracing::warn!("{error}");
            }
        }
    }
}

impl Keeping {
    /// Until `stop`; then what the log still has is written.
    pub async fn run(self, stop: CancellationToken) {
        let following = follow(self.file, self.users);
        tokio::pin!(following);
        let writing = self.writer.run(stop.cancelled());
        tokio::pin!(writing);
        tokio::select! {
            () = &mut writing => {}
            () = &mut following => writing.await,
        }
    }
}

/// Reads the file again whenever it is another.
async fn follow(file: Option<(PathBuf, String)>, users: watch::Sender<Arc<Users>>) {
    let Some((path, mut handled)) = file else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(PERIOD).await;
        // While it is being replaced, it may not be there for a moment.
        let Ok(text) = text_of(&path) else { continue };
        if text == handled {
            continue;
        }
        match Users::parse(&text, &path) {
            Ok(read) => {
                tracing::info!(users = read.iter().count(), "the users file was read again");
                users.send_replace(Arc::new(read));
            }
            Err(error) => tracing::error!("the users stay as they were: {error}"),
        }
        handled = text;
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        format!("{path} cannot be read: {error}\nhint: casewatch user add NAME --role ROLE --users {path}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_query::ScramSecret;

    #[tokio::test]
    async fn a_changed_file_is_followed_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let entry = |name: &str| {
            let secret = ScramSecret::of_password("x");
            format!("[[user]]\nname = \"{name}\"\nrole = \"viewer\"\nsecret = \"{secret}\"\n")
        };
        std::fs::write(&path, "").unwrap();
        let (sender, mut users) = watch::channel(Arc::new(Users::default()));
        let following = tokio::spawn(follow(Some((path.clone(), String::new())), sender));
        std::fs::write(&path, entry("ann")).unwrap();
        users.changed().await.unwrap();
        assert!(users.borrow_and_update().find("ann").is_some());
        std::fs::write(&path, "[[user]]\nname = 1").unwrap();
        tokio::time::sleep(PERIOD * 2).await;
        assert!(!users.has_changed().unwrap());
        std::fs::write(&path, entry("bob")).unwrap();
        users.changed().await.unwrap();
        assert!(users.borrow_and_update().find("ann").is_none());
        following.abort();
    }
}
