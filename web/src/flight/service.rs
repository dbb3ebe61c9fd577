//! The calls: which command is meant, and its answer.
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use prost::Message;
use query::{Answer, ScalarValue};

use super::grpc::{self, Status};
use super::messages::{
    Action, ActionResult, ActionType, Any, CreatedStatement, FlightData, FlightDescriptor,
    FlightEndpoint, FlightInfo, GetDbSchemas, GetSqlInfo, GetTables, Handle, Prepared, PutResult,
    Statement, Ticket,
};
use super::{Shared, ipc, metadata, parameters};
use crate::Error;

const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";
/// What a handle may weigh with the values in it.
const HANDLE_BYTES_MAX: usize = 1 << 20;

/// A command that gives rows.
enum Command {
    /// A statement with the values of its parameters.
    Run(Prepared),
    SqlInfo(Vec<u32>),
    Catalogs,
    Schemas(GetDbSchemas),
    Tables(GetTables),
    TableTypes,
    PrimaryKeys,
    ForeignKeys,
}

impl Command {
    /// Reads a command, or the ticket that was made of one.
    fn read(bytes: &[u8]) -> Result<Self, Status> {
        let any = Any::read(bytes)?;
        Ok(match any.name() {
            "CommandStatementQuery" => {
                let Statement { query: sql, .. } = any.unpack()?;
                Self::Run(Prepared { sql, values: Bytes::new() })
            }
            "TicketStatementQuery" | "CommandPreparedStatementQuery" => {
                Self::Run(prepared(&any.unpack::<Handle>()?.handle)?)
            }
            "CommandGetSqlInfo" => Self::SqlInfo(any.unpack::<GetSqlInfo>()?.info),
            "CommandGetCatalogs" => Self::Catalogs,
            "CommandGetDbSchemas" => Self::Schemas(any.unpack()?),
            "CommandGetTables" => Self::Tables(any.unpack()?),
            "CommandGetTableTypes" => Self::TableTypes,
            "CommandGetPrimaryKeys" => Self::PrimaryKeys,
            "CommandGetExportedKeys" | "CommandGetImportedKeys" | "CommandGetCrossReference" => {
                Self::ForeignKeys
            }
            other => return Err(Status::unimplemented(format!("{other} is not there"))),
        })
    }
}

/// What a handle stands for.
fn prepared(handle: &Bytes) -> Result<Prepared, Status> {
    let wrong = || Status::invalid("the handle is none of this server's");
    let prepared = Prepared::decode(handle.clone()).map_err(|_| wrong())?;
    if prepared.sql.is_empty() { Err(wrong()) } else { Ok(prepared) }
}

/// GetFlightInfo: the columns of an answer, and the ticket to fetch it by. Plans a statement, runs nothing.
pub(super) async fn info(
    shared: &Shared,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let command = Command::read(&descriptor.cmd)?;
    let schema = match &command {
        Command::Run(prepared) => described(shared, prepared).await?,
        Command::SqlInfo(_) => metadata::sql_info_schema(),
        Command::Catalogs => metadata::catalogs_schema(),
        Command::Schemas(_) => metadata::schemas_schema(),
        Command::Tables(tables) => metadata::tables_schema(tables.include_schema),
        Command::TableTypes => metadata::table_types_schema(),
        Command::PrimaryKeys => metadata::primary_keys_schema(),
        Command::ForeignKeys => metadata::foreign_keys_schema(),
    };
    let ticket = match command {
        Command::Run(prepared) => {
            let handle = Handle { handle: prepared.encode_to_vec().into() };
            Any::of("TicketStatementQuery", &handle).encode_to_vec().into()
        }
        _ => descriptor.cmd.clone(),
    };
    Ok(FlightInfo {
        schema: ipc::answer_schema(&schema)?,
        flight_descriptor: Some(descriptor),
        endpoint: vec![FlightEndpoint { ticket: Some(Ticket { ticket }) }],
        total_records: -1,
        total_bytes: -1,
        ordered: true,
    })
}

/// The columns of a statement's answer, with the types of the values that it has so far.
async fn described(shared: &Shared, prepared: &Prepared) -> Result<SchemaRef, Status> {
    let hints = parameters::values(&prepared.values)?;
    let hints = hints.iter().map(|value| Some(value.data_type())).collect();
    Ok(shared.engine.describe(&prepared.sql, hints).await?.schema)
}

