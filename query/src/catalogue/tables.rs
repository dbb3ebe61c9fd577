//! The catalogue's tables: what `spans`, `spans_raw` and `retention_log` are, as PostgreSQL would tell it.
//!
//! A table is a line of columns and a few rows. A column that a row does not name has the default of its type, so that
//! the rows say only what matters. Tables of things that do not exist here (indexes, constraints, ...) are empty.
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::common::{Result, ScalarValue};

use super::{DATABASE, INFORMATION_SCHEMA, PG_CATALOG, PUBLIC, types};

/// The tables by their numbers; PostgreSQL gives its users' objects 16,384 and more.
const RELATIONS: [(i64, &str); 3] =
    [(16_384, "spans"), (16_394, "spans_raw"), (16_404, "retention_log")];
/// Numbers of schemas, as PostgreSQL has them.
const PG_CATALOG_OID: i64 = 11;
const PUBLIC_OID: i64 = 2_200;
const INFORMATION_SCHEMA_OID: i64 = 13_000;
const OWNER_OID: i64 = 10;
const HEAP_OID: i64 = 2;

/// Columns by type: `o` a number, `n` one that may be missing, `b` yes or no, `t` text, `l` numbers,
/// `a` texts.
type Columns = &'static str;
type Row = Vec<(&'static str, ScalarValue)>;

/// Tables with rows.
const FILLED: &[(&str, Columns)] = &[
    ("pg_namespace", "oid:o nspname:t nspowner:o nspacl:a"),
    (
        "pg_class",
        "oid:o relname:t relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o \
         relpages:o reltuples:o relallvisible:o reltoastrelid:o relhasindex:b relisshared:b relpersistence:t relkind:t \
         relnatts:o relchecks:o relhasrules:b relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b \
         relispopulated:b relreplident:t relispartition:b relrewrite:o relhasoids:b relacl:a reloptions:a relpartbound:t",
    ),
    (
        "pg_attribute",
        "attrelid:o attname:t atttypid:o attstattarget:o attlen:o attnum:o attndims:o atttypmod:o attbyval:b \
         attalign:t attstorage:t attcompression:t attnotnull:b atthasdef:b atthasmissing:b attidentity:t attgenerated:t \
         attisdropped:b attislocal:b attinhcount:o attcollation:o attacl:a attoptions:a attfdwoptions:a attmissingval:t",
    ),
    (
        "pg_type",
        "oid:o typname:t typnamespace:o typowner:o typlen:o typbyval:b typtype:t typcategory:t typispreferred:b \
         typisdefined:b typdelim:t typrelid:o typelem:o typarray:o typinput:t typoutput:t typnotnull:b typbasetype:o \
         typtypmod:o typndims:o typcollation:o typdefault:t typacl:a",
    ),
    (
        "pg_database",
        "oid:o datname:t datdba:o encoding:o datlocprovider:t datistemplate:b datallowconn:b datconnlimit:o \
         datcollate:t datctype:t daticulocale:t dattablespace:o datacl:a",
    ),
    (
        "pg_roles",
        "oid:o rolname:t rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b \
         rolbypassrls:b rolconnlimit:o rolvaliduntil:t rolconfig:a",
    ),
    ("pg_user", "usename:t usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b"),
    ("pg_am", "oid:o amname:t amhandler:t amtype:t"),
    (
        "pg_settings",
        "name:t setting:t unit:t category:t short_desc:t vartype:t source:t boot_val:t reset_val:t",
    ),
    (
        "pg_tables",
        "schemaname:t tablename:t tableowner:t tablespace:t hasindexes:b hasrules:b hastriggers:b rowsecurity:b",
    ),
];

/// Tables of what there is none of.
const EMPTY: &[(&str, Columns)] = &[
    ("pg_attrdef", "oid:o adrelid:o adnum:o adbin:t"),
    ("pg_auth_members", "roleid:o member:o grantor:o admin_option:b"),
    ("pg_cast", "oid:o castsource:o casttarget:o castfunc:o castcontext:t castmethod:t"),
    ("pg_collation", "oid:o collname:t collnamespace:o collowner:o collprovider:t collencoding:o"),
    (
        "pg_constraint",
        "oid:o conname:t connamespace:o contype:t condeferrable:b condeferred:b convalidated:b conrelid:o contypid:o \
         conindid:o conparentid:o confrelid:o confupdtype:t confdeltype:t confmatchtype:t conislocal:b connoinherit:b \
         conkey:l confkey:l conbin:t",
    ),
    ("pg_depend", "classid:o objid:o objsubid:o refclassid:o refobjid:o refobjsubid:o deptype:t"),
    ("pg_description", "objoid:o classoid:o objsubid:o description:t"),
    ("pg_enum", "oid:o enumtypid:o enumsortorder:o enumlabel:t"),
    ("pg_event_trigger", "oid:o evtname:t evtevent:t evtowner:o evtfoid:o evtenabled:t evttags:t"),
    ("pg_extension", "oid:o extname:t extowner:o extnamespace:o extrelocatable:b extversion:t"),
    (
        "pg_foreign_data_wrapper",
        "oid:o fdwname:t fdwowner:o fdwhandler:o fdwvalidator:o fdwoptions:t",
    ),
    (
        "pg_foreign_server",
        "oid:o srvname:t srvowner:o srvfdw:o srvtype:t srvversion:t srvoptions:t",
    ),
    ("pg_foreign_table", "ftrelid:o ftserver:o ftoptions:t"),
    (
        "pg_index",
        "indexrelid:o indrelid:o indnatts:o indnkeyatts:o indisunique:b indisprimary:b indisexclusion:b \
         indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b indisreplident:b \
         indkey:l indcollation:l indclass:l indoption:l indexprs:t indpred:t",
    ),
    ("pg_indexes", "schemaname:t tablename:t indexname:t tablespace:t indexdef:t"),
    ("pg_inherits", "inhrelid:o inhparent:o inhseqno:o inhdetachpending:b"),
    ("pg_language", "oid:o lanname:t lanowner:o"),
    ("pg_matviews", "schemaname:t matviewname:t matviewowner:t definition:t"),
    ("pg_opclass", "oid:o opcname:t opcmethod:o opcnamespace:o opcintype:o opcdefault:b"),
    ("pg_operator", "oid:o oprname:t oprnamespace:o oprleft:o oprright:o oprresult:o"),
    ("pg_partitioned_table", "partrelid:o partstrat:t partnatts:o"),
    (
        "pg_policy",
        "oid:o polname:t polrelid:o polcmd:t polpermissive:b polroles:l polqual:t polwithcheck:t",
    ),
    (
        "pg_proc",
        "oid:o proname:t pronamespace:o proowner:o prolang:o prokind:t prorettype:o proargtypes:l pronargs:o",
    ),
    ("pg_publication", "oid:o pubname:t pubowner:o puballtables:b"),
    ("pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    ("pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:t prattrs:l"),
    ("pg_range", "rngtypid:o rngsubtype:o"),
    ("pg_rewrite", "oid:o rulename:t ev_class:o ev_type:t ev_enabled:t is_instead:b"),
    ("pg_seclabel", "objoid:o classoid:o objsubid:o provider:t label:t"),
    (
        "pg_sequence",
        "seqrelid:o seqtypid:o seqstart:o seqincrement:o seqmax:o seqmin:o seqcache:o seqcycle:b",
    ),
    ("pg_sequences", "schemaname:t sequencename:t sequenceowner:t"),
    ("pg_shdescription", "objoid:o classoid:o description:t"),
    ("pg_stat_activity", "datid:o datname:t pid:o usename:t application_name:t state:t query:t"),
    ("pg_stat_user_tables", "relid:o schemaname:t relname:t n_live_tup:o"),
    (
        "pg_statistic_ext",
        "oid:o stxrelid:o stxname:t stxnamespace:o stxowner:o stxstattarget:o stxkeys:l stxkind:l",
    ),
    ("pg_subscription", "oid:o subdbid:o subname:t subowner:o"),
    ("pg_tablespace", "oid:o spcname:t spcowner:o spcacl:a spcoptions:a"),
    (
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:t tgfoid:o tgtype:o tgenabled:t tgisinternal:b",
    ),
    ("pg_views", "schemaname:t viewname:t viewowner:t definition:t"),
];

/// Tables of `information_schema` with rows.
const DESCRIBED: &[(&str, Columns)] = &[
    ("schemata", "catalog_name:t schema_name:t schema_owner:t"),
    (
        "tables",
        "table_catalog:t table_schema:t table_name:t table_type:t self_referencing_column_name:t \
         reference_generation:t is_insertable_into:t is_typed:t commit_action:t",
    ),
    (
        "columns",
        "table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:o column_default:t is_nullable:t \
         data_type:t character_maximum_length:n character_octet_length:n numeric_precision:n numeric_precision_radix:n \
         numeric_scale:n datetime_precision:n interval_type:t collation_name:t domain_name:t udt_catalog:t udt_schema:t \
         udt_name:t is_identity:t identity_generation:t is_generated:t generation_expression:t is_updatable:t",
    ),
];

/// Tables of `information_schema` of what there is none of.
const DESCRIBED_EMPTY: &[(&str, Columns)] = &[
    ("views", "table_catalog:t table_schema:t table_name:t view_definition:t is_updatable:t"),
    (
        "table_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t constraint_type:t",
    ),
    (
        "key_column_usage",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:o",
    ),
    (
        "constraint_column_usage",
        "table_catalog:t table_schema:t table_name:t column_name:t constraint_catalog:t constraint_schema:t constraint_name:t",
    ),
    (
        "referential_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t unique_constraint_name:t",
    ),
    (
        "routines",
        "specific_catalog:t specific_schema:t specific_name:t routine_schema:t routine_name:t routine_type:t data_type:t",
    ),
    ("sequences", "sequence_catalog:t sequence_schema:t sequence_name:t"),
    ("triggers", "trigger_catalog:t trigger_schema:t trigger_name:t event_object_table:t"),
];

/// True where `name` is a table of `pg_catalog`, which needs no schema before it.
pub(super) fn has(name: &str) -> bool {
    FILLED.iter().chain(EMPTY).any(|(known, _)| *known == name)
}

/// True where the table at `path` has no row, ever.
pub(super) fn is_always_empty(path: &[String]) -> bool {
    match path {
        [.., schema, name] if schema == INFORMATION_SCHEMA => {
            DESCRIBED_EMPTY.iter().any(|(empty, _)| empty == name)
        }
        [.., name] => EMPTY.iter().any(|(empty, _)| empty == name),
        [] => false,
    }
}

/// The number of the table called `name`, with its schema or without.
pub(super) fn oid_of(name: &str) -> Option<i64> {
    let bare = name.trim_start_matches("public.").trim_matches('"');
    let relation = RELATIONS.iter().find(|(_, name)| *name == bare);
    relation.map(|(oid, _)| *oid).or_else(|| bare.parse().ok())
}

/// The name of the table with that number; the number itself where there is none.
pub(super) fn name_of(oid: i64) -> Option<String> {
    let relation = RELATIONS.iter().find(|(number, _)| *number == oid);
    Some(relation.map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned()))
}

/// The columns of the tables, in the order of [`RELATIONS`].
pub(super) type Schemas<'a> = [&'a SchemaRef; RELATIONS.len()];

