//! A statement that runs: its rows as they come, and its entry in the audit log when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::BytesMut;
use casewatch_contract::RecordedAt;
use casewatch_query::{AuditEntry, AuditPermit, User};
use chrono_tz::Tz;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::catalog::rewrite::shown_name;
use crate::copy::CopyFormat;
use crate::encode::Rows;
use crate::error::{Failure, state};
use crate::metrics::GatewayMetrics;
use crate::types::{Described, Format, format_at};

/// What is told of a statement when it ends, however it ends.
pub(crate) struct Account {
    /// None: it reads nothing of anybody, such as SHOW.
    pub(crate) audit: Option<(AuditPermit, Told)>,
    pub(crate) started: Instant,
    pub(crate) metrics: GatewayMetrics,
    rows: u64,
    is_told: bool,
}

/// Who asked what.
pub(crate) struct Told {
    pub(crate) at: RecordedAt,
    pub(crate) user: Arc<User>,
    pub(crate) client: String,
    pub(crate) action: String,
    pub(crate) reason: Option<String>,
}

impl Account {
    pub(crate) fn new(audit: Option<(AuditPermit, Told)>, metrics: GatewayMetrics) -> Self {
        Self {
            audit,
            started: Instant::now(),
            metrics,
            rows: 0,
            is_told: false,
        }
    }

    pub(crate) fn end(&mut self, outcome: Result<(), &str>) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let elapsed = self.started.elapsed();
        self.metrics.ended(outcome.err(), elapsed);
        self.metrics.rows.inc_by(self.rows);
        if let Some((permit, told)) = self.audit.take() {
            permit.record(AuditEntry {
                at: told.at,
                role: told.user.role.clone(),
                user: told.user.name.clone(),
                surface: "sql",
                client: told.client,
                action: told.action,
                reason: told.reason,
                rows: self.rows,
                elapsed,
                outcome: outcome.map_err(str::to_owned),
            });
        }
    }
}

impl Drop for Account {
    /// Rows were left unread: the client closed the portal, or is gone.
    fn drop(&mut self) {
        self.end(Err(state::CONNECTION_FAILURE));
    }
}

/// A statement's rows, and how far they were sent.
pub(crate) struct Running {
    rows: SendableRecordBatchStream,
    /// Given back with its last row.
    place: Option<Place>,
    /// As PostgreSQL calls the columns.
    names: Vec<String>,
    /// What was read and not yet sent, and where it goes on.
    batch: Option<(Rows, usize)>,
    is_done: bool,
    pub(crate) account: Account,
    pub(crate) zone: Tz,
    /// The word that ends it.
    pub(crate) tag: &'static str,
    /// The statement, to tell where in it an error stands.
    sql: String,
}

impl Running {
    pub(crate) fn new(
        rows: SendableRecordBatchStream,
        account: Account,
        zone: Tz,
        tag: &'static str,
        sql: &str,
    ) -> Self {
        Self {
            names: shown_names(&rows.schema()),
            rows,
            place: None,
            batch: None,
            is_done: false,
            account,
            zone,
            tag,
            sql: sql.to_owned(),
        }
    }

    /// Holds `place` until the last row was read, or nobody reads on.
    pub(crate) fn in_place(self, place: Place) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }

    /// Rows of text that are known already.
    pub(crate) fn known(names: &[&str], rows: &[Vec<String>], metrics: GatewayMetrics, tag: &'static str) -> Self {
        let fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, false))
            .collect();
        let columns = (0..names.len()).map(|place| {
            let values = rows.iter().map(|row| row[place].as_str());
            Arc::new(values.map(Some).collect::<StringArray>()) as ArrayRef
        });
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).map_err(Into::into);
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([batch])));
        Self::new(rows, Account::new(None, metrics), chrono_tz::UTC, tag, "")
    }

    pub(crate) fn description(&self, formats: &[i16]) -> RowDescription {
        describe(&self.rows.schema(), formats)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    pub(crate) fn formats(&self, codes: &[i16]) -> Vec<Format> {
        (0..self.names.len()).map(|place| format_at(codes, place)).collect()
    }

    /// The next row, as DataRow has it; none after the last.
    ///
    /// # Errors
    /// What became of the statement instead.
    pub(crate) async fn next(
        &mut self,
        formats: &[Format],
        cancelled: &CancellationToken,
    ) -> Result<Option<DataRow>, Failure> {
        let zone = self.zone;
        let Some((rows, row)) = self.advance(cancelled).await? else {
            return Ok(None);
        };
        let mut data = BytesMut::with_capacity(64);
        rows.put(row, formats, zone, &mut data);
        let width = i16::try_from(rows.width()).unwrap_or(i16::MAX);
        Ok(Some(DataRow::new(data, width)))
    }

    /// The next row as a line of COPY.
    pub(crate) async fn next_line(
        &mut self,
        format: &CopyFormat,
        cancelled: &CancellationToken,
    ) -> Result<Option<BytesMut>, Failure> {
        let zone = self.zone;
        let Some((rows, row)) = self.advance(cancelled).await? else {
            return Ok(None);
        };
        let mut line = BytesMut::with_capacity(64);
        format.put_row(rows, row, zone, &mut line);
        Ok(Some(line))
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.batch = None;
        self.place = None;
    }

    async fn advance(&mut self, cancelled: &CancellationToken) -> Result<Option<(&Rows, usize)>, Failure> {
        loop {
            match &mut self.batch {
                Some((rows, next)) if *next < rows.count() => break,
                _ if self.is_done => {
                    self.account.end(Ok(()));
                    return Ok(None);
                }
                _ => {}
            }
            let read = tokio::select! {
                biased;
                () = cancelled.cancelled() => Err(Failure::cancelled()),
                batch = self.rows.next() => match batch {
                    None => Ok(None),
                    Some(Ok(batch)) => Rows::new(&batch).map(Some).map_err(|error| Failure::of_arrow(&error)),
                    Some(Err(error)) => Err(Failure::of_datafusion(&error, &self.sql)),
                },
            };
            match read {
                Ok(Some(rows)) => self.batch = Some((rows, 0)),
                Ok(None) => self.finish(),
                Err(failure) => {
                    self.finish();
                    self.account.end(Err(failure.code));
                    return Err(failure);
                }
            }
        }
        let Some((rows, next)) = &mut self.batch else {
            return Ok(None);
        };
        let row = *next;
        *next += 1;
        self.account.rows += 1;
        Ok(Some((rows, row)))
    }
}

