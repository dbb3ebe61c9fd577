//! Every route, in one table: the router, the roles, the known parameters and the OpenAPI document are made of it.
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use query::View;

use crate::api::{
    checks, deletion, health, partitions, patches, pins, questions, retention, sql, status, tail,
    trace, traces, views,
};
use crate::state::Shared;
use crate::{Error, Role, Web, openapi, page, safety};

/// A parameter of a route.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name in the query string (or, where the path has it in braces, in the path).
    pub name: &'static str,
    /// What it means, with an example.
    pub help: &'static str,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Rows, in any format of [`crate::Format`].
    Rows,
    /// One JSON document.
    Json,
    /// Text.
    Text,
    /// A stream of server-sent events that does not end by itself.
    Events,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// Path, with `{name}` for its parts.
    pub path: &'static str,
    /// Who may use it; `None`: everybody, always.
    pub role: Option<Role>,
    /// One sentence.
    pub summary: &'static str,
    /// Its own parameters.
    pub own: &'static [Parameter],
    /// Columns that `column=value` filters by.
    pub filters: &'static [&'static str],
    /// What it answers.
    pub answers: Answers,
    /// What the body is, with an example; `None` where it has none.
    pub body: Option<&'static str>,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

const FORMAT: [Parameter; 2] = [
    Parameter {
        name: "format",
        help: "json, ndjson, csv, arrow, parquet or table (dependencies also dot, mermaid, graphml, jaeger); \
               outranks the header Accept",
    },
    Parameter {
        name: "formula_guard",
        help: "CSV: on (default) puts ' before texts that a spreadsheet would take for a formula; off leaves them",
    },
];

/// Body of what changes the retention policy.
const POLICY: &str = "{\"ttl\": \"7d\", \"max_bytes\": 100000000000, \"keep_latest\": 10, \
    \"rules\": [{\"class\": \"errors\", \"ttl\": \"90d\", \"error\": true}]}";

/// Start of a range.
pub(crate) const FROM: Parameter = Parameter {
    name: "from",
    help: "start of the range, inclusive: -1h, now, 2026-11-21T10:00:00Z, 2026-11-21 or Unix seconds",
};
/// End of a range.
pub(crate) const TO: Parameter =
    Parameter { name: "to", help: "end of the range, exclusive, likewise" };
/// Number of rows.
pub(crate) const LIMIT: Parameter = Parameter { name: "limit", help: "rows at most" };
const EXACT: Parameter = Parameter {
    name: "exact",
    help: "true: quantiles are nearest ranks of all durations; false (default): within 1 % of them",
};
const RANGE: &[Parameter] = &[FROM, TO, EXACT, LIMIT];

const RANGE_ONLY: &[Parameter] = &[FROM, TO, LIMIT];

impl Route {
    /// Everything its query string may hold.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let filters = self.filters.iter().map(|name| Parameter {
            name,
            help: "only rows whose column of that name has exactly this value",
        });
        let format: &[Parameter] = match self.answers {
            Answers::Rows => &FORMAT,
            Answers::Json | Answers::Text | Answers::Events => &[],
        };
        self.own.iter().copied().chain(filters).chain(format.iter().copied())
    }

    const fn view(
        path: &'static str,
        view: View,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self { own: RANGE, filters: views::filters(view), ..Self::rows(path, summary, handler) }
    }

    const fn rows(
        path: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self {
            method: "get",
            path,
            role: Some(Role::Query),
            summary,
            own: &[],
            filters: &[],
            answers: Answers::Rows,
            body: None,
            handler,
        }
    }

    const fn json(
        path: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self { answers: Answers::Json, ..Self::rows(path, summary, handler) }
    }

    const fn text(
        path: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self { answers: Answers::Text, ..Self::rows(path, summary, handler) }
    }

    const fn body_of(self, method: &'static str, body: &'static str) -> Self {
        Self { method, body: Some(body), ..self }
    }

    const fn admin(self, method: &'static str, body: Option<&'static str>) -> Self {
        Self { method, body, role: Some(Role::Admin), ..self }
    }
}

