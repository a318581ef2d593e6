//! Settings of a connection: those that clients send out of habit, and casewatch's own.

use std::collections::BTreeMap;
use std::time::Duration;

use casewatch_query::AsOf;
use chrono_tz::Tz;

use crate::error::{Failure, state};

/// Reported at the start of a connection and again when they change: clients rely on them.
pub(crate) const REPORTED: [&str; 14] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// The version whose catalog and behaviour clients may expect.
pub(crate) const SERVER_VERSION: &str = "15.0";

/// Name, value at start, and whether a client may set it.
const DEFAULTS: [(&str, &str, bool); 44] = [
    ("application_name", "", true),
    ("bytea_output", "hex", true),
    ("client_encoding", "UTF8", true),
    ("client_min_messages", "notice", true),
    ("DateStyle", "ISO, YMD", true),
    ("default_transaction_isolation", "repeatable read", true),
    ("default_transaction_read_only", "on", true),
    ("enable_hashjoin", "on", true),
    ("enable_mergejoin", "on", true),
    ("enable_nestloop", "on", true),
    ("enable_seqscan", "on", true),
    ("extra_float_digits", "1", true),
    ("geqo", "on", true),
    ("idle_in_transaction_session_timeout", "0", true),
    ("idle_session_timeout", "0", true),
    ("in_hot_standby", "off", false),
    ("integer_datetimes", "on", false),
    ("IntervalStyle", "postgres", true),
    ("is_superuser", "off", false),
    ("jit", "off", true),
    ("lc_collate", "C", false),
    ("lc_ctype", "C.UTF-8", false),
    ("lc_messages", "C", true),
    ("lc_monetary", "C", true),
    ("lc_numeric", "C", true),
    ("lc_time", "C", true),
    ("lock_timeout", "0", true),
    ("max_identifier_length", "63", false),
    ("max_index_keys", "32", false),
    ("quote_all_identifiers", "off", true),
    ("row_security", "on", true),
    ("scram_iterations", "4096", false),
    ("search_path", "\"$user\", public", true),
    ("server_encoding", "UTF8", false),
    ("server_version", SERVER_VERSION, false),
    ("server_version_num", "150000", false),
    ("session_authorization", "", false),
    ("standard_conforming_strings", "on", true),
    ("statement_timeout", "0", true),
    ("synchronize_seqscans", "on", true),
    ("TimeZone", "Europe/London", true),
    ("transaction_isolation", "repeatable read", true),
    ("transaction_read_only", "on", true),
    ("work_mem", "4MB", true),
];

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What differs from the start.
    values: BTreeMap<&'static str, String>,
    pub(crate) zone: Tz,
    pub(crate) as_of: Option<AsOf>,
    pub(crate) known_at: Option<AsOf>,
    /// Why somebody looks at what they look at, for the audit.
    pub(crate) reason: Option<String>,
    /// Shorter than the gateway's own.
    pub(crate) statement_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            zone: chrono_tz::Europe::London,
            as_of: None,
            known_at: None,
            reason: None,
            statement_timeout: None,
        }
    }
}

fn known(name: &str) -> Option<&'static (&'static str, &'static str, bool)> {
    let name = match name.to_ascii_lowercase().as_str() {
        "time zone" | "timezone" => "TimeZone".to_owned(),
        "names" => "client_encoding".to_owned(),
        _ => name.to_owned(),
    };
    DEFAULTS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&name))
}

impl Settings {
    /// Takes over what a client said of itself when it connected; settings that are not known are passed over, as
    /// clients send some for other servers.
    pub(crate) fn start(user: &str, parameters: impl Iterator<Item = (String, String)>) -> Self {
        let mut settings = Self::default();
        settings.values.insert("session_authorization", user.to_owned());
        for (name, value) in parameters {
            if name == "options" {
                for (name, value) in options(&value) {
                    let _ = settings.set(&name, &value);
                }
            } else if !matches!(name.as_str(), "user" | "database") {
                let _ = settings.set(&name, &value);
            }
        }
        settings
    }