/// One of the places for statements that run. It is free again when it is dropped, and in any case when the statement's time
/// is over: a client may begin to read rows and never go on.
pub(crate) struct Place {
    _held: oneshot::Sender<()>,
}

impl Place {
    /// Waits for a place among `places`, within the statement's own time.
    ///
    /// # Errors
    /// All are taken for so long.
    pub(crate) async fn among(places: &Arc<Semaphore>, limit: Duration) -> Result<Self, Failure> {
        let Ok(Ok(permit)) = timeout(limit, places.clone().acquire_owned()).await else {
            let failure = Failure::new(state::CONFIGURATION_LIMIT, "too many statements run at the moment");
            return Err(failure.hint("try again; gateway.running bounds them"));
        };
        let (held, given_back) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let _ = timeout(limit, given_back).await;
            drop(permit);
        });
        Ok(Self { _held: held })
    }
}

fn shown_names(schema: &SchemaRef) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| shown_name(field.name()).to_owned()).collect()
}

/// Columns as a client is told of them.
pub(crate) fn describe(schema: &SchemaRef, formats: &[i16]) -> RowDescription {
    let fields = schema.fields().iter().zip(shown_names(schema)).enumerate();
    let described: Vec<FieldDescription> = fields
        .map(|(place, (field, name))| Described::of_field(field).description(&name, format_at(formats, place)))
        .collect();
    RowDescription::new(described)
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

    async fn two_rows(places: &Arc<Semaphore>) -> Running {
        let metrics = GatewayMetrics::new(&Registry::new());
        let rows = [vec!["1".to_owned()], vec!["2".to_owned()]];
        let place = Place::among(places, LIMIT).await.map_err(|failure| failure.message);
        Running::known(&["x"], &rows, metrics, "SELECT").in_place(place.unwrap())
    }

    /// The task that gives places back has had its turn.
    async fn free(places: &Arc<Semaphore>) -> usize {
        tokio::time::sleep(Duration::from_millis(20)).await;
        places.available_permits()
    }

    #[tokio::test]
    async fn a_statement_holds_its_place_to_its_last_row() {
        let places = Arc::new(Semaphore::new(1));
        let never = CancellationToken::new();
        let mut running = two_rows(&places).await;
        let formats = running.formats(&[]);
        for _ in 0..2 {
            assert!(running.next(&formats, &never).await.is_ok_and(|row| row.is_some()));
            assert_eq!(free(&places).await, 0);
        }
        assert!(running.next(&formats, &never).await.is_ok_and(|row| row.is_none()));
        assert_eq!(
            free(&places).await,
            1,
            "and no longer, whether or not its portal is closed"
        );
    }

    #[tokio::test]
    async fn a_statement_that_nobody_reads_on_gives_its_place_back() {
        let places = Arc::new(Semaphore::new(1));
        let closed = two_rows(&places).await;
        drop(closed);
        assert_eq!(free(&places).await, 1);
        let _forgotten = two_rows(&places).await;
        let began = tokio::time::Instant::now();
        assert!(
            Place::among(&places, LIMIT / 4).await.is_err(),
            "not before its time is over"
        );
        let place = Place::among(&places, LIMIT).await;
        assert!(place.is_ok() && began.elapsed() >= LIMIT);
    }
}
