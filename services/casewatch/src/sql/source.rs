//! Where a statement runs.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
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
        as_of: Option<String>,
        known_at: Option<String>,
        assume_known: bool,
    },
    Lake(Box<OfflineLake>),
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
                as_of: args.as_of.clone(),
                known_at: args.known_at.clone(),
                assume_known: args.assume_known,
            }),
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
                as_of,
                known_at,
                assume_known,
            } => {
                let address = url.join("sql").map_err(Failure::usage)?;
                let request = SqlRequest {
                    sql: statement.to_owned(),
                    as_of: as_of.clone(),
                    known_at: known_at.clone(),
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
