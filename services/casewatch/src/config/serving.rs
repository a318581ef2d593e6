//! What answers people and programs: HTTP, the board, and who may sign in. The gateway's section stands with the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::duration::duration;

/// Who may sign in, and how long it is known what they saw. Who may read what stands in `access.toml` of the queries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSection {
    /// The users file; without one nobody signs in.
    pub users: Option<PathBuf>,
    /// Entries of the audit log are kept for so many days.
    pub audit_days: u32,
}

impl Default for AccessSection {
    fn default() -> Self {
        Self {
            users: None,
            audit_days: 730,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Connections held at a time; the next waits.
    pub connections: usize,
    pub sql: SqlAccess,
}

/// Whose statements `/sql` answers. It knows no users, and answers with people's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlAccess {
    /// Those of this machine: nobody's, where `listen` is an address that others can reach.
    #[default]
    Local,
    /// Those of whoever reaches `listen`: for a proxy in front that knows its users.
    Anyone,
    Nobody,
}

impl Http {
    /// Whether `/sql` answers at all.
    pub fn answers_sql(&self) -> bool {
        match self.sql {
            SqlAccess::Local => self.listen.ip().is_loopback(),
            SqlAccess::Anyone => true,
            SqlAccess::Nobody => false,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            connections: 256,
            sql: SqlAccess::Local,
        }
    }
}

/// The web page for directors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Board {
    pub listen: SocketAddr,
    /// Connections held at a time; the next waits.
    pub connections: usize,
    /// Pages that follow it live at a time; the next asks again.
    pub followers: usize,
    /// Networks of proxies that sign people in themselves.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxy: Vec<IpNet>,
    /// The header in which such a proxy names the user.
    pub user_header: String,
    /// Whether whoever sits at this machine sees figures without signing in although there are users.
    pub local_viewer: bool,
    #[serde(deserialize_with = "duration")]
    pub session_idle: Duration,
    #[serde(deserialize_with = "duration")]
    pub session_longest: Duration,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
            connections: 512,
            followers: 200,
            trusted_proxy: Vec::new(),
            user_header: "X-Forwarded-User".to_owned(),
            local_viewer: false,
            session_idle: Duration::from_secs(3_600),
            session_longest: Duration::from_secs(12 * 3_600),
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not a network; expected one such as \"127.0.0.1/32\""
            ))
        })
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_without_users_is_answered_to_this_machine_unless_it_is_said_otherwise() {
        let answers = |http: &str| toml::from_str::<Http>(http).unwrap().answers_sql();
        assert!(answers(""));
        assert!(answers("listen = \"[::1]:9464\""));
        assert!(!answers("listen = \"0.0.0.0:9464\""));
        assert!(answers("listen = \"0.0.0.0:9464\"\nsql = \"anyone\""));
        assert!(!answers("sql = \"nobody\""));
    }
}