    /// Sets one; the name of a reported setting that changed is returned.
    ///
    /// # Errors
    /// A setting that is not there, or may not be set, or not to this.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<Option<&'static str>, Failure> {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "casewatch.as_of" => self.as_of = moment(value)?,
            "casewatch.known_at" => self.known_at = moment(value)?,
            "casewatch.reason" => {
                self.reason = Some(value)
                    .filter(|reason| !reason.is_empty())
                    .map(|reason| reason.chars().take(1_000).collect());
            }
            _ => return self.set_usual(name, value),
        }
        Ok(None)
    }

    fn set_usual(&mut self, name: &str, value: &str) -> Result<Option<&'static str>, Failure> {
        let Some((name, default, may_be_set)) = known(name) else {
            return Err(unknown(name));
        };
        if !may_be_set {
            return Err(Failure::new("55P02", format!("parameter \"{name}\" cannot be changed")));
        }
        let value = if value.eq_ignore_ascii_case("default") {
            default
        } else {
            value
        };
        let wrong = || {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            Failure::new(state::INVALID_PARAMETER_VALUE, message)
        };
        match *name {
            "client_encoding" => {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let is_utf8 = ["utf8", "unicode", "sqlascii"].contains(&plain.to_ascii_lowercase().as_str());
                if !is_utf8 {
                    return Err(wrong().hint("text is sent in UTF-8 only"));
                }
                return Ok(None);
            }
            "TimeZone" => self.zone = zone(value).ok_or_else(wrong)?,
            "DateStyle" if !value.to_ascii_lowercase().contains("iso") => {
                return Err(wrong().hint("dates are sent in the ISO style only"));
            }
            "statement_timeout" => {
                let timeout = milliseconds(value).ok_or_else(wrong)?;
                self.statement_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            }
            "standard_conforming_strings" if !is_on(value) => return Err(wrong()),
            "default_transaction_read_only" | "transaction_read_only" if !is_on(value) => {
                // Clients ask for it before they read; what would write is refused by itself.
                return Ok(None);
            }
            _ => {}
        }
        let shown = match *name {
            "TimeZone" => self.zone.name().to_owned(),
            "DateStyle" => "ISO, YMD".to_owned(),
            _ => value.to_owned(),
        };
        self.values.insert(name, shown);
        Ok(REPORTED.contains(name).then_some(*name))
    }

    /// A value as SHOW gives it.
    ///
    /// # Errors
    /// A setting that is not there.
    pub(crate) fn show(&self, name: &str) -> Result<(String, String), Failure> {
        let moment = |moment: Option<AsOf>| moment.map_or_else(|| "now".to_owned(), |moment| moment.to_string());
        let lower = name.to_ascii_lowercase();
        let own = match lower.as_str() {
            "casewatch.as_of" => Some(moment(self.as_of)),
            "casewatch.known_at" => Some(moment(self.known_at)),
            "casewatch.reason" => Some(self.reason.clone().unwrap_or_default()),
            "transaction isolation level" => return self.show("transaction_isolation"),
            _ => None,
        };
        if let Some(value) = own {
            return Ok((lower, value));
        }
        let (name, default, _) = known(name).ok_or_else(|| unknown(name))?;
        let value = self.values.get(name).map_or(*default, String::as_str);
        Ok(((*name).to_owned(), value.to_owned()))
    }

    /// Every setting and its value, by name.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let own = ["casewatch.as_of", "casewatch.known_at", "casewatch.reason"];
        let names = own.into_iter().chain(DEFAULTS.iter().map(|(name, ..)| *name));
        names.filter_map(|name| self.show(name).ok()).collect()
    }

    /// Back to the start, but for who it is.
    pub(crate) fn reset(&mut self) {
        let user = self.values.remove("session_authorization");
        *self = Self::default();
        if let Some(user) = user {
            self.values.insert("session_authorization", user);
        }
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        state::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
    .hint("casewatch's own are casewatch.as_of, casewatch.known_at and casewatch.reason; SHOW ALL lists all")
}

