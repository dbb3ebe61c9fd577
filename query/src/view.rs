//! Views by name, with their range and filters.

/// A view: a SQL table function and an HTTP endpoint over the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// One row a trace.
    Traces,
    /// End-to-end latency by root operation.
    Latency,
    /// Its histogram.
    LatencyHistogram,
    /// Spans by service, operation and kind.
    Operations,
    /// Who calls whom.
    Dependencies,
    /// Bytes by service.
    Network,
    /// Bytes by service, operation and kind.
    NetworkOperations,
    /// Bytes by the root operation that caused them.
    NetworkCaused,
}

impl View {
    /// All views.
    pub const ALL: [Self; 8] = [
        Self::Traces,
        Self::Latency,
        Self::LatencyHistogram,
        Self::Operations,
        Self::Dependencies,
        Self::Network,
        Self::NetworkOperations,
        Self::NetworkCaused,
    ];

    /// The name of the table function.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Latency => "latency",
            Self::LatencyHistogram => "latency_histogram",
            Self::Operations => "operations",
            Self::Dependencies => "dependencies",
            Self::Network => "network",
            Self::NetworkOperations => "network_operations",
            Self::NetworkCaused => "network_caused",
        }
    }
}

/// A question to a view. Texts are as users type them: `-1h`, `now`, RFC 3339, Unix seconds.
#[derive(Debug, Clone)]
pub struct ViewRequest {
    /// Which view.
    pub view: View,
    /// Start of the range, inclusive; everything where absent.
    pub from: Option<String>,
    /// End of the range, exclusive; everything where absent.
    pub to: Option<String>,
    /// Quantiles are nearest ranks of all durations; otherwise within 1 % of them.
    pub exact: bool,
    /// Conditions on the view's own columns as a SQL expression, already made of safe parts by the caller.
    pub filter: Option<String>,
    /// `ORDER BY` text over the view's columns.
    pub order: Option<String>,
    /// Row limit.
    pub limit: Option<usize>,
}

impl ViewRequest {
    /// Everything that `view` knows.
    pub fn everything(view: View) -> Self {
        Self { view, from: None, to: None, exact: false, filter: None, order: None, limit: None }
    }

    /// The SQL statement that asks the same.
    pub fn sql(&self) -> String {
        let time = |text: &Option<String>| match text {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => "NULL".to_owned(),
        };
        let (from, to) = (time(&self.from), time(&self.to));
        let exact = if self.exact { ", 'exact'" } else { "" };
        let mut sql = format!("SELECT * FROM {}({from}, {to}{exact})", self.view.name());
        if let Some(filter) = &self.filter {
            sql.push_str(&format!(" WHERE {filter}"));
        }
        if let Some(order) = &self.order {
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}

/// A question to a table function that takes more than a range. Absent arguments are NULL.
#[derive(Debug, Clone)]
pub struct Call {
    /// The table function.
    pub function: &'static str,
    /// Its arguments, in order; texts as users type them.
    pub arguments: Vec<Option<String>>,
    /// Conditions on its columns, already made of safe parts by the caller.
    pub filter: Option<String>,
    /// `ORDER BY` text over its columns.
    pub order: Option<&'static str>,
    /// Row limit.
    pub limit: Option<usize>,
}

impl Call {
    /// The SQL statement that asks the same.
    pub fn sql(&self) -> String {
        let text = |text: &Option<String>| match text {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => "NULL".to_owned(),
        };
        let arguments: Vec<String> = self.arguments.iter().map(text).collect();
        let mut sql = format!("SELECT * FROM {}({})", self.function, arguments.join(", "));
        if let Some(filter) = &self.filter {
            sql.push_str(&format!(" WHERE {filter}"));
        }
        if let Some(order) = self.order {
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}
