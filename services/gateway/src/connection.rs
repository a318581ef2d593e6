//! One connection: its messages, one after another.

mod extended;
mod statements;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use casewatch_query::User;
use futures::{SinkExt, StreamExt};
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::extendedquery::{CloseComplete, TARGET_TYPE_BYTE_STATEMENT};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{PgWireBackendMessage as Answer, PgWireFrontendMessage as Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use crate::cancel::Registered;
use crate::codec::{Codec, CodecError};
use crate::copy::CopyFormat;
use crate::error::{Failure, state};
use crate::gateway::Shared;
use crate::portal::{Portal, Prepared};
use crate::running::Running;
use crate::settings::{REPORTED, Settings};
use crate::sign_in::{Begun, Refusal, begin};
use crate::statement::{self, Command};
use crate::tls::{Negotiated, negotiate};

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
}

fn no_statement(name: &str) -> Failure {
    let message = format!("prepared statement \"{name}\" does not exist");
    Failure::new(state::INVALID_STATEMENT_NAME, message)
}

fn no_cursor(name: &str) -> Failure {
    Failure::new(state::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
