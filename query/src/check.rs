//! What has to be true of every trace, as people write it: docs/checks.md.
mod file;

pub use file::CheckFile;

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name in answers.
    pub name: String,
    /// Which spans are tested: a SQL condition over the columns of `spans`.
    pub when: String,
    /// What has to be true of each.
    pub expect: Expect,
}

/// What has to be true of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// So many spans there satisfy a condition.
    Count {
        /// Where they stand.
        place: Place,
        /// A SQL condition over the columns of `spans`.
        condition: String,
        /// At least so many.
        at_least: i64,
        /// At most so many.
        at_most: Option<i64>,
    },
    /// Of the spans below that satisfy these conditions, the first of each starts no earlier than the first of the one
    /// before. Conditions that no span satisfies are passed over.
    Order(Vec<String>),
}

/// Where spans stand, seen from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Below it, directly or not.
    Below,
    /// Right below it.
    Children,
    /// Above it, directly or not.
    Above,
    /// Anywhere in its trace.
    Trace,
}

impl Place {
    /// All, with their words in files.
    pub const ALL: [(&'static str, Self); 4] = [
        ("below", Self::Below),
        ("children", Self::Children),
        ("above", Self::Above),
        ("trace", Self::Trace),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, place)| *place == self).map_or("", |(word, _)| word)
    }
}

impl Expect {
    /// Its conditions, in order.
    pub(crate) fn conditions(&self) -> &[String] {
        match self {
            Self::Count { condition, .. } => std::slice::from_ref(condition),
            Self::Order(conditions) => conditions,
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Count { place, condition, at_least, at_most } => {
                let count = match (at_least, at_most) {
                    (0, Some(0)) => "no span".to_owned(),
                    (least, Some(most)) if least == most => format!("{least} spans"),
                    (least, Some(most)) => format!("{least} to {most} spans"),
                    (least, None) => format!("at least {least} spans"),
                };
                format!("{count} {} with {condition}", place.word())
            }
            Self::Order(conditions) => format!("in this order: {}", conditions.join("; ")),
        }
    }
}