fn moment(value: &str) -> Result<Option<AsOf>, Failure> {
    match value.to_ascii_lowercase().as_str() {
        "" | "now" | "default" | "none" => Ok(None),
        _ => value
            .parse()
            .map(Some)
            .map_err(|error: casewatch_query::QueryError| Failure::of_query(&error, "")),
    }
}

fn is_on(value: &str) -> bool {
    ["on", "true", "yes", "1"].contains(&value.to_ascii_lowercase().as_str())
}

/// A zone of the IANA database, or what clients write for UTC.
fn zone(value: &str) -> Option<Tz> {
    let value = value.trim_matches('\'');
    match value.to_ascii_lowercase().as_str() {
        "z" | "local" | "utc" | "gmt" | "0" | "+00" | "+00:00" | "00:00" => Some(chrono_tz::UTC),
        lower => value.parse().ok().or_else(|| {
            chrono_tz::TZ_VARIANTS
                .into_iter()
                .find(|zone| zone.name().eq_ignore_ascii_case(lower))
        }),
    }
}

/// `250`, `250ms`, `30s`, `5min`
fn milliseconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = value[..digits].parse().ok()?;
    Some(match value[digits..].trim() {
        "" | "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "min" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        _ => return None,
    })
}

/// `-c name=value --other=value`, as in PGOPTIONS.
fn options(text: &str) -> Vec<(String, String)> {
    let words = text.split_whitespace().filter_map(|word| {
        let word = word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix("-c"))
            .unwrap_or(word);
        let (name, value) = word.split_once('=')?;
        Some((name.replace('-', "_"), value.to_owned()))
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_set_out_of_habit_is_taken_and_shown() {
        let options = "-c casewatch.as_of=2018-10-17 --extra-float-digits=3";
        let said = [
            ("user", "anne"),
            ("application_name", "psql"),
            ("options", options),
            ("nobody_knows", "1"),
        ];
        let said = said.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = Settings::start("anne", said.into_iter());
        let shown = |settings: &Settings, name: &str| settings.show(name).unwrap().1;
        assert_eq!(shown(&settings, "session_authorization"), "anne");
        assert_eq!(shown(&settings, "casewatch.as_of"), "2018-10-17");
        assert_eq!(shown(&settings, "extra_float_digits"), "3");
        assert_eq!(settings.set("timezone", "america/new_york").unwrap(), Some("TimeZone"));
        assert_eq!(shown(&settings, "TimeZone"), "America/New_York");
        assert_eq!(settings.set("search_path", "public").unwrap(), None);
        settings.reset();
        assert_eq!(shown(&settings, "TimeZone"), "Europe/London");
        assert_eq!(shown(&settings, "casewatch.as_of"), "now");
        assert_eq!(shown(&settings, "session_authorization"), "anne");
    }

    #[test]
    fn what_would_be_wrong_to_accept_is_refused() {
        let mut settings = Settings::default();
        let mut code = |name: &str, value: &str| settings.set(name, value).unwrap_err().code;
        assert_eq!(code("nothing", "1"), "42704");
        assert_eq!(code("server_version", "9"), "55P02");
        assert_eq!(code("client_encoding", "LATIN1"), "22023");
        assert_eq!(code("TimeZone", "Atlantis"), "22023");
        assert_eq!(code("casewatch.as_of", "yesterday"), "22023");
        assert_eq!(code("statement_timeout", "soon"), "22023");
    }

    #[test]
    fn a_statement_may_be_given_less_time() {
        let mut settings = Settings::default();
        settings.set("statement_timeout", "5s").unwrap();
        assert_eq!(settings.statement_timeout, Some(Duration::from_secs(5)));
        settings.set("statement_timeout", "0").unwrap();
        assert_eq!(settings.statement_timeout, None);
    }
}
