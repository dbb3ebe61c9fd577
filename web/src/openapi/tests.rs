use super::*;

#[test]
fn every_route_stands_in_the_document_and_nothing_else() {
    let document = document("1");
    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(
            methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())),
        );
    }
    let mut routes: Vec<_> =
        ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
    routes.sort();
    described.sort();
    assert_eq!(described, routes);
}

#[test]
fn the_routes_are_those_that_were_promised() {
    let list: Vec<String> = ROUTES
        .iter()
        .map(|route| {
            let role = route.role.map_or("open", crate::Role::as_str);
            format!("{} {} {role}", route.method.to_uppercase(), route.path)
        })
        .collect();
    expect_test::expect![[r#"
        POST /api/v1/sql query
        GET /api/v1/traces query
        GET /api/v1/traces/{trace_id} query
        GET /api/v1/latency query
        GET /api/v1/latency/histogram query
        GET /api/v1/latency/heatmap query
        GET /api/v1/operations query
        GET /api/v1/dependencies query
        GET /api/v1/network query
        GET /api/v1/network/operations query
        GET /api/v1/network/caused query
        GET /api/v1/network/caused/services query
        GET /api/v1/patterns query
        GET /api/v1/patterns/{pattern} query
        GET /api/v1/critical-path query
        GET /api/v1/traces/{trace_id}/critical-path query
        GET /api/v1/traces/{trace_id}/pattern query
        GET /api/v1/traces/{trace_id}/tree query
        GET /api/v1/structure query
        GET /api/v1/descendants query
        GET /api/v1/calls query
        GET /api/v1/self-time query
        GET /api/v1/missing-parents query
        GET /api/v1/unowned query
        POST /api/v1/checks query
        GET /api/v1/compare query
        GET /api/v1/tail query
        GET /api/v1/partitions query
        POST /api/v1/partitions/drop admin
        GET /api/v1/retention query
        PUT /api/v1/retention admin
        GET /api/v1/retention/plan query
        POST /api/v1/retention/plan query
        POST /api/v1/retention/apply admin
        GET /api/v1/retention/receipts query
        GET /api/v1/patches query
        POST /api/v1/patches admin
        GET /api/v1/pins query
        POST /api/v1/pins admin
        DELETE /api/v1/pins/{trace_id} admin
        POST /api/v1/delete admin
        POST /api/v1/flush admin
        POST /api/v1/compact admin
        GET /api/v1/status query
        GET /api/v1/openapi.json query
        GET /healthz open
        GET /readyz query
        GET /metrics query"#]]
    .assert_eq(&list.join("\n"));
}

#[test]
fn path_parts_and_filters_are_parameters() {
    let document = document("1");
    let names = |path: &str| -> Vec<String> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        parameters.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("/api/v1/traces/{trace_id}"), ["trace_id", "format", "raw", "limit"]);
    assert_eq!(
        names("/api/v1/dependencies"),
        ["from", "to", "exact", "limit", "caller", "callee", "kind", "format", "formula_guard"]
    );
}
