//! Where a statement runs.

use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::SqlArgs;
use crate::failure::Failure;
use crate::offline::OfflineLake;

/// What the HTTP interface takes at `/sql`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SqlRequest {
    pub sql: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<String>,
    #[serde(default)]
    pub assume_known: bool,
}

/// The header of an answer of `/sql` that says what whoever reads the rows should know of them.
pub const NOTE: &str = "casewatch-note";

/// The headers that say of which moments the next statement is to be asked: SET changes them, and an instance keeps
/// nothing between two statements.
pub const AS_OF: &str = "casewatch-as-of";
pub const KNOWN_AT: &str = "casewatch-known-at";
/// No moment is set.
pub const NOW: &str = "now";

/// A statement's answer.
pub struct Rows {
    pub batches: Vec<RecordBatch>,
    /// What whoever reads the rows should know of them.
    pub note: Option<String>,
}

impl Rows {
    /// On standard error: standard output is for rows, whatever their format.
    pub fn tell_note(&self) {
        if let Some(note) = &self.note {
            eprintln!("note: {note}");
        }
    }
}

pub enum Source {
    Instance {
        client: reqwest::Client,
        url: Url,
        moments: Mutex<Moments>,
        assume_known: bool,
    },
    Lake(Box<OfflineLake>),
}

/// Of which moments an instance is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moments {
    as_of: Option<String>,
    known_at: Option<String>,
}

impl Moments {
    /// Takes over what an answer says. An instance that does not say leaves them as they are.
    fn follow(&mut self, headers: &HeaderMap) {
        for (name, moment) in [(AS_OF, &mut self.as_of), (KNOWN_AT, &mut self.known_at)] {
            if let Some(told) = headers.get(name).and_then(|told| told.to_str().ok()) {
                *moment = (told != NOW).then(|| told.to_owned());
            }
        }
    }
}

impl Source {
    /// # Errors
    /// A lake that cannot be opened; an instance is asked at the first statement.
    pub async fn open(args: &SqlArgs) -> Result<Self, Failure> {
        match &args.lake {
            Some(lake) => {
                let offline = OfflineLake::open(lake, args).await?;
                Ok(Self::Lake(Box::new(offline)))
            }
            None => Ok(Self::Instance {
                client: reqwest::Client::new(),
                url: args.url.clone(),
                moments: Mutex::new(Moments {
                    as_of: args.as_of.clone(),
                    known_at: args.known_at.clone(),
                }),
                assume_known: args.assume_known,
            }),
        }
    }

    /// An instance, at its newest cut.
    pub fn at(url: Url) -> Self {
        Self::Instance {
            client: reqwest::Client::new(),
            url,
            moments: Mutex::default(),
            assume_known: false,
        }
    }

    /// Runs one statement to its end.
    ///
    /// # Errors
    /// The statement's own error as the engine words it, or that nothing answers.
    pub async fn query(&self, statement: &str) -> Result<Rows, Failure> {
        match self {
            Self::Lake(lake) => lake.query(statement).await,
            Self::Instance {
                client,
                url,
                moments,
                assume_known,
            } => {
                let address = url.join("sql").map_err(Failure::usage)?;
                let moment = moments.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let request = SqlRequest {
                    sql: statement.to_owned(),
                    as_of: moment.as_of,
                    known_at: moment.known_at,
                    assume_known: *assume_known,
                };
                let response = client
                    .post(address.clone())
                    .json(&request)
                    .send()
                    .await
                    .map_err(|error| {
                        Failure::failed(format!(
                            "nothing answers at {address}: {error}\n\
                         hint: start `casewatch run` or `make demo`, name it with --url, or use --lake"
                        ))
                    })?;
                let status = response.status();
                if status.is_success() {
                    let mut moments = moments.lock().unwrap_or_else(PoisonError::into_inner);
                    moments.follow(response.headers());
                }
                let note = response.headers().get(NOTE).and_then(|note| note.to_str().ok());
                let note = note.map(str::to_owned);
                let body = response.bytes().await.map_err(|error| {
                    Failure::failed(format!(
                        "the answer broke off: {error}\nhint: the statement may have met its deadline"
                    ))
                })?;
                if !status.is_success() {
                    return Err(Failure::failed(String::from_utf8_lossy(&body).into_owned()));
                }
                let reader = StreamReader::try_new(body.as_ref(), None).map_err(Failure::failed)?;
                let batches = reader.collect::<Result<Vec<_>, _>>().map_err(Failure::failed)?;
                Ok(Rows { batches, note })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn the_moments_of_the_next_statement_are_those_that_the_instance_tells_and_else_stay() {
        let asked = Moments {
            as_of: Some("2018-01-31".to_owned()),
            known_at: Some("2018-03-01".to_owned()),
        };
        let mut moments = asked.clone();
        moments.follow(&HeaderMap::new());
        assert_eq!(moments, asked);
        let told = |name, value| (name, HeaderValue::from_static(value));
        let headers = [told(AS_OF, "2018-02-28"), told(KNOWN_AT, NOW)];
        moments.follow(
            &headers
                .map(|(name, value)| (name.parse().unwrap(), value))
                .into_iter()
                .collect(),
        );
        let followed = Moments {
            as_of: Some("2018-02-28".to_owned()),
            known_at: None,
        };
        assert_eq!(moments, followed);
    }
}
