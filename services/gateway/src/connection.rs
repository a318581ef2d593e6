//! One connection: its messages, one after another.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::RecordedAt;
use casewatch_query::{Limits, User};
use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::{SinkExt, StreamExt};
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, CloseComplete, Parse, ParseComplete, PortalSuspended, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, NoticeResponse, ReadyForQuery, TransactionStatus,
};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{PgWireBackendMessage as Answer, PgWireFrontendMessage as Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cancel::Registered;
use crate::catalog::rewrite::rewrite;
use crate::codec::{Codec, CodecError};
use crate::copy::CopyFormat;
use crate::error::{Failure, state};
use crate::gateway::Shared;
use crate::parameters;
use crate::portal::{DescribedStatement, Portal, Prepared, put};
use crate::running::{Account, Running, Told, describe};
use crate::settings::{REPORTED, Settings};
use crate::sign_in::{Begun, Refusal, begin};
use crate::statement::{self, Command};
use crate::tls::{Negotiated, negotiate};
use crate::types::{self, format_at};

/// From the connection to the proof of a password.
const SIGN_IN_TIME: Duration = Duration::from_secs(30);
/// A client that takes nothing for so long is gone.
const SEND_TIME: Duration = Duration::from_secs(60);
/// Rows are sent in pieces of about this size.
const BUFFER_BYTES: usize = 64 << 10;

/// Serves a connection until it ends.
///
/// # Errors
/// What broke it off; a client was told where that was possible.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    is_full: bool,
    shared: &Arc<Shared>,
    stop: CancellationToken,
) -> io::Result<()> {
    let negotiated = timeout(SIGN_IN_TIME, negotiate(stream, shared.tls.as_ref()));
    match negotiated
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
    {
        Negotiated::Plain(stream) => talk(stream, peer, false, is_full, shared, stop).await,
        Negotiated::Encrypted(stream) => talk(*stream, peer, true, is_full, shared, stop).await,
    }
    .map_err(io::Error::other)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    peer: SocketAddr,
    is_encrypted: bool,
    is_full: bool,
    shared: &Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), CodecError> {
    let mut framed = Framed::new(stream, Codec::new());
    framed.set_backpressure_boundary(BUFFER_BYTES);
    let begun = begin(&mut framed, peer, is_encrypted, is_full, shared);
    let (user, said) = match timeout(SIGN_IN_TIME, begun).await {
        Err(_) => return Ok(()),
        Ok(Ok(Begun::Ended)) => return Ok(()),
        Ok(Ok(Begun::User(user, said))) => (user, said),
        Ok(Err(Refusal::Broken(error))) => return Err(error),
        Ok(Err(Refusal::Told(failure))) => return last_words(&mut framed, failure).await,
    };
    // Whoever may read nothing is told now, not with the first statement.
    if let Err(failure) = shared.view(&user).await {
        let failure = Failure { fatal: true, ..failure };
        return last_words(&mut framed, failure).await;
    }
    framed.codec_mut().signed_in(shared.options.statement_bytes);
    let connection = Connection {
        framed,
        shared: shared.clone(),
        client: peer.ip().to_string(),
        settings: Settings::start(&user.name, said.into_iter()),
        user,
        registered: shared.cancels.register(),
        status: TransactionStatus::Idle,
        prepared: HashMap::new(),
        portals: HashMap::new(),
        awaits_sync: false,
    };
    connection.run(stop).await
}

async fn last_words<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, Codec>,
    failure: Failure,
) -> Result<(), CodecError> {
    framed.send(Answer::ErrorResponse(failure.response())).await?;
    framed.close().await
}

