//! The shop as tables: services, databases, operations and what each of them does.
//!
//! Times are typical microseconds of one's own work, sizes typical bytes, chances per thousand.

/// By which door a service's spans come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Door {
    Grpc,
    Http,
    Json,
    Zipkin,
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub name: &'static str,
    pub language: &'static str,
    pub version: &'static str,
    pub pods: u8,
    pub door: Door,
    /// How many of a thousand of its spans carry body sizes.
    pub sizes: u32,
}

const fn service(
    name: &'static str,
    language: &'static str,
    version: &'static str,
    pods: u8,
    door: Door,
) -> Service {
    // A service's instrumentation tells sizes on most requests; the older ones do not tell any.
    let sizes = match door {
        Door::Zipkin => 0,
        Door::Json => 700,
        _ => 900,
    };
    Service { name, language, version, pods, door, sizes }
}

use Door::{Grpc, Http, Json, Zipkin};

pub(super) const SERVICES: &[Service] = &[
    service("storefront", "nodejs", "5.21.0", 4, Json),
    service("mobile-bff", "nodejs", "3.8.2", 2, Http),
    service("gateway", "go", "1.44.1", 3, Grpc),
    service("auth", "go", "2.7.0", 2, Grpc),
    service("session", "go", "2.1.3", 2, Grpc),
    service("customer", "java", "4.0.9", 2, Http),
    service("catalog", "java", "7.3.1", 3, Http),
    service("search", "java", "3.12.0", 3, Http),
    service("search-indexer", "java", "3.12.0", 1, Http),
    service("recommendation", "python", "0.42.0", 2, Http),
    service("ad", "python", "1.3.5", 2, Http),
    service("pricing", "go", "2.19.4", 3, Grpc),
    service("promotion", "ruby", "1.9.0", 1, Http),
    service("inventory", "dotnet", "6.2.0", 2, Grpc),
    service("media", "rust", "0.9.3", 2, Grpc),
    service("review", "java", "2.5.1", 2, Zipkin),
    service("cart", "dotnet", "5.5.0", 2, Grpc),
    service("checkout", "go", "3.3.0", 2, Grpc),
    service("order", "java", "8.1.4", 3, Http),
    service("payment", "nodejs", "2.7.3", 2, Http),
    service("fraud", "python", "1.15.0", 2, Http),
    service("tax", "java", "1.2.0", 1, Http),
    service("currency", "cpp", "1.0.8", 2, Grpc),
    service("shipping", "java", "2.2.2", 1, Zipkin),
    service("warehouse", "dotnet", "3.0.1", 1, Grpc),
    service("fulfilment", "java", "2.4.0", 2, Http),
    service("notification", "nodejs", "1.18.0", 2, Json),
    service("email", "php", "1.4.7", 1, Http),
    service("loyalty", "ruby", "0.8.1", 1, Http),
    service("analytics", "rust", "1.6.0", 2, Grpc),
    service("scheduler", "go", "0.5.2", 1, Grpc),
    service("report", "python", "0.3.9", 1, Http),
];

/// A database server.
#[derive(Debug)]
pub(super) struct Database {
    pub system: &'static str,
    pub namespace: &'static str,
    /// One of these answers each call.
    pub servers: &'static [&'static str],
    pub port: i64,
}

pub(super) const CATALOG_DB: Database = Database {
    system: "postgresql",
    namespace: "catalog",
    servers: &["catalog-db-1", "catalog-db-2"],
    port: 5432,
};
pub(super) const ORDER_DB: Database = Database {
    system: "postgresql",
    namespace: "orders",
    servers: &["order-db-1", "order-db-2", "order-db-3"],
    port: 5432,
};
pub(super) const CUSTOMER_DB: Database = Database {
    system: "mysql",
    namespace: "customers",
    servers: &["customer-db-1", "customer-db-2"],
    port: 3306,
};
pub(super) const STOCK_DB: Database = Database {
    system: "microsoft.sql_server",
    namespace: "stock",
    servers: &["stock-db-1"],
    port: 1433,
};
pub(super) const REVIEW_DB: Database =
    Database { system: "mongodb", namespace: "reviews", servers: &["review-db-1"], port: 27017 };