/// `pg_catalog` over the tables.
pub(super) fn pg_catalog(schemas: Schemas<'_>) -> Result<Arc<MemorySchemaProvider>> {
    let schema = Arc::new(MemorySchemaProvider::new());
    for (name, columns) in FILLED {
        let rows = match *name {
            "pg_namespace" => namespaces(),
            "pg_class" => classes(schemas),
            "pg_attribute" => attributes(schemas),
            "pg_type" => types_listed(),
            "pg_database" => vec![database()],
            "pg_roles" | "pg_user" => vec![owner()],
            "pg_am" => {
                vec![vec![("oid", int(HEAP_OID)), ("amname", text("heap")), ("amtype", text("t"))]]
            }
            "pg_tables" => tables_listed(),
            _ => settings(),
        };
        schema.register_table((*name).to_owned(), table(columns, &rows)?)?;
    }
    for (name, columns) in EMPTY {
        schema.register_table((*name).to_owned(), table(columns, &[])?)?;
    }
    Ok(schema)
}

/// `information_schema` over the tables.
pub(super) fn information_schema(schemas: Schemas<'_>) -> Result<Arc<MemorySchemaProvider>> {
    let schema = Arc::new(MemorySchemaProvider::new());
    for (name, columns) in DESCRIBED {
        let rows = match *name {
            "schemata" => [PUBLIC, PG_CATALOG, INFORMATION_SCHEMA]
                .map(|name| {
                    vec![
                        ("catalog_name", text(DATABASE)),
                        ("schema_name", text(name)),
                        ("schema_owner", text(DATABASE)),
                    ]
                })
                .to_vec(),
            "tables" => tables_described(),
            _ => columns_described(schemas),
        };
        schema.register_table((*name).to_owned(), table(columns, &rows)?)?;
    }
    for (name, columns) in DESCRIBED_EMPTY {
        schema.register_table((*name).to_owned(), table(columns, &[])?)?;
    }
    Ok(schema)
}

