//! A span of the shop before it is encoded.
use std::borrow::Cow;

/// Text that is mostly from the tables.
pub(super) type Text = Cow<'static, str>;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text.
    Text(Text),
    /// Integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// List of texts.
    Texts(Vec<Text>),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// Attributes in order.
pub(super) type Attributes = Vec<(&'static str, Value)>;

/// OTLP's span kinds, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Work inside a service.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub at: i64,
    pub name: &'static str,
    pub attributes: Attributes,
}

/// Another span that this one follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub trace: [u8; 16],
    pub span: [u8; 8],
}

/// One span. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub trace: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    /// Index into [`super::model::SERVICES`].
    pub service: usize,
    /// Which of the service's pods.
    pub pod: u8,
    /// The service's version at that time.
    pub version: &'static str,
    pub name: Text,
    pub kind: Kind,
    pub start: i64,
    pub end: i64,
    pub attributes: Attributes,
    /// Words of the status, where it is an error.
    pub error: Option<Text>,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
}