/// DoGet: the rows. When the client ends the stream, the query ends.
pub(super) async fn get(shared: &Shared, ticket: Ticket) -> Result<Response, Status> {
    let answer = match Command::read(&ticket.ticket)? {
        Command::Run(prepared) => {
            let values: Vec<ScalarValue> = parameters::values(&prepared.values)?;
            shared.engine.sql(&prepared.sql, values).await?
        }
        Command::SqlInfo(wanted) => metadata::sql_info(shared.version, &wanted)?,
        Command::Catalogs => metadata::catalogs(shared).await?,
        Command::Schemas(wanted) => metadata::schemas(shared, &wanted).await?,
        Command::Tables(wanted) => metadata::tables(shared, &wanted).await?,
        Command::TableTypes => metadata::table_types()?,
        Command::PrimaryKeys => metadata::nothing(metadata::primary_keys_schema()),
        Command::ForeignKeys => metadata::nothing(metadata::foreign_keys_schema()),
    };
    Ok(grpc::streamed(rows(answer)))
}

fn rows(answer: Answer) -> stream::BoxStream<'static, Result<FlightData, Status>> {
    ipc::stream(answer).boxed()
}

/// DoPut: values for a prepared statement; the answer is its new handle, which has them inside.
pub(super) async fn put(shared: &Shared, messages: Vec<FlightData>) -> Result<PutResult, Status> {
    let descriptor = messages.first().and_then(|message| message.flight_descriptor.as_ref());
    let descriptor = descriptor.ok_or_else(|| Status::invalid("a DoPut without a command"))?;
    let any = Any::read(&descriptor.cmd)?;
    if any.name() != "CommandPreparedStatementQuery" {
        // The engine's own words for a statement that writes, where it is known.
        if let Ok(Statement { query, .. }) = any.unpack::<Statement>() {
            shared.engine.describe(&query, Vec::new()).await?;
        }
        let words = format!("{} is not allowed: SQL here only reads", any.name());
        return Err(Status::invalid(words));
    }
    let mut prepared = prepared(&any.unpack::<Handle>()?.handle)?;
    prepared.values = parameters::stream_of(&messages);
    parameters::values(&prepared.values)?;
    let handle: Bytes = prepared.encode_to_vec().into();
    if handle.len() > HANDLE_BYTES_MAX {
        return Err(Error::TooLarge { limit_bytes: HANDLE_BYTES_MAX }.into());
    }
    Ok(PutResult { app_metadata: Handle { handle }.encode_to_vec().into() })
}

/// Nothing was kept, so there is nothing to say of it.
const NO_RESULTS: [ActionResult; 0] = [];

/// DoAction: prepares a statement, or forgets one (of which nothing was kept).
pub(super) async fn act(shared: &Shared, action: Action) -> Result<Response, Status> {
    match action.kind.as_str() {
        CREATE => {
            let Statement { query: sql, .. } = Any::read(&action.body)?.unpack()?;
            let created = create(shared, sql).await?;
            let any = Any::of("ActionCreatePreparedStatementResult", &created);
            Ok(grpc::one(&ActionResult { body: any.encode_to_vec().into() }))
        }
        CLOSE => Ok(grpc::many(&NO_RESULTS)),
        other => Err(Status::unimplemented(format!("the action {other} is not there"))),
    }
}

async fn create(shared: &Shared, sql: String) -> Result<CreatedStatement, Status> {
    let description = shared.engine.describe(&sql, Vec::new()).await?;
    let field = |(index, kind): (usize, &DataType)| {
        Field::new(format!("${}", index + 1), kind.clone(), true)
    };
    let fields: Vec<Field> = description.parameters.iter().enumerate().map(field).collect();
    let handle = Prepared { sql, values: Bytes::new() }.encode_to_vec().into();
    Ok(CreatedStatement {
        handle,
        dataset_schema: ipc::answer_schema(&description.schema)?,
        parameter_schema: ipc::answer_schema(&std::sync::Arc::new(Schema::new(fields)))?,
    })
}

/// ListActions.
pub(super) fn actions() -> [ActionType; 2] {
    [(CREATE, "Prepares a statement."), (CLOSE, "Forgets a prepared statement.")]
        .map(|(kind, words)| ActionType { kind: kind.to_owned(), description: words.to_owned() })
}
