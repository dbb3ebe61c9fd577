//! What is bought.
use super::super::model::{
    Ask::{Http, Rpc},
    CACHE, ORDER_DB, Operation, Statement,
    Step::{Call, External, Optional, Query, QueryEach, Retry, Send, Together, Work},
};
use super::{SLOW_STATEMENT, operation};

pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "cart",
        Rpc("shop.Cart/Get", 60, 1_600),
        500,
        1,
        &[
            Query(&CACHE, Statement("HGETALL", "cart", "HGETALL cart:?", 450)),
            Call("pricing", "shop.Pricing/QuoteMany"),
        ],
    ),
    operation(
        "cart",
        Rpc("shop.Cart/Add", 150, 60),
        500,
        2,
        &[Query(&CACHE, Statement("HSET", "cart", "HSET cart:? ? ?", 480))],
    ),
    operation(
        "cart",
        Rpc("shop.Cart/Empty", 60, 20),
        300,
        1,
        &[Query(&CACHE, Statement("DEL", "cart", "DEL cart:?", 400))],
    ),
    operation(
        "checkout",
        Rpc("shop.Checkout/Place", 1_700, 500),
        1_500,
        3,
        &[
            Together(&[Call("cart", "shop.Cart/Get"), Call("customer", "GET /customers/{id}")]),
            Call("inventory", "shop.Inventory/Reserve"),
            Retry("tax", "POST /tax"),
            Call("shipping", "post /quote"),
            Optional("fraud", "POST /score"),
            Retry("payment", "POST /charges"),
            Call("order", "POST /orders"),
            Optional("cart", "shop.Cart/Empty"),
        ],
    ),
    operation("tax", Http("POST /tax", 800, 300), 900, 4, &[Retry("tax", "POST /tax/rates")]),
    operation(
        "tax",
        Http("POST /tax/rates", 200, 500),
        400,
        2,
        &[External("POST", "api.taxrates.example.org", "/v3/rates", 65_000, [420, 760])],
    ),
    operation(
        "payment",
        Http("POST /charges", 900, 450),
        1_400,
        8,
        &[
            External("POST", "api.cardnetwork.example.com", "/v1/charges", 180_000, [1_300, 900]),
            Query(
                &ORDER_DB,
                Statement(
                    "INSERT",
                    "charges",
                    "INSERT INTO charges (order_id, amount, state) VALUES ($1, $2, $3)",
                    1_800,
                ),
            ),
        ],
    ),
    operation(
        "fraud",
        Http("POST /score", 2_600, 150),
        1_800,
        6,
        &[
            Query(&ORDER_DB, Statement("SELECT", "orders", SLOW_STATEMENT, 3_600)),
            Work("score", 31_000),
        ],
    ),
    operation("currency", Rpc("shop.Currency/Convert", 40, 40), 120, 0, &[]),
    operation(
        "shipping",
        Http("post /quote", 900, 1_500),
        2_400,
        4,
        &[External("POST", "rates.parcel.example.net", "/quote", 48_000, [700, 1_900])],
    ),
    operation(
        "order",
        Http("GET /orders", 0, 9_500),
        1_400,
        1,
        &[
            Query(&ORDER_DB, Statement("SELECT", "orders", SLOW_STATEMENT, 3_600)),
            QueryEach(
                &ORDER_DB,
                Statement(
                    "SELECT",
                    "order_lines",
                    "SELECT * FROM order_lines WHERE order_id = $1",
                    900,
                ),
                3,
                20,
            ),
        ],
    ),
    operation(
        "order",
        Http("POST /orders", 2_400, 350),
        1_600,
        2,
        &[
            Query(
                &ORDER_DB,
                Statement(
                    "INSERT",
                    "orders",
                    "INSERT INTO orders (customer_id, total, state) VALUES ($1, $2, $3) RETURNING id",
                    2_300,
                ),
            ),
            Query(
                &ORDER_DB,
                Statement(
                    "INSERT",
                    "order_lines",
                    "INSERT INTO order_lines (order_id, sku, quantity, price) SELECT * FROM unnest($1, $2, $3, $4)",
                    2_900,
                ),
            ),
            Send("order-placed", 2_100),
        ],
    ),
];
