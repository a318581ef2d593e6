//! The extended protocol: statements that are prepared, described, bound and executed, and cursors.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::Statement;
use pgwire::messages::PgWireBackendMessage as Answer;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{Bind, BindComplete, Parse, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{Connection, Trouble, no_cursor, no_statement};
use crate::catalog::rewrite::rewrite;
use crate::error::{Failure, state};
use crate::parameters;
use crate::portal::{DescribedStatement, Portal, Prepared, put};
use crate::running::describe;
use crate::statement::{self, Command};
use crate::types::{self, format_at};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// FETCH, described where the protocol wants it so.
    pub(super) async fn fetch(
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

    pub(super) async fn parse(&mut self, parse: Parse) -> Result<(), Trouble> {
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

    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Trouble> {
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

    pub(super) async fn describe_statement(&mut self, name: &str) -> Result<(), Trouble> {
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

    pub(super) async fn describe_portal(&mut self, name: &str) -> Result<(), Trouble> {
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

    pub(super) async fn execute(&mut self, name: &str, most: Option<usize>) -> Result<(), Trouble> {
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