pub(super) const SEARCH_DB: Database = Database {
    system: "elasticsearch",
    namespace: "products",
    servers: &["search-es-1", "search-es-2"],
    port: 9200,
};
pub(super) const CACHE: Database =
    Database { system: "redis", namespace: "0", servers: &["cache-1", "cache-2"], port: 6379 };

/// How an operation is asked for.
#[derive(Debug)]
pub(super) enum Ask {
    /// `METHOD route`, request and response bytes.
    Http(&'static str, i64, i64),
    /// `package.Service/Method`, request and response bytes.
    Rpc(&'static str, i64, i64),
    /// Handles messages of a topic one by one.
    Topic(&'static str, i64),
    /// Handles messages of a topic in batches, in a trace of its own that links to the senders.
    Batch(&'static str, i64),
    /// Starts by the clock.
    Job(&'static str),
}

/// One operation of one service.
#[derive(Debug)]
pub(super) struct Operation {
    pub service: &'static str,
    pub ask: Ask,
    /// Own work, before the steps.
    pub work: u32,
    /// Fails by itself, per thousand.
    pub fails: u32,
    pub steps: &'static [Step],
}

/// What an operation does, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// Calls the operation named `service operation`; the caller fails with it.
    Call(&'static str, &'static str),
    /// The same, tried again up to twice where it fails.
    Retry(&'static str, &'static str),
    /// The same, but the caller lives without.
    Optional(&'static str, &'static str),
    /// All at once.
    Together(&'static [Step]),
    /// `statement`, collection, text, microseconds.
    Query(&'static Database, Statement),
    /// The same statement once for each of `from..=to` rows: the N+1 pattern.
    QueryEach(&'static Database, Statement, u32, u32),
    /// Looks into the cache; the steps run where it misses (per thousand).
    Cached(&'static str, u32, &'static [Step]),
    /// Calls a server of somebody else: method, host, path, microseconds, request and response bytes.
    External(&'static str, &'static str, &'static str, u32, [i64; 2]),
    /// Sends a message to a topic, bytes.
    Send(&'static str, i64),
    /// Work with a name, microseconds.
    Work(&'static str, u32),
    /// Runs the steps in so many of a thousand cases.
    Sometimes(u32, &'static [Step]),
}

/// A statement: operation, collection, text, microseconds.
#[derive(Debug)]
pub(super) struct Statement(pub &'static str, pub &'static str, pub &'static str, pub u32);

/// An entry of the shop: which operation, and how many of a thousand requests it is.
#[derive(Debug)]
pub(super) struct Entry {
    pub service: &'static str,
    pub name: &'static str,
    pub share: u32,
}

const fn entry(service: &'static str, name: &'static str, share: u32) -> Entry {
    Entry { service, name, share }
}

pub(super) const ENTRIES: &[Entry] = &[
    entry("storefront", "GET /", 210),
    entry("storefront", "GET /product/{id}", 220),
    entry("storefront", "GET /search", 150),
    entry("storefront", "GET /cart", 70),
    entry("storefront", "POST /cart", 70),
    entry("storefront", "POST /checkout", 50),
    entry("storefront", "POST /login", 50),
    entry("storefront", "GET /orders", 30),
    entry("mobile-bff", "GET /v2/home", 70),
    entry("mobile-bff", "GET /v2/product/{id}", 40),
    entry("mobile-bff", "POST /v2/review", 15),
    entry("scheduler", "restock", 15),
    entry("scheduler", "nightly report", 10),
];

impl Operation {
    /// The span's name.
    pub(super) fn name(&self) -> &'static str {
        match self.ask {
            Ask::Http(name, ..) | Ask::Topic(name, _) | Ask::Batch(name, _) | Ask::Job(name) => {
                name
            }
            Ask::Rpc(name, ..) => name,
        }
    }
}
