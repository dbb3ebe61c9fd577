//! Messages of Flight and Flight SQL, as far as they are spoken here. Numbers are those of
//! <https://github.com/apache/arrow/tree/main/format> (`Flight.proto`, `FlightSql.proto`).
use bytes::Bytes;
use prost::Message;

use super::grpc::Status;

/// Where a command's type stands in `Any`.
const TYPE_URL: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// `google.protobuf.Any`: a command of Flight SQL, or its result.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

impl Any {
    /// `message` under its name in `FlightSql.proto`.
    pub(super) fn of(name: &str, message: &impl Message) -> Self {
        Self { type_url: format!("{TYPE_URL}{name}"), value: message.encode_to_vec().into() }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Status> {
        Self::decode(bytes).map_err(|_| Status::invalid("no command of Flight SQL"))
    }

    /// The name in `FlightSql.proto`.
    pub(super) fn name(&self) -> &str {
        self.type_url.rsplit('.').next().unwrap_or_default()
    }

    pub(super) fn unpack<M: Message + Default>(&self) -> Result<M, Status> {
        M::decode(self.value.clone())
            .map_err(|error| Status::invalid(format!("{}: {error}", self.name())))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HandshakeResponse {
    #[prost(uint64, tag = "1")]
    pub(super) protocol_version: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FlightDescriptor {
    /// 2 is a command.
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) cmd: Bytes,
    #[prost(string, repeated, tag = "3")]
    pub(super) path: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FlightInfo {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) schema: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) flight_descriptor: Option<FlightDescriptor>,
    #[prost(message, repeated, tag = "3")]
    pub(super) endpoint: Vec<FlightEndpoint>,
    #[prost(int64, tag = "4")]
    pub(super) total_records: i64,
    #[prost(int64, tag = "5")]
    pub(super) total_bytes: i64,
    #[prost(bool, tag = "6")]
    pub(super) ordered: bool,
}

/// Without a location: the same server.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FlightEndpoint {
    #[prost(message, optional, tag = "1")]
    pub(super) ticket: Option<Ticket>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ticket {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) ticket: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SchemaResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) schema: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FlightData {
    #[prost(message, optional, tag = "1")]
    pub(super) flight_descriptor: Option<FlightDescriptor>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) data_header: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) app_metadata: Bytes,
    #[prost(bytes = "bytes", tag = "1000")]
    pub(super) data_body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PutResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) app_metadata: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Action {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ActionResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ActionType {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) description: String,
}

/// `CommandStatementQuery`, `CommandStatementUpdate` and `ActionCreatePreparedStatementRequest` begin alike.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Statement {
    #[prost(string, tag = "1")]
    pub(super) query: String,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(super) transaction_id: Option<Bytes>,
}

/// `TicketStatementQuery`, `CommandPreparedStatementQuery`, `ActionClosePreparedStatementRequest` and
/// `DoPutPreparedStatementResult`: a handle, which is a [`Prepared`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct Handle {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) handle: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreatedStatement {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) handle: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) dataset_schema: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) parameter_schema: Bytes,
}

/// What our handles carry: the statement, and its values as an Arrow IPC stream of one row.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Prepared {
    #[prost(string, tag = "1")]
    pub(super) sql: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) values: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSqlInfo {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) info: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetDbSchemas {
    #[prost(string, optional, tag = "1")]
    pub(super) catalog: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) db_schema_filter_pattern: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetTables {
    #[prost(string, optional, tag = "1")]
    pub(super) catalog: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) db_schema_filter_pattern: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) table_name_filter_pattern: Option<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) table_types: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(super) include_schema: bool,
}