/// All routes; every other path is the page.
pub const ROUTES: &[Route] = &[
    Route {
        method: "post",
        body: Some(
            "a statement as text, or JSON: {\"query\": \"SELECT ... WHERE service = $1\", \"params\": [\"cart\"]}",
        ),
        ..Route::rows("/api/v1/sql", "Runs one read-only SQL statement.", || post(sql::sql))
    },
    Route {
        own: traces::PARAMETERS,
        filters: views::filters(View::Traces),
        ..Route::rows(
            "/api/v1/traces",
            "Searches traces. The header spanlake-cursor has the cursor of the next page, where there is one.",
            || get(traces::search),
        )
    },
    Route {
        own: trace::PARAMETERS,
        ..Route::json(
            "/api/v1/traces/{trace_id}",
            "One trace: its spans in the order of its tree, and what is missing.",
            || get(trace::show),
        )
    },
    Route::view(
        "/api/v1/latency",
        View::Latency,
        "End-to-end latency of traces by root service and operation.",
        || get(views::latency),
    ),
    Route::view(
        "/api/v1/latency/histogram",
        View::LatencyHistogram,
        "Histogram of the end-to-end latency.",
        || get(views::histogram),
    ),
    Route {
        own: questions::HEATMAP,
        ..Route::rows(
            "/api/v1/latency/heatmap",
            "End-to-end latency over time: cells of time and duration, with an example trace in each.",
            || get(questions::heatmap),
        )
    },
    Route::view(
        "/api/v1/operations",
        View::Operations,
        "Rate, errors and latency of spans by service, operation and kind.",
        || get(views::operations),
    ),
    Route::view("/api/v1/dependencies", View::Dependencies, "Who calls whom.", || {
        get(views::dependencies)
    }),
    Route::view("/api/v1/network", View::Network, "Bytes by service, with coverage.", || {
        get(views::network)
    }),
    Route::view(
        "/api/v1/network/operations",
        View::NetworkOperations,
        "Bytes by service, operation and kind, with coverage.",
        || get(views::network_operations),
    ),
    Route::view(
        "/api/v1/network/caused",
        View::NetworkCaused,
        "Bytes moved in the traces that each root operation started.",
        || get(views::caused),
    ),
    Route {
        own: RANGE_ONLY,
        filters: questions::CAUSED_FILTERS,
        ..Route::rows(
            "/api/v1/network/caused/services",
            "Bytes moved in the subtrees below each service's spans.",
            || get(questions::caused_services),
        )
    },
    Route {
        own: RANGE_ONLY,
        filters: questions::PATTERN_FILTERS,
        ..Route::rows("/api/v1/patterns", "Traces by the shape of their tree.", || {
            get(questions::patterns)
        })
    },
    Route {
        own: RANGE,
        ..Route::rows(
            "/api/v1/patterns/{pattern}",
            "The tree of one pattern, a row a place.",
            || get(questions::pattern),
        )
    },
    Route {
        own: questions::PATHS,
        ..Route::rows(
            "/api/v1/critical-path",
            "Where the time goes that callers waited for, by operation, in the traces of a range.",
            || get(questions::critical_path),
        )
    },
    Route::rows(
        "/api/v1/traces/{trace_id}/critical-path",
        "The pieces of one trace's critical path, in the order of time.",
        || get(questions::trace_path),
    ),
    Route::rows("/api/v1/traces/{trace_id}/pattern", "The pattern that a trace is of.", || {
        get(questions::trace_pattern)
    }),
    Route::rows("/api/v1/traces/{trace_id}/tree", "One trace as text, a line a span.", || {
        get(questions::trace_tree)
    }),
    Route {
        own: RANGE_ONLY,
        filters: questions::STRUCTURE_FILTERS,
        ..Route::rows("/api/v1/structure", "Each span's place in the tree of its trace.", || {
            get(questions::structure)
        })
    },
    Route {
        own: questions::DESCENDANTS,
        ..Route::rows(
            "/api/v1/descendants",
            "Spans that satisfy a condition, below spans that satisfy another; the newest first.",
            || get(questions::descendants),
        )
    },
    Route {
        own: questions::CALLS,
        ..Route::rows(
            "/api/v1/calls",
            "Spans of one service somewhere below spans of another; the newest first.",
            || get(questions::calls),
        )
    },
    Route {
        own: RANGE_ONLY,
        filters: questions::SELF_TIME_FILTERS,
        ..Route::rows("/api/v1/self-time", "Time in which no child ran, by operation.", || {
            get(questions::self_time)
        })
    },
    Route {
        own: RANGE_ONLY,
        filters: questions::MISSING_FILTERS,
        ..Route::rows(
            "/api/v1/missing-parents",
            "Parents that spans name and that are not there, and why: late, sampled_out, dropped, never_sent or unknown.",
            || get(questions::missing),
        )
    },
    Route {
        own: RANGE_ONLY,
        filters: questions::UNOWNED_FILTERS,
        ..Route::rows(
            "/api/v1/unowned",
            "HTTP requests that no handler answered (404 or without route), by method and shape of the path.",
            || get(questions::unowned),
        )
    },
    Route {
        own: checks::PARAMETERS,
        ..Route::rows("/api/v1/checks", "Tests what has to be true of every trace.", || {
            post(checks::check)
        })
        .body_of("post", checks::EXAMPLE)
    },
    Route {
        own: questions::COMPARE,
        ..Route::rows(
            "/api/v1/compare",
            "Attributes and values that occur differently in a selection than in a baseline, and when it is dense.",
            || get(questions::compare),
        )
    },
    Route {
        own: tail::filter::PARAMETERS,
        answers: Answers::Events,
        ..Route::rows(
            "/api/v1/tail",
            "Spans as they arrive (server-sent events span, lagged, skipped); the header Last-Event-ID resumes.",
            || get(tail::tail),
        )
    },
    Route::rows("/api/v1/partitions", "Dates of the table with their size and expiry.", || {
        get(partitions::list)
    }),
    Route::json(
        "/api/v1/partitions/drop",
        "Removes whole dates; answers with the receipt.",
        || post(partitions::drop),
    )
    .admin("post", Some("{\"dates\": [\"2026-11-21\"], \"class\": \"default\"}")),
    Route::json("/api/v1/retention", "The retention policy in force.", || get(retention::show)),
    Route::json(
        "/api/v1/retention",
        "Changes the retention policy; what is left out stays as it is, null means without limit.",
        || put(retention::set),
    )
    .admin("put", Some(POLICY)),
    Route {
        own: &[Parameter {
            name: "ttl",
            help: "7d, 36h, never; the one in force where it is absent",
        }],
        ..Route::json(
            "/api/v1/retention/plan",
            "What the policy would remove now, and what would stay and why; nothing is removed.",
            || get(retention::plan),
        )
    },
    Route {
        method: "post",
        body: Some(POLICY),
        ..Route::json(
            "/api/v1/retention/plan",
            "What the policy with a change would remove now.",
            || post(retention::plan_change),
        )
    },
    Route::json("/api/v1/retention/apply", "Applies the policy now.", || post(retention::apply))
        .admin("post", None),
    Route::json("/api/v1/retention/receipts", "Receipts of all removals, oldest first.", || {
        get(retention::receipts)
    }),
    Route {
        own: patches::PARAMETERS,
        ..Route::json(
            "/api/v1/patches",
            "Notes, aliases and corrections of traces, and renamed operations.",
            || get(patches::list),
        )
    },
    Route::json("/api/v1/patches", "Adds a patch; spans stay as they are.", || post(patches::add))
        .admin("post", Some(patches::EXAMPLES)),
    Route::json("/api/v1/pins", "Pinned traces, which no drop removes.", || get(pins::list)),
    Route::json("/api/v1/pins", "Pins a trace.", || post(pins::pin))
        .admin("post", Some("{\"trace_id\": \"...\", \"note\": \"the outage of Friday\"}")),
    Route::json("/api/v1/pins/{trace_id}", "Unpins a trace.", || delete(pins::unpin))
        .admin("delete", None),
    Route::json(
        "/api/v1/delete",
        "Deletes whole traces for good, by id or by an attribute; dry_run only counts, now does not wait for running queries.",
        || post(deletion::delete),
    )
    .admin(
        "post",
        Some("{\"traces\": [\"...\"]} or {\"attribute\": {\"key\": \"user.id\", \"value\": \"4711\"}, \"dry_run\": true, \"now\": false}"),
    ),
    Route::json("/api/v1/flush", "Writes the spans in memory into files.", || {
        post(partitions::flush)
    })
    .admin("post", None),
    Route {
        own: &[Parameter {
            name: "now",
            help: "true: also files of hours and days that are not over and quiet (default false)",
        }],
        ..Route::json(
            "/api/v1/compact",
            "Makes large files of small ones, as far as it is worth it.",
            || post(partitions::compact),
        )
        .admin("post", None)
    },
    Route::json("/api/v1/status", "What the server does and holds.", || get(status::status)),
    Route::json("/api/v1/openapi.json", "This description.", || get(openapi::show)),
    Route {
        role: None,
        ..Route::text("/healthz", "The process answers.", || get(health::healthz))
    },
    Route::text("/readyz", "Spans are taken and can be stored; 503 says why not.", || {
        get(health::readyz)
    }),
    Route::text("/metrics", "Figures in Prometheus' text format.", || get(health::metrics)),
];

/// The whole HTTP door on one port: API, probes, metrics and page.
pub fn router(web: Web) -> Router {
    let auth = web.auth.clone();
    let shared = Arc::new(Shared::new(web));
    let mut router = Router::new();
    for route in ROUTES {
        let mut handler = (route.handler)().layer(Extension(route));
        if let Some(role) = route.role {
            handler = handler.layer(auth.layer(role));
        }
        router = router.route(route.path, handler);
    }
    let guard = middleware::from_fn_with_state(Arc::clone(&shared), safety::guard);
    router
        .method_not_allowed_fallback(wrong_method)
        .fallback(page::serve)
        .layer(guard)
        .with_state(shared)
}

async fn wrong_method(request: Request) -> Response {
    Error::Method(request.method().to_string()).into_response()
}

#[cfg(test)]
mod tests;