/// Why a message was not answered as it asked.
enum Trouble {
    /// The client is told, and goes on.
    Told(Failure),
    /// The connection is broken.
    Broken(CodecError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

impl From<CodecError> for Trouble {
    fn from(error: CodecError) -> Self {
        Self::Broken(error)
    }
}

struct Connection<S> {
    framed: Framed<S, Codec>,
    shared: Arc<Shared>,
    user: Arc<User>,
    /// The address of the client.
    client: String,
    settings: Settings,
    registered: Registered,
    status: TransactionStatus,
    prepared: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
    /// After an error, what was sent before it was known is passed over.
    awaits_sync: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(mut self, stop: CancellationToken) -> Result<(), CodecError> {
        self.greet().await?;
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let failure = Failure::fatal(state::ADMIN_SHUTDOWN, "terminating connection: the system is stopping");
                    return last_words(&mut self.framed, failure).await;
                }
                message = self.framed.next() => message,
                () = sleep(self.shared.options.idle_timeout) => {
                    let failure = Failure::fatal(state::IDLE_TIMEOUT, "terminating connection: it said nothing for too long");
                    return last_words(&mut self.framed, failure).await;
                }
            };
            let message = match message {
                None | Some(Ok(Message::Terminate(_))) => return Ok(()),
                Some(Ok(message)) => message,
                Some(Err(CodecError::TooLong { length, longest })) => {
                    let message = format!("a message of {length} bytes is too long: at most {longest} are taken");
                    let failure = Failure::fatal(state::PROGRAM_LIMIT, message);
                    return last_words(&mut self.framed, failure).await;
                }
                Some(Err(error @ CodecError::Message(_))) => {
                    let failure = Failure::fatal(state::PROTOCOL_VIOLATION, error.to_string());
                    return last_words(&mut self.framed, failure).await;
                }
                Some(Err(error)) => return Err(error),
            };
            let answered = tokio::select! {
                biased;
                () = stop.cancelled() => continue,
                answered = self.answer(message) => answered,
            };
            match answered {
                Ok(()) => {}
                Err(Trouble::Broken(error)) => return Err(error),
                Err(Trouble::Told(failure)) if failure.fatal => return last_words(&mut self.framed, failure).await,
                Err(Trouble::Told(failure)) => self.framed.feed(Answer::ErrorResponse(failure.response())).await?,
            }
        }
    }

    async fn greet(&mut self) -> Result<(), CodecError> {
        self.framed.feed(Answer::Authentication(Authentication::Ok)).await?;
        for name in REPORTED {
            self.report(name).await?;
        }
        let key = BackendKeyData::new(self.registered.pid, SecretKey::I32(self.registered.key));
        self.framed.feed(Answer::BackendKeyData(key)).await?;
        self.ready().await
    }

    async fn report(&mut self, name: &str) -> Result<(), CodecError> {
        if let Ok((name, value)) = self.settings.show(name) {
            self.framed
                .feed(Answer::ParameterStatus(ParameterStatus::new(name, value)))
                .await?;
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), CodecError> {
        self.framed
            .feed(Answer::ReadyForQuery(ReadyForQuery::new(self.status)))
            .await?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), CodecError> {
        match timeout(SEND_TIME, self.framed.flush()).await {
            Ok(flushed) => flushed,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// A client that does not read must not hold a statement for ever.
    async fn feed(&mut self, answer: Answer) -> Result<(), CodecError> {
        match timeout(SEND_TIME, self.framed.feed(answer)).await {
            Ok(fed) => fed,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Trouble> {
        if self.awaits_sync && !matches!(message, Message::Sync(_)) {
            return Ok(());
        }
        let answered = match message {
            Message::Query(query) => {
                let cancelled = self.registered.running.next();
                let answered = self.simple(&query.query, &cancelled).await;
                self.portals.remove("");
                if let Err(trouble) = answered {
                    self.tell(trouble).await?;
                }
                return Ok(self.ready().await?);
            }
            Message::Sync(_) => {
                self.awaits_sync = false;
                if matches!(self.status, TransactionStatus::Idle) {
                    self.portals.clear();
                }
                return Ok(self.ready().await?);
            }
            Message::Flush(_) => return Ok(self.flush().await?),
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(describe) => {
                let name = describe.name.unwrap_or_default();
                match describe.target_type == TARGET_TYPE_BYTE_STATEMENT {
                    true => self.describe_statement(&name).await,
                    false => self.describe_portal(&name).await,
                }
            }
            Message::Execute(execute) => {
                let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
                self.execute(&execute.name.unwrap_or_default(), most).await
            }
            Message::Close(close) => {
                let name = close.name.unwrap_or_default();
                if close.target_type == TARGET_TYPE_BYTE_STATEMENT {
                    self.prepared.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                Ok(self.feed(Answer::CloseComplete(CloseComplete::new())).await?)
            }
            Message::CopyData(_) | Message::CopyDone(_) | Message::CopyFail(_) => Ok(()),
            _ => Err(Failure::fatal(state::PROTOCOL_VIOLATION, "this message was not expected here").into()),
        };
        if let Err(trouble) = answered {
            self.awaits_sync = true;
            self.tell(trouble).await?;
        }
        Ok(())
    }

    /// Tells a failure, which also fails the transaction.
    async fn tell(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        let failure = match trouble {
            Trouble::Told(failure) if !failure.fatal => failure,
            other => return Err(other),
        };
        if matches!(self.status, TransactionStatus::Transaction) {
            self.status = TransactionStatus::Error;
            self.portals.clear();
        }
        Ok(self.feed(Answer::ErrorResponse(failure.response())).await?)
    }

    async fn simple(&mut self, sql: &str, cancelled: &CancellationToken) -> Result<(), Trouble> {
        let commands = statement::parse(sql)?;
        if commands.is_empty() {
            return Ok(self.feed(Answer::EmptyQueryResponse(EmptyQueryResponse::new())).await?);
        }
        for command in commands {
            if let Command::Fetch { name, rows } = &command {
                self.fetch(name, *rows, true, cancelled).await?;
                continue;
            }
            match self.begin(&command, sql, cancelled).await? {
                Some(running) => self.send_all(running, &command, cancelled).await?,
                None => self.act(command, sql).await?,
            }
        }
        Ok(())
    }

    /// Sends a simple query's rows, described, to the last.
    async fn send_all(
        &mut self,
        mut running: Running,
        command: &Command,
        cancelled: &CancellationToken,
    ) -> Result<(), Trouble> {
        if let Command::Copy(_, format) = command {
            return self.copy_out(running, format, cancelled).await;
        }
        self.feed(Answer::RowDescription(running.description(&[]))).await?;
        let tag = running.tag;
        let sent = self.send_rows(&mut running, &[], None, cancelled).await?;
        self.complete(tag, sent.0).await
    }

    /// Sends at most so many rows; how many it were, and whether there may be more.
    async fn send_rows(
        &mut self,
        running: &mut Running,
        formats: &[i16],
        most: Option<usize>,
        cancelled: &CancellationToken,
    ) -> Result<(usize, bool), Trouble> {
        let formats = running.formats(formats);
        let mut sent = 0;
        while most.is_none_or(|most| sent < most) {
            match running.next(&formats, cancelled).await? {
                Some(row) => self.feed(Answer::DataRow(row)).await?,
                None => return Ok((sent, false)),
            }
            sent += 1;
        }
        Ok((sent, true))
    }

    async fn copy_out(
        &mut self,
        mut running: Running,
        format: &CopyFormat,
        cancelled: &CancellationToken,
    ) -> Result<(), Trouble> {
        let names = running.names();
        let width = i16::try_from(names.len()).unwrap_or(i16::MAX);
        let mut header = bytes::BytesMut::new();
        if format.header {
            format.put_header(&names, &mut header);
        }
        let formats = vec![0; names.len()];
        self.feed(Answer::CopyOutResponse(CopyOutResponse::new(0, width, formats)))
            .await?;
        if !header.is_empty() {
            self.feed(Answer::CopyData(CopyData::new(header.freeze()))).await?;
        }
        let mut sent = 0;
        while let Some(line) = running.next_line(format, cancelled).await? {
            self.feed(Answer::CopyData(CopyData::new(line.freeze()))).await?;
            sent += 1;
        }
        self.feed(Answer::CopyDone(CopyDone::new())).await?;
        self.complete("COPY", sent).await
    }

    async fn complete(&mut self, tag: &str, rows: usize) -> Result<(), Trouble> {
        let tag = match tag {
            "SELECT" | "COPY" | "FETCH" => format!("{tag} {rows}"),
            other => other.to_owned(),
        };
        Ok(self.feed(Answer::CommandComplete(CommandComplete::new(tag))).await?)
    }

    /// Begins what gives rows; none for what does not.
    async fn begin(
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
    fn still_there(&mut self) -> Result<Arc<User>, Failure> {
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
            let _place = place(&shared, limits.session_time).await?;
            let session = view
                .engine
                .session_as(&view.grant, settings.as_of, settings.known_at)
                .limited_to(limits)
                .surrounded_by(view.catalog.surroundings(&user.name, pid, &settings))
                .because(settings.reason);
            let running = session.run(AnyStatement::Statement(Box::new(statement)));
            let answer = running.await.map_err(|error| Failure::of_query(&error, &text))?;
            Ok::<_, Failure>((answer, view.grant.role().needs_reason))
        };
        // Elsewhere, so that a heavy statement keeps nobody's messages waiting, its own cancelling least of all.
        let begun = AbortOnDropHandle::new(runtime.spawn(begun));
        let begun = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(Failure::cancelled()),
            begun = begun => begun.unwrap_or_else(|_| Err(Failure::cancelled())),
        };
        let (answer, uses_reason_up) = begun.inspect_err(|failure| account.end(Err(failure.code)))?;
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
        Ok(Running::new(answer.stream, account, self.settings.zone, tag, sql))
    }

    /// Does what gives no rows.
    async fn act(&mut self, command: Command, sql: &str) -> Result<(), Trouble> {
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

    /// FETCH, described where the protocol wants it so.
    async fn fetch(
        &mut self,
        name: &str,
        rows: Option<usize>,
        is_simple: bool,
        cancelled: &CancellationToken,
    ) -> Result<(), Trouble> {
        self.start_portal(name, cancelled).await?;
        let Some(mut running) = self.portals.get_mut(name).and_then(|portal| portal.running.take()) else {
            return Err(no_cursor(name).into());
        };
        if is_simple {
            self.feed(Answer::RowDescription(running.description(&[]))).await?;
        }
        let sent = self.send_rows(&mut running, &[], rows, cancelled).await;
        if let Some(portal) = self.portals.get_mut(name) {
            portal.running = Some(running);
        }
        self.complete("FETCH", sent?.0).await
    }

    async fn parse(&mut self, parse: Parse) -> Result<(), Trouble> {
        let mut commands = statement::parse(&parse.query)?;
        if commands.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Failure::new(state::SYNTAX_ERROR, message).into());
        }
        let command = commands.pop();
        let count = match &command {
            Some(Command::Read(statement, _) | Command::Copy(statement, _)) => parameters::count(statement),
            Some(Command::Declare { query, .. }) => parameters::count(query),
            _ => 0,
        };
        let prepared = Prepared {
            sql: parse.query,
            command,
            declared: parse.type_oids,
            count,
            described: None,
        };
        put(
            &mut self.prepared,
            &parse.name.unwrap_or_default(),
            prepared,
            "prepared statements",
        )?;
        Ok(self.feed(Answer::ParseComplete(ParseComplete::new())).await?)
    }

    /// What a prepared statement takes and gives, planned once.
    async fn described(&mut self, name: &str) -> Result<DescribedStatement, Failure> {
        let prepared = self.prepared.get(name).ok_or_else(|| no_statement(name))?.clone();
        if let Some(described) = prepared.described {
            return Ok(described);
        }
        let described = match &prepared.command {
            Some(Command::Read(statement, _) | Command::Copy(statement, _)) => {
                self.describe_query(statement, &prepared).await?
            }
            Some(Command::Declare { query, .. }) => {
                let query = query.clone();
                self.describe_query(&query, &prepared).await?
            }
            Some(Command::Show { .. } | Command::ShowAll) => {
                let shown = prepared.command.clone().expect("it was looked at");
                let running = self.begin(&shown, "", &CancellationToken::new()).await;
                let running = match running {
                    Ok(Some(running)) => running,
                    Err(Trouble::Told(failure)) => return Err(failure),
                    _ => return Err(Failure::new(state::INTERNAL, "a setting gave no row")),
                };
                let names: Vec<String> = running.names().into_iter().map(str::to_owned).collect();
                let fields: Vec<_> = names
                    .iter()
                    .map(|name| arrow::datatypes::Field::new(name, arrow::datatypes::DataType::Utf8, false))
                    .collect();
                DescribedStatement {
                    parameters: Vec::new(),
                    schema: Arc::new(arrow::datatypes::Schema::new(fields)),
                }
            }
            _ => DescribedStatement {
                parameters: prepared.declared.clone(),
                schema: Arc::new(arrow::datatypes::Schema::empty()),
            },
        };
        if let Some(prepared) = self.prepared.get_mut(name) {
            prepared.described = Some(described.clone());
        }
        Ok(described)
    }

    async fn describe_query(&mut self, query: &Statement, prepared: &Prepared) -> Result<DescribedStatement, Failure> {
        let user = self.still_there()?;
        let view = self.shared.view(&user).await?;
        let sql = &prepared.sql;
        let surroundings = view
            .catalog
            .surroundings(&user.name, self.registered.pid, &self.settings);
        let session = view
            .engine
            .session_as(&view.grant, self.settings.as_of, self.settings.known_at)
            .surrounded_by(surroundings);
        let planned = async |mut statement: Statement| {
            rewrite(&mut statement, &view.catalog.named)?;
            let described = session.describe(AnyStatement::Statement(Box::new(statement))).await;
            described.map_err(|error| Failure::of_query(&error, sql))
        };
        let declared = |number: usize| prepared.declared.get(number - 1).copied().unwrap_or(0);
        let description = match planned(query.clone()).await {
            // It does not say what a parameter is: then it is what the client declared, or text.
            Err(_) if prepared.count > 0 => {
                let mut typed = query.clone();
                let mut values = BTreeMap::new();
                for number in 1..=prepared.count {
                    let oid = parameters::type_of(declared(number), None);
                    values.insert(number, parameters::literal(number, oid, types::Format::Text, None)?);
                }
                parameters::bind(&mut typed, &values);
                planned(typed).await?
            }
            planned => planned?,
        };
        let parameters = (1..=prepared.count.max(prepared.declared.len()))
            .map(|number| {
                let needed = description.parameters.get(&number).and_then(Option::as_ref);
                parameters::type_of(declared(number), needed)
            })
            .collect();
        Ok(DescribedStatement {
            parameters,
            schema: description.schema,
        })
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Trouble> {
        let name = bind.statement_name.unwrap_or_default();
        let prepared = self.prepared.get(&name).ok_or_else(|| no_statement(&name))?.clone();
        if bind.parameters.len() < prepared.count {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                bind.parameters.len(),
                prepared.count
            );
            return Err(Failure::new(state::PROTOCOL_VIOLATION, message).into());
        }
        let is_open = |number: usize| matches!(prepared.declared.get(number), None | Some(0 | 705));
        let oids = match (0..prepared.count).any(is_open) {
            true => self.described(&name).await?.parameters,
            false => prepared.declared.clone(),
        };
        let mut values = BTreeMap::new();
        for (place, value) in bind.parameters.iter().enumerate().take(prepared.count) {
            let oid = oids.get(place).copied().unwrap_or(types::TEXT.oid);
            let format = format_at(&bind.parameter_format_codes, place);
            let literal = parameters::literal(place + 1, oid, format, value.as_deref())?;
            values.insert(place + 1, literal);
        }
        let portal = Portal::new(
            prepared.sql.clone(),
            prepared.bound(&values),
            bind.result_column_format_codes,
        );
        put(
            &mut self.portals,
            &bind.portal_name.unwrap_or_default(),
            portal,
            "portals",
        )?;
        Ok(self.feed(Answer::BindComplete(BindComplete::new())).await?)
    }

    async fn describe_statement(&mut self, name: &str) -> Result<(), Trouble> {
        let described = self.described(name).await?;
        let parameters = ParameterDescription::new(described.parameters);
        self.feed(Answer::ParameterDescription(parameters)).await?;
        let gives_rows = match self.prepared.get(name).and_then(|prepared| prepared.command.as_ref()) {
            Some(Command::Fetch { name, .. }) => {
                let cursor = name.clone();
                return self.describe_portal(&cursor).await;
            }
            Some(command) => command.gives_rows(),
            None => false,
        };
        self.tell_columns(gives_rows.then(|| describe(&described.schema, &[])))
            .await
    }

    async fn describe_portal(&mut self, name: &str) -> Result<(), Trouble> {
        let cancelled = self.registered.running.next();
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        let described = match &portal.command {
            Some(Command::Fetch { name: cursor, .. }) => {
                let (cursor, formats) = (cursor.clone(), portal.formats.clone());
                self.start_portal(&cursor, &cancelled).await?;
                let portal = self.portals.get(&cursor).and_then(|portal| portal.running.as_ref());
                portal.map(|running| running.description(&formats))
            }
            Some(command) if command.gives_rows() => {
                self.start_portal(name, &cancelled).await?;
                let portal = self.portals.get(name);
                portal.and_then(|portal| Some(portal.running.as_ref()?.description(&portal.formats)))
            }
            _ => None,
        };
        self.tell_columns(described).await
    }

    async fn tell_columns(&mut self, columns: Option<RowDescription>) -> Result<(), Trouble> {
        let answer = match columns {
            Some(columns) => Answer::RowDescription(columns),
            None => Answer::NoData(NoData::new()),
        };
        Ok(self.feed(answer).await?)
    }

    /// Runs a portal's statement up to its first rows, if it was not yet.
    async fn start_portal(&mut self, name: &str, cancelled: &CancellationToken) -> Result<(), Trouble> {
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        if portal.running.is_some() {
            return Ok(());
        }
        let Some(command) = portal.command.clone() else {
            return Ok(());
        };
        let sql = portal.sql.clone();
        let running = self.begin(&command, &sql, cancelled).await?;
        if let Some(portal) = self.portals.get_mut(name) {
            portal.running = running;
        }
        Ok(())
    }

    async fn execute(&mut self, name: &str, most: Option<usize>) -> Result<(), Trouble> {
        let cancelled = self.registered.running.next();
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        let (sql, formats) = (portal.sql.clone(), portal.formats.clone());
        match portal.command.clone() {
            None => Ok(self.feed(Answer::EmptyQueryResponse(EmptyQueryResponse::new())).await?),
            Some(Command::Fetch { name, rows }) => self.fetch(&name, rows, false, &cancelled).await,
            Some(command) => {
                self.start_portal(name, &cancelled).await?;
                let running = self.portals.get_mut(name).and_then(|portal| portal.running.take());
                let Some(mut running) = running else {
                    return self.act(command, &sql).await;
                };
                if let Command::Copy(_, format) = &command {
                    return self.copy_out(running, format, &cancelled).await;
                }
                let tag = running.tag;
                let (sent, may_have_more) = self.send_rows(&mut running, &formats, most, &cancelled).await?;
                if let Some(portal) = self.portals.get_mut(name) {
                    portal.running = Some(running);
                }
                match may_have_more {
                    true => Ok(self.feed(Answer::PortalSuspended(PortalSuspended::new())).await?),
                    false => self.complete(tag, sent).await,
                }
            }
        }
    }
}

/// The statement as the audit log has it: with the values that were bound, since they say whom it was about.
fn action_of(statement: &Statement, sql: &str) -> String {
    match sql.contains('$') {
        true => statement.to_string(),
        false => sql.trim().to_owned(),
    }
}

/// One of the places for statements that run; waited for within the statement's own time.
async fn place(shared: &Shared, limit: Duration) -> Result<OwnedSemaphorePermit, Failure> {
    match timeout(limit, shared.places.clone().acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        _ => {
            let failure = Failure::new(state::CONFIGURATION_LIMIT, "too many statements run at the moment");
            Err(failure.hint("try again; gateway.running bounds them"))
        }
    }
}

fn no_statement(name: &str) -> Failure {
    let message = format!("prepared statement \"{name}\" does not exist");
    Failure::new(state::INVALID_STATEMENT_NAME, message)
}

fn no_cursor(name: &str) -> Failure {
    Failure::new(state::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
