//! The examples of the OpenAPI document, asked of a running server. `UPDATE_EXPECT=1` writes the answers that came into
//! `openapi/examples.json`.
use super::*;
use crate::openapi::examples::Example;

impl Example {
    fn route(&self) -> &'static Route {
        let is_own = |route: &&Route| {
            self.operation == format!("{} {}", route.method.to_uppercase(), route.path)
        };
        ROUTES.iter().find(is_own).unwrap_or_else(|| panic!("no route: {}", self.operation))
    }

    /// True where the request's path is one of the route.
    fn is_of_its_route(&self) -> bool {
        let path = self.request.split('?').next().unwrap();
        let (own, route): (Vec<&str>, Vec<&str>) =
            (path.split('/').collect(), self.route().path.split('/').collect());
        own.len() == route.len()
            && own.iter().zip(&route).all(|(own, part)| part.starts_with('{') || own == part)
    }

    async fn ask(&self, f: &Fixture) -> Value {
        let mut request = Request::builder()
            .method(self.route().method.to_uppercase().as_str())
            .uri(&self.request)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", f.token));
        let body = self.body.as_ref().map_or_else(String::new, Value::to_string);
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let reply = f.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}: {}", self.request, reply.text);
        match self.route().answers {
            Answers::Text if self.figures_vary => first_lines(&reply.text),
            Answers::Text => Value::String(reply.text),
            _ => without_long_parts(reply.json()),
        }
    }
}

/// What stands there first, without figures.
fn first_lines(text: &str) -> Value {
    let lines = text.lines().filter(|line| line.starts_with('#')).take(8);
    Value::String(lines.collect::<Vec<&str>>().join("\n"))
}

/// The OpenAPI document has itself as an example: paths and schemas are left out of that.
fn without_long_parts(mut answer: Value) -> Value {
    if answer.get("openapi").is_some() {
        answer["paths"] = json!({});
        answer["components"] = json!({});
    }
    answer
}

/// True where `answer` has every field of `example`, with values of the same kind. It may have more: figures are added.
fn is_like(answer: &Value, example: &Value) -> bool {
    match (answer, example) {
        (Value::Object(answer), Value::Object(example)) => example
            .iter()
            .all(|(key, own)| answer.get(key).is_some_and(|value| is_like(value, own))),
        (Value::Array(answer), Value::Array(example)) => {
            answer.len() == example.len()
                && answer.iter().zip(example).all(|(value, own)| is_like(value, own))
        }
        _ => std::mem::discriminant(answer) == std::mem::discriminant(example),
    }
}

#[test]
fn an_answer_without_a_field_of_the_example_or_with_another_kind_of_value_is_not_like_it() {
    let example = json!({"rows": 3, "dates": [{"date": "2026-11-21"}]});
    let same = json!({"rows": 4, "dates": [{"date": "2026-11-22", "new": true}]});
    assert!(is_like(&same, &example));
    for other in [
        json!({"dates": [{"date": "2026-11-21"}]}),
        json!({"rows": "3", "dates": [{"date": "2026-11-21"}]}),
        json!({"rows": 3, "dates": [{}]}),
        json!({"rows": 3, "dates": []}),
        json!([]),
    ] {
        assert!(!is_like(&other, &example), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_has_an_example_that_the_server_answers_like_that() {
    let f = fixture().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi/examples.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut examples: Vec<Example> = serde_json::from_str(&text).unwrap();
    for route in ROUTES.iter().filter(|route| route.answers != Answers::Events) {
        let operation = format!("{} {}", route.method.to_uppercase(), route.path);
        let own: Vec<&Example> =
            examples.iter().filter(|example| example.operation == operation).collect();
        assert_eq!(own.len(), 1, "{operation} has one example");
        assert!(own[0].is_of_its_route(), "{}", own[0].request);
        // A retention apply, a flush and the like have no body.
        assert_eq!(own[0].body.is_some(), route.body.is_some(), "{operation}");
    }
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    for example in &mut examples {
        let answer = example.ask(&f).await;
        if is_update {
            example.answer = answer;
        } else if example.figures_vary && !answer.is_string() {
            assert!(is_like(&answer, &example.answer), "{}: {answer:#}", example.request);
        } else {
            assert_eq!(answer, example.answer, "{}", example.request);
        }
    }
    if is_update {
        let text = serde_json::to_string_pretty(&examples).unwrap();
        std::fs::write(path, text + "\n").unwrap();
        return;
    }
    let document = f.get("/api/v1/openapi.json").await.json();
    let compare = &document["paths"]["/api/v1/compare"]["get"];
    assert!(compare["responses"]["200"]["content"]["application/json"]["example"].is_array());
    assert!(compare["x-request"].as_str().unwrap().starts_with("/api/v1/compare?"));
    let sql = &document["paths"]["/api/v1/sql"]["post"]["requestBody"]["content"];
    assert!(sql["application/json"]["example"]["query"].is_string());
    f.store.close().await.unwrap();
}