fn int(value: i64) -> ScalarValue {
    ScalarValue::Int64(Some(value))
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::from(value)
}

fn namespaces() -> Vec<Row> {
    let schemas = [
        (PG_CATALOG_OID, PG_CATALOG),
        (PUBLIC_OID, PUBLIC),
        (INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA),
    ];
    let row = |(oid, name)| {
        vec![("oid", int(oid)), ("nspname", text(name)), ("nspowner", int(OWNER_OID))]
    };
    schemas.map(row).to_vec()
}

/// For `pg_tables`.
fn tables_listed() -> Vec<Row> {
    let row = |(_, name): (i64, &str)| {
        vec![
            ("schemaname", text(PUBLIC)),
            ("tablename", text(name)),
            ("tableowner", text(DATABASE)),
        ]
    };
    RELATIONS.map(row).to_vec()
}

/// For `information_schema.tables`.
fn tables_described() -> Vec<Row> {
    let row = |(_, name): (i64, &str)| {
        vec![
            ("table_catalog", text(DATABASE)),
            ("table_schema", text(PUBLIC)),
            ("table_name", text(name)),
            ("table_type", text("BASE TABLE")),
            ("is_insertable_into", text("NO")),
            ("is_typed", text("NO")),
        ]
    };
    RELATIONS.map(row).to_vec()
}

