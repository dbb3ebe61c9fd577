//! What happens when nobody waits for it any more.
use super::super::model::{
    Ask::{Batch, Http, Job, Rpc, Topic},
    CATALOG_DB, ORDER_DB, Operation, STOCK_DB, Statement,
    Step::{Call, External, Query, QueryEach, Send, Sometimes, Work},
};
use super::operation;

pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "fulfilment",
        Topic("order-placed", 2_100),
        2_500,
        5,
        &[Call("warehouse", "shop.Warehouse/Pick"), Send("notifications", 640)],
    ),
    operation(
        "warehouse",
        Rpc("shop.Warehouse/Pick", 500, 200),
        3_500,
        4,
        &[
            Query(
                &STOCK_DB,
                Statement("SELECT", "bins", "SELECT bin FROM bins WHERE sku IN (@skus)", 2_900),
            ),
            QueryEach(
                &STOCK_DB,
                Statement(
                    "UPDATE",
                    "bins",
                    "UPDATE bins SET quantity = quantity - 1 WHERE bin = @bin",
                    1_100,
                ),
                1,
                6,
            ),
        ],
    ),
    operation(
        "warehouse",
        Rpc("shop.Warehouse/Restock", 900, 300),
        4_000,
        6,
        &[
            QueryEach(
                &STOCK_DB,
                Statement(
                    "UPDATE",
                    "stock",
                    "UPDATE stock SET quantity = quantity + @n WHERE sku = @sku",
                    1_300,
                ),
                10,
                40,
            ),
            Send("product-changed", 330),
        ],
    ),
    operation(
        "notification",
        Topic("notifications", 640),
        1_200,
        3,
        &[
            Call("email", "POST /send"),
            Sometimes(400, &[External("POST", "push.example.com", "/3/device", 55_000, [380, 40])]),
        ],
    ),
    operation(
        "email",
        Http("POST /send", 5_400, 90),
        6_000,
        15,
        &[External("POST", "smtp.mailrelay.example.com", "/v3/mail/send", 120_000, [28_000, 60])],
    ),
    operation(
        "analytics",
        Batch("page-views", 400),
        5_000,
        1,
        &[Query(
            &CATALOG_DB,
            Statement("COPY", "page_views", "COPY page_views FROM STDIN (FORMAT binary)", 12_000),
        )],
    ),
    operation(
        "scheduler",
        Job("restock"),
        300,
        0,
        &[
            Call("warehouse", "shop.Warehouse/Restock"),
            Call("inventory", "shop.Inventory/Available"),
        ],
    ),
    operation("scheduler", Job("nightly report"), 300, 0, &[Call("report", "POST /reports")]),
    operation(
        "report",
        Http("POST /reports", 300, 200),
        9_000,
        10,
        &[
            Query(
                &ORDER_DB,
                Statement(
                    "SELECT",
                    "orders",
                    "SELECT date_trunc('day', created_at), sum(total) FROM orders GROUP BY 1",
                    140_000,
                ),
            ),
            Work("draw charts", 90_000),
            Call("email", "POST /send"),
        ],
    ),
];
