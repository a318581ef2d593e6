//! A statement that runs: its rows as they come, and its entry in the audit log when it ends.

use std::sync::Arc;
use std::time::Instant;

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
            batch: None,
            is_done: false,
            account,
            zone,
            tag,
            sql: sql.to_owned(),
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
                Ok(None) => {
                    self.is_done = true;
                    self.batch = None;
                }
                Err(failure) => {
                    self.is_done = true;
                    self.batch = None;
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
