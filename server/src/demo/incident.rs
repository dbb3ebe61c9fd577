//! Planted incidents: one every five minutes, each for a minute and a half, in turn.
use storage::time::NANOS_PER_SECOND;

/// From one incident to the next.
const CYCLE: i64 = 300 * NANOS_PER_SECOND;
/// Quiet time at the beginning of a cycle.
const QUIET: i64 = 60 * NANOS_PER_SECOND;
/// How long an incident lasts.
const LASTS: i64 = 90 * NANOS_PER_SECOND;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incident {
    /// One statement is ten times slower on one database server.
    SlowStatement,
    /// A new version of `payment` fails often, until it is rolled back.
    BadDeploy,
    /// The tax provider answers slowly and fails; callers try again.
    TaxProvider,
}

impl Incident {
    /// The incident at `time`, where there is one. Cycles count from `origin`, backwards too.
    pub(super) fn at(origin: i64, time: i64) -> Option<Self> {
        let since = time - origin;
        let within = since.rem_euclid(CYCLE);
        if !(QUIET..QUIET + LASTS).contains(&within) {
            return None;
        }
        Some(match since.div_euclid(CYCLE).rem_euclid(3) {
            0 => Self::SlowStatement,
            1 => Self::BadDeploy,
            _ => Self::TaxProvider,
        })
    }

    /// What the log says when it begins. It is a demo: no need to be mysterious.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::SlowStatement => {
                "incident begins: one statement is ten times slower on order-db-2; \
                 look at the latency of storefront GET /orders"
            }
            Self::BadDeploy => {
                "incident begins: payment 2.8.0 is deployed and fails every third charge; \
                 look at the errors of payment by service.version"
            }
            Self::TaxProvider => {
                "incident begins: api.taxrates.example.org is slow and fails, callers try again; \
                 look at the calls from tax"
            }
        }
    }
}
