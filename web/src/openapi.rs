//! The OpenAPI document, made of [`crate::routes::ROUTES`].
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use self::examples::Example;
use crate::Format;
use crate::api::Web;
use crate::routes::{Answers, ROUTES, Route};

pub(crate) mod examples;

pub(crate) async fn show(State(shared): Web) -> Json<Value> {
    Json(document(shared.web.version))
}

/// OpenAPI 3.1.
fn document(version: &str) -> Value {
    let mut paths = Map::new();
    let examples = examples::all();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        let name = format!("{} {}", route.method.to_uppercase(), route.path);
        path[route.method] = operation(route);
        if let Some(example) = examples.iter().find(|example| example.operation == name) {
            show_by_example(&mut path[route.method], route, example);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Spanlake",
            "version": version,
            "description": "Rows stream as they come. Should a query fail after its first rows, the connection \
                breaks off without a proper end (NDJSON first says why in a last line {\"error\": {...}}); a \
                client must not take such a part for the whole. Integers are 64 bit; times are RFC 3339 with \
                nanoseconds, durations `*_nano` nanoseconds. What a view could not know stands in the header \
                spanlake-notes as a JSON object.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Error": error() },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": {
            "200": { "description": "OK", "content": content(route.answers) },
            "default": {
                "description": "Refused or failed.",
                "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
                },
            },
        },
    });
    if let Some(body) = route.body {
        let schema = json!({ "schema": {} });
        let mut types = json!({ "application/json": schema });
        if route.answers == Answers::Rows {
            types["text/plain"] = schema;
        }
        operation["requestBody"] =
            json!({ "description": body, "required": true, "content": types });
    }
    if let Some(role) = route.role {
        operation["security"] = json!([{ "token": [] }]);
        operation["x-role"] = json!(role.as_str());
    }
    operation
}

/// Adds a request, its body and its answer.
fn show_by_example(operation: &mut Value, route: &Route, example: &Example) {
    operation["x-request"] = json!(example.request);
    let media_type = match route.answers {
        Answers::Text => "text/plain",
        Answers::Rows | Answers::Json | Answers::Events => "application/json",
    };
    operation["responses"]["200"]["content"][media_type]["example"] = example.answer.clone();
    if let Some(body) = &example.body {
        operation["requestBody"]["content"]["application/json"]["example"] = body.clone();
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let in_path = route.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let in_query = route.parameters().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.help,
            "schema": text,
        })
    });
    in_path.chain(in_query).collect()
}

fn content(answers: Answers) -> Value {
    match answers {
        Answers::Json => json!({ "application/json": {} }),
        Answers::Text => json!({ "text/plain": {} }),
        Answers::Events => json!({ "text/event-stream": {} }),
        Answers::Rows => {
            let types = Format::ALL.map(|format| (format.media_type().to_owned(), json!({})));
            Value::Object(types.into_iter().collect())
        }
    }
}

fn error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["kind", "message", "request_id"],
                "properties": { "kind": text, "message": text, "request_id": text },
            },
        },
    })
}

#[cfg(test)]
mod tests;