fn classes(schemas: Schemas<'_>) -> Vec<Row> {
    let row = |((oid, name), schema): (&(i64, &str), &SchemaRef)| {
        vec![
            ("oid", int(*oid)),
            ("relname", text(name)),
            ("relnamespace", int(PUBLIC_OID)),
            // The number of its row type, which is not listed.
            ("reltype", int(oid + 2)),
            ("relowner", int(OWNER_OID)),
            ("relam", int(HEAP_OID)),
            ("reltuples", int(-1)),
            ("relpersistence", text("p")),
            ("relkind", text("r")),
            ("relnatts", int(i64::try_from(schema.fields().len()).unwrap_or(0))),
            ("relispopulated", ScalarValue::from(true)),
            ("relreplident", text("d")),
        ]
    };
    RELATIONS.iter().zip(schemas).map(row).collect()
}

/// Each field with its table's number and name, and its own position from 1 on.
fn fields<'a>(schemas: Schemas<'a>) -> impl Iterator<Item = (i64, &'static str, (&'a Field, i64))> {
    RELATIONS.iter().zip(schemas).flat_map(|((oid, name), schema)| {
        let fields = schema.fields().iter().map(|field| -> &'a Field { field }).zip(1..);
        fields.map(move |field| (*oid, *name, field))
    })
}

fn attributes(schemas: Schemas<'_>) -> Vec<Row> {
    fields(schemas)
        .map(|(table, _, (field, number))| {
            let oid = types::of_field(field);
            vec![
                ("attrelid", int(table)),
                ("attname", text(field.name())),
                ("atttypid", int(i64::from(oid))),
                ("attstattarget", int(-1)),
                ("attlen", int(i64::from(types::size(oid)))),
                ("attnum", int(number)),
                ("atttypmod", int(-1)),
                ("attalign", text("i")),
                ("attstorage", text("x")),
                ("attcompression", text("")),
                ("attnotnull", ScalarValue::from(!field.is_nullable())),
                ("attidentity", text("")),
                ("attgenerated", text("")),
                ("attislocal", ScalarValue::from(true)),
            ]
        })
        .collect()
}

fn types_listed() -> Vec<Row> {
    let row = |named: &types::Named| {
        let array = types::ALL.iter().find(|other| types::element(other.oid) == Some(named.oid));
        let array = array.map_or(0, |array| i64::from(array.oid));
        vec![
            ("oid", int(i64::from(named.oid))),
            ("typname", text(named.name)),
            ("typnamespace", int(PG_CATALOG_OID)),
            ("typowner", int(OWNER_OID)),
            ("typlen", int(i64::from(types::size(named.oid)))),
            ("typtype", text("b")),
            ("typcategory", text(named.category)),
            ("typisdefined", ScalarValue::from(true)),
            ("typdelim", text(",")),
            ("typelem", int(types::element(named.oid).map_or(0, i64::from))),
            ("typarray", int(array)),
            ("typinput", text(&format!("{}in", named.name))),
            ("typoutput", text(&format!("{}out", named.name))),
            ("typtypmod", int(-1)),
        ]
    };
    types::ALL.iter().map(row).collect()
}

fn database() -> Row {
    vec![
        ("oid", int(1)),
        ("datname", text(DATABASE)),
        ("datdba", int(OWNER_OID)),
        ("encoding", int(6)),
        ("datlocprovider", text("c")),
        ("datallowconn", ScalarValue::from(true)),
        ("datconnlimit", int(-1)),
        ("datcollate", text("C")),
        ("datctype", text("C")),
    ]
}

/// For `pg_roles` and `pg_user`: each takes the names that it knows.
fn owner() -> Row {
    vec![
        ("oid", int(OWNER_OID)),
        ("rolname", text(DATABASE)),
        ("rolinherit", ScalarValue::from(true)),
        ("rolcanlogin", ScalarValue::from(true)),
        ("rolconnlimit", int(-1)),
        ("usename", text(DATABASE)),
        ("usesysid", int(OWNER_OID)),
    ]
}

fn settings() -> Vec<Row> {
    let known = [
        ("server_version", "15.0"),
        ("server_version_num", "150000"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("search_path", PUBLIC),
        ("max_index_keys", "32"),
        ("transaction_read_only", "on"),
    ];
    known.map(|(name, setting)| vec![("name", text(name)), ("setting", text(setting))]).to_vec()
}

fn columns_described(schemas: Schemas<'_>) -> Vec<Row> {
    fields(schemas)
        .map(|(_, table, (field, position))| {
            let oid = types::of_field(field);
            let named = types::by_oid(i64::from(oid));
            let kind = named.map_or("text", |named| match named.category {
                "A" => "ARRAY",
                _ => named.sql,
            });
            vec![
                ("table_catalog", text(DATABASE)),
                ("table_schema", text(PUBLIC)),
                ("table_name", text(table)),
                ("column_name", text(field.name())),
                ("ordinal_position", int(position)),
                ("is_nullable", text(if field.is_nullable() { "YES" } else { "NO" })),
                ("data_type", text(kind)),
                ("udt_catalog", text(DATABASE)),
                ("udt_schema", text(PG_CATALOG)),
                ("udt_name", text(named.map_or("text", |named| named.name))),
                ("is_identity", text("NO")),
                ("is_generated", text("NEVER")),
                ("is_updatable", text("NO")),
            ]
        })
        .collect()
}

/// A table of `rows`; what they do not name is no, 0 or null.
fn table(columns: Columns, rows: &[Row]) -> Result<Arc<MemTable>> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in columns.split_whitespace() {
        let (name, kind) = column.split_once(':').unwrap_or((column, "t"));
        let default = match kind {
            "o" => int(0),
            "n" => ScalarValue::Int64(None),
            "b" => ScalarValue::from(false),
            "a" => ScalarValue::try_from(&DataType::new_list(DataType::Utf8, true))?,
            "l" => ScalarValue::try_from(&DataType::new_list(DataType::Int64, true))?,
            _ => ScalarValue::Utf8(None),
        };
        fields.push(Field::new(name, default.data_type(), true));
        let value = |row: &Row| {
            row.iter()
                .find(|(named, _)| *named == name)
                .map_or(&default, |(_, value)| value)
                .clone()
        };
        arrays.push(match rows {
            [] => arrow::array::new_empty_array(&default.data_type()),
            rows => ScalarValue::iter_to_array(rows.iter().map(value))?,
        });
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}
