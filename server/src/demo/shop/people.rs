//! Who the customers are.
use super::super::model::{
    Ask::{Http, Rpc, Topic},
    CUSTOMER_DB, Operation, Statement,
    Step::{Cached, External, Query, Sometimes, Work},
};
use super::operation;

pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "auth",
        Rpc("shop.Auth/Verify", 700, 60),
        400,
        1,
        &[Cached(
            "token",
            80,
            &[Query(
                &CUSTOMER_DB,
                Statement(
                    "SELECT",
                    "tokens",
                    "SELECT customer_id, expires FROM tokens WHERE hash = ?",
                    900,
                ),
            )],
        )],
    ),
    operation(
        "auth",
        Rpc("shop.Auth/Login", 240, 800),
        900,
        25,
        &[
            Query(
                &CUSTOMER_DB,
                Statement(
                    "SELECT",
                    "customers",
                    "SELECT id, password_hash FROM customers WHERE email = ?",
                    1_100,
                ),
            ),
            Work("verify password", 48_000),
            Sometimes(
                30,
                &[External("POST", "captcha.example.net", "/v1/verify", 90_000, [600, 120])],
            ),
        ],
    ),
    operation(
        "session",
        Rpc("shop.Session/Get", 90, 700),
        200,
        0,
        &[Cached(
            "session",
            40,
            &[Query(
                &CUSTOMER_DB,
                Statement("SELECT", "sessions", "SELECT data FROM sessions WHERE id = ?", 800),
            )],
        )],
    ),
    operation(
        "session",
        Rpc("shop.Session/Create", 300, 90),
        300,
        0,
        &[Query(
            &CUSTOMER_DB,
            Statement(
                "INSERT",
                "sessions",
                "INSERT INTO sessions (id, customer_id, data) VALUES (?, ?, ?)",
                1_400,
            ),
        )],
    ),
    operation(
        "customer",
        Http("GET /customers/{id}", 0, 1_800),
        800,
        1,
        &[
            Query(
                &CUSTOMER_DB,
                Statement("SELECT", "customers", "SELECT * FROM customers WHERE id = ?", 900),
            ),
            Query(
                &CUSTOMER_DB,
                Statement(
                    "SELECT",
                    "addresses",
                    "SELECT * FROM addresses WHERE customer_id = ?",
                    1_000,
                ),
            ),
        ],
    ),
    operation(
        "loyalty",
        Http("GET /loyalty/{customer}", 0, 300),
        2_200,
        4,
        &[Query(
            &CUSTOMER_DB,
            Statement(
                "SELECT",
                "points",
                "SELECT sum(points) FROM points WHERE customer_id = ?",
                2_600,
            ),
        )],
    ),
    operation(
        "loyalty",
        Topic("order-placed", 2_100),
        1_500,
        3,
        &[Query(
            &CUSTOMER_DB,
            Statement(
                "INSERT",
                "points",
                "INSERT INTO points (customer_id, order_id, points) VALUES (?, ?, ?)",
                1_500,
            ),
        )],
    ),
];
