//! What is for sale.
use super::super::model::{
    Ask::{Batch, Http, Rpc},
    CATALOG_DB, Operation, REVIEW_DB, SEARCH_DB, STOCK_DB, Statement,
    Step::{Cached, Call, External, Optional, Query, QueryEach, Send, Sometimes, Work},
};
use super::operation;

pub(super) const OPERATIONS: &[Operation] = &[
    operation(
        "catalog",
        Http("GET /catalog/featured", 0, 14_000),
        1_200,
        1,
        &[Cached(
            "featured",
            60,
            &[
                Query(
                    &CATALOG_DB,
                    Statement(
                        "SELECT",
                        "products",
                        "SELECT * FROM products WHERE featured ORDER BY rank LIMIT 24",
                        6_000,
                    ),
                ),
                QueryEach(
                    &CATALOG_DB,
                    Statement(
                        "SELECT",
                        "product_images",
                        "SELECT url FROM product_images WHERE product_id = $1",
                        700,
                    ),
                    8,
                    24,
                ),
            ],
        )],
    ),
    operation(
        "catalog",
        Http("GET /catalog/{id}", 0, 6_500),
        900,
        2,
        &[Cached(
            "product",
            250,
            &[
                Query(
                    &CATALOG_DB,
                    Statement("SELECT", "products", "SELECT * FROM products WHERE id = $1", 900),
                ),
                QueryEach(
                    &CATALOG_DB,
                    Statement(
                        "SELECT",
                        "product_variants",
                        "SELECT * FROM product_variants WHERE product_id = $1 AND position = $2",
                        600,
                    ),
                    2,
                    7,
                ),
            ],
        )],
    ),
    operation(
        "search",
        Http("GET /search", 0, 16_000),
        1_500,
        3,
        &[
            Work("parse query", 500),
            Query(
                &SEARCH_DB,
                Statement(
                    "search",
                    "products",
                    "{\"query\":{\"multi_match\":{\"query\":?}},\"size\":40}",
                    14_000,
                ),
            ),
            Sometimes(
                300,
                &[Query(
                    &SEARCH_DB,
                    Statement("search", "suggestions", "{\"suggest\":{\"text\":?}}", 5_000),
                )],
            ),
            Call("pricing", "shop.Pricing/QuoteMany"),
        ],
    ),
    operation(
        "search-indexer",
        Batch("product-changed", 1_400),
        9_000,
        4,
        &[
            Call("catalog", "GET /catalog/{id}"),
            Query(&SEARCH_DB, Statement("bulk", "products", "{\"index\":{\"_id\":?}}", 22_000)),
        ],
    ),
    operation(
        "recommendation",
        Http("GET /recommendations", 0, 2_400),
        3_500,
        6,
        &[Cached(
            "recommendation",
            350,
            &[Work("rank candidates", 22_000), Call("catalog", "GET /catalog/featured")],
        )],
    ),
    operation(
        "ad",
        Http("GET /ads", 0, 1_900),
        1_800,
        12,
        &[External("POST", "bid.adexchange.example.com", "/openrtb", 38_000, [2_300, 1_700])],
    ),
    operation(
        "pricing",
        Rpc("shop.Pricing/Quote", 120, 180),
        400,
        1,
        &[
            Cached(
                "price",
                120,
                &[Query(
                    &CATALOG_DB,
                    Statement(
                        "SELECT",
                        "prices",
                        "SELECT amount, currency FROM prices WHERE sku = $1",
                        800,
                    ),
                )],
            ),
            Sometimes(250, &[Call("currency", "shop.Currency/Convert")]),
        ],
    ),
    operation(
        "pricing",
        Rpc("shop.Pricing/QuoteMany", 1_300, 2_900),
        700,
        1,
        &[
            Query(
                &CATALOG_DB,
                Statement(
                    "SELECT",
                    "prices",
                    "SELECT sku, amount, currency FROM prices WHERE sku = ANY($1)",
                    2_300,
                ),
            ),
            Optional("promotion", "GET /promotions"),
        ],
    ),
    operation(
        "promotion",
        Http("GET /promotions", 0, 1_100),
        2_600,
        4,
        &[Cached(
            "promotions",
            100,
            &[Query(
                &CATALOG_DB,
                Statement(
                    "SELECT",
                    "promotions",
                    "SELECT * FROM promotions WHERE now() BETWEEN starts AND ends",
                    1_900,
                ),
            )],
        )],
    ),
    operation(
        "inventory",
        Rpc("shop.Inventory/Available", 90, 70),
        400,
        2,
        &[Query(
            &STOCK_DB,
            Statement("SELECT", "stock", "SELECT quantity FROM stock WHERE sku = @sku", 1_200),
        )],
    ),
    operation(
        "inventory",
        Rpc("shop.Inventory/Reserve", 260, 90),
        600,
        5,
        &[
            Query(
                &STOCK_DB,
                Statement(
                    "UPDATE",
                    "stock",
                    "UPDATE stock SET reserved = reserved + @n WHERE sku = @sku",
                    2_400,
                ),
            ),
            Send("product-changed", 310),
        ],
    ),
    operation(
        "media",
        Rpc("shop.Media/Links", 80, 900),
        300,
        1,
        &[Sometimes(
            150,
            &[External("HEAD", "images.cdn.example.com", "/p/large.webp", 12_000, [0, 0])],
        )],
    ),
    operation(
        "review",
        Http("get /reviews/{product}", 0, 5_200),
        1_300,
        3,
        &[
            Query(
                &REVIEW_DB,
                Statement(
                    "find",
                    "reviews",
                    "{\"find\":\"reviews\",\"filter\":{\"product\":?}}",
                    3_200,
                ),
            ),
            QueryEach(
                &REVIEW_DB,
                Statement("find", "authors", "{\"find\":\"authors\",\"filter\":{\"_id\":?}}", 900),
                2,
                9,
            ),
        ],
    ),
    operation(
        "review",
        Http("post /reviews", 1_200, 100),
        1_500,
        5,
        &[
            Query(&REVIEW_DB, Statement("insert", "reviews", "{\"insert\":\"reviews\"}", 2_800)),
            Send("product-changed", 290),
        ],
    ),
];
