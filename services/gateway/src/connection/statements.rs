//! What a statement of a connection does: read, set, begin and end.

use std::sync::Arc;

use casewatch_contract::RecordedAt;
use casewatch_query::{Limits, User};
use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::SinkExt;
use pgwire::messages::PgWireBackendMessage as Answer;
use pgwire::messages::response::{NoticeResponse, TransactionStatus};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Connection, Trouble, no_cursor, no_statement};
use crate::catalog::rewrite::rewrite;
use crate::error::{Failure, state};
use crate::portal::{Portal, put};
use crate::running::{Account, Place, Running, Told};
use crate::statement::Command;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Begins what gives rows; none for what does not.
    pub(super) async fn begin(
        &mut self,
        command: &Command,
        sql: &str,
        cancelled: &CancellationToken,
    ) -> Result<Option<Running>, Trouble> {
        let ends = matches!(command, Command::End(_));
        if matches!(self.status, TransactionStatus::Error) && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Failure::new(state::FAILED_TRANSACTION, message).into());
        }
        let known = |names: &[&str], rows: Vec<Vec<String>>| {
            Some(Running::known(names, &rows, self.shared.metrics.clone(), "SHOW"))
        };
        Ok(match command {
            Command::Read(statement, tag) => Some(self.read(statement, tag, sql, cancelled).await?),
            Command::Copy(statement, _) => Some(self.read(statement, "COPY", sql, cancelled).await?),
            Command::Show { name } => {
                let (name, value) = self.settings.show(name)?;
                known(&[name.as_str()], vec![vec![value]])
            }
            Command::ShowAll => {
                let rows = self.settings.all().into_iter();
                known(
                    &["name", "setting", "description"],
                    rows.map(|(name, value)| vec![name, value, String::new()]).collect(),
                )
            }
            _ => None,
        })
    }

    /// The user as the users file has it now: somebody removed, or with another password, is signed out.
    pub(super) fn still_there(&mut self) -> Result<Arc<User>, Failure> {
        match self.shared.user(&self.user.name) {
            Some(user) if user.secret == self.user.secret => {
                self.user = user.clone();
                Ok(user)
            }
            _ => Err(Failure::fatal(
                state::ADMIN_SHUTDOWN,
                "terminating connection: the user is gone or has another password; sign in again",
            )),
        }
    }

    fn limits(&self) -> Limits {
        let options = &self.shared.options;
        let wished = self.settings.statement_timeout.unwrap_or(options.query_deadline);
        Limits {
            session_time: wished.min(options.query_deadline),
            session_memory_bytes: options.query_memory_bytes,
            session_rows: options.query_rows,
            ..Limits::default()
        }
    }

    /// Runs a query up to its first rows.
    async fn read(
        &mut self,
        statement: &Statement,
        tag: &'static str,
        sql: &str,
        cancelled: &CancellationToken,
    ) -> Result<Running, Failure> {
        let user = self.still_there()?;
        let permit = self.shared.access.audit.permit().map_err(|error| {
            let text = error.to_string();
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, "try again later"));
            Failure::new(state::CONFIGURATION_LIMIT, message).hint(hint)
        })?;
        let told = Told {
            at: RecordedAt::now(),
            user: user.clone(),
            client: self.client.clone(),
            action: action_of(statement, sql),
            reason: self.settings.reason.clone(),
        };
        let mut account = Account::new(Some((permit, told)), self.shared.metrics.clone());
        let (shared, settings, limits) = (self.shared.clone(), self.settings.clone(), self.limits());
        let pid = self.registered.pid;
        let runtime = shared.access.statements.clone();
        let (mut statement, text) = (statement.clone(), sql.to_owned());
        let begun = async move {
            let view = shared.view(&user).await?;
            rewrite(&mut statement, &view.catalog.named)?;
            let place = Place::among(&shared.places, limits.session_time).await?;
            let session = view
                .engine
                .session_as(&view.grant, settings.as_of, settings.known_at)
                .limited_to(limits)
                .surrounded_by(view.catalog.surroundings(&user.name, pid, &settings))
                .because(settings.reason);
            let running = session.run(AnyStatement::Statement(Box::new(statement)));
            let answer = running.await.map_err(|error| Failure::of_query(&error, &text))?;
            Ok::<_, Failure>((answer, place, view.grant.role().needs_reason))
        };
        // Elsewhere, so that a heavy statement keeps nobody's messages waiting, its own cancelling least of all.
        let begun = AbortOnDropHandle::new(runtime.spawn(begun));
        let begun = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(Failure::cancelled()),
            begun = begun => begun.unwrap_or_else(|_| Err(Failure::cancelled())),
        };
        let (answer, place, uses_reason_up) = begun.inspect_err(|failure| account.end(Err(failure.code)))?;
        if uses_reason_up {
            self.settings.reason = None;
        }
        if let Some(note) = answer.note {
            let notice = NoticeResponse::new(vec![
                (b'S', "NOTICE".to_owned()),
                (b'V', "NOTICE".to_owned()),
                (b'C', "00000".to_owned()),
                (b'M', note),
            ]);
            // A notice that cannot be sent is followed by rows that cannot.
            let _ = self.framed.feed(Answer::NoticeResponse(notice)).await;
        }
        Ok(Running::new(answer.stream, account, self.settings.zone, tag, sql).in_place(place))
    }

    /// Does what gives no rows.
    pub(super) async fn act(&mut self, command: Command, sql: &str) -> Result<(), Trouble> {
        let tag = match command {
            Command::Set { name, value } => {
                if let Some(changed) = self.settings.set(&name, &value)? {
                    self.report(changed).await?;
                }
                "SET"
            }
            Command::Reset { name } => {
                if let Some(changed) = self.settings.set(&name, "default")? {
                    self.report(changed).await?;
                }
                "RESET"
            }
            Command::ResetAll { everything } => {
                self.settings.reset();
                if everything {
                    self.prepared.clear();
                    self.portals.clear();
                }
                for name in ["application_name", "DateStyle", "IntervalStyle", "TimeZone"] {
                    self.report(name).await?;
                }
                if everything { "DISCARD ALL" } else { "RESET" }
            }
            Command::Begin => {
                self.status = TransactionStatus::Transaction;
                "BEGIN"
            }
            Command::End(tag) => {
                let has_failed = matches!(self.status, TransactionStatus::Error);
                self.status = TransactionStatus::Idle;
                self.portals.clear();
                if has_failed { "ROLLBACK" } else { tag }
            }
            Command::Nothing(tag) => tag,
            Command::Deallocate { name: None } => {
                self.prepared.clear();
                "DEALLOCATE ALL"
            }
            Command::Deallocate { name: Some(name) } => {
                if self.prepared.remove(&name).is_none() {
                    return Err(no_statement(&name).into());
                }
                "DEALLOCATE"
            }
            Command::Declare { name, query } => {
                let portal = Portal::new(sql.to_owned(), Some(Command::Read(query, "FETCH")), Vec::new());
                put(&mut self.portals, &name, portal, "cursors")?;
                "DECLARE CURSOR"
            }
            Command::Close { name } => {
                match &name {
                    Some(name) if self.portals.remove(name).is_none() => return Err(no_cursor(name).into()),
                    Some(_) => {}
                    None => self.portals.clear(),
                }
                "CLOSE CURSOR"
            }
            Command::Read(..) | Command::Copy(..) | Command::Show { .. } | Command::ShowAll | Command::Fetch { .. } => {
                return Err(Failure::new(state::INTERNAL, "what gives rows was taken for what gives none").into());
            }
        };
        self.complete(tag, 0).await
    }
}

/// The statement as the audit log has it: with the values that were bound, since they say whom it was about.
fn action_of(statement: &Statement, sql: &str) -> String {
    match sql.contains('$') {
        true => statement.to_string(),
        false => sql.trim().to_owned(),
    }
}
