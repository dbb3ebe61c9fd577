//! What the shop's operations do.
use super::model::{
    Ask::{Batch, Http, Job, Rpc, Topic},
    CACHE, CATALOG_DB, CUSTOMER_DB, ORDER_DB, Operation, REVIEW_DB, SEARCH_DB, STOCK_DB, Statement,
    Step::{
        self, Cached, Call, External, Optional, Query, QueryEach, Retry, Send, Sometimes, Together,
        Work,
    },
};

/// The statement that an incident slows down, and where.
pub(super) const SLOW_STATEMENT: &str =
    "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20";
/// The server of that incident.
pub(super) const SLOW_SERVER: &str = "order-db-2";

const fn operation(
    service: &'static str,
    ask: super::model::Ask,
    work: u32,
    fails: u32,
    steps: &'static [Step],
) -> Operation {
    Operation { service, ask, work, fails, steps }
}

const WHO: Step = Call("auth", "shop.Auth/Verify");

pub(super) const OPERATIONS: &[Operation] = &[
    // Pages.
    operation(
        "storefront",
        Http("GET /", 0, 48_000),
        4_000,
        1,
        &[Call("gateway", "GET /api/home"), Work("render home", 6_000)],
    ),
    operation(
        "storefront",
        Http("GET /product/{id}", 0, 36_000),
        3_000,
        1,
        &[
            Call("gateway", "GET /api/product/{id}"),
            Work("render product", 5_000),
            Send("page-views", 420),
        ],
    ),
    operation(
        "storefront",
        Http("GET /search", 0, 29_000),
        2_500,
        1,
        &[
            Call("gateway", "GET /api/search"),
            Work("render results", 4_000),
            Send("page-views", 380),
        ],
    ),
    operation(
        "storefront",
        Http("GET /cart", 0, 14_000),
        2_000,
        1,
        &[Call("gateway", "GET /api/cart"), Work("render cart", 3_000)],
    ),
    operation(
        "storefront",
        Http("POST /cart", 320, 900),
        1_500,
        2,
        &[Call("gateway", "POST /api/cart")],
    ),
    operation(
        "storefront",
        Http("POST /checkout", 1_900, 2_400),
        3_000,
        2,
        &[Call("gateway", "POST /api/checkout")],
    ),
    operation(
        "storefront",
        Http("POST /login", 260, 700),
        1_500,
        1,
        &[Call("gateway", "POST /api/login")],
    ),
    operation(
        "storefront",
        Http("GET /orders", 0, 17_000),
        2_000,
        1,
        &[Call("gateway", "GET /api/orders"), Work("render orders", 3_000)],
    ),
    operation(
        "mobile-bff",
        Http("GET /v2/home", 0, 9_000),
        1_500,
        1,
        &[Together(&[
            Call("catalog", "GET /catalog/featured"),
            Optional("recommendation", "GET /recommendations"),
            Optional("loyalty", "GET /loyalty/{customer}"),
        ])],
    ),
    operation(
        "mobile-bff",
        Http("GET /v2/product/{id}", 0, 7_000),
        1_500,
        1,
        &[Together(&[
            Call("catalog", "GET /catalog/{id}"),
            Call("pricing", "shop.Pricing/Quote"),
            Optional("review", "get /reviews/{product}"),
        ])],
    ),
    operation(
        "mobile-bff",
        Http("POST /v2/review", 1_200, 200),
        1_500,
        2,
        &[WHO, Call("review", "post /reviews")],
    ),
    // Gateway.
    operation(
        "gateway",
        Http("GET /api/home", 0, 22_000),
        700,
        1,
        &[
            Call("session", "shop.Session/Get"),
            Together(&[
                Call("catalog", "GET /catalog/featured"),
                Optional("recommendation", "GET /recommendations"),
                Optional("ad", "GET /ads"),
                Optional("promotion", "GET /promotions"),
            ]),
        ],
    ),
    operation(
        "gateway",
        Http("GET /api/product/{id}", 0, 16_000),
        700,
        1,
        &[
            Call("session", "shop.Session/Get"),
            Call("catalog", "GET /catalog/{id}"),
            Together(&[
                Call("pricing", "shop.Pricing/Quote"),
                Call("inventory", "shop.Inventory/Available"),
                Optional("review", "get /reviews/{product}"),
                Optional("media", "shop.Media/Links"),
                Optional("recommendation", "GET /recommendations"),
            ]),
        ],
    ),
    operation(
        "gateway",
        Http("GET /api/search", 0, 18_000),
        700,
        1,
        &[
            Call("session", "shop.Session/Get"),
            Call("search", "GET /search"),
            Optional("ad", "GET /ads"),
        ],
    ),
    operation(
        "gateway",
        Http("GET /api/cart", 0, 5_000),
        600,
        1,
        &[Call("session", "shop.Session/Get"), Call("cart", "shop.Cart/Get")],
    ),
    operation(
        "gateway",
        Http("POST /api/cart", 320, 400),
        600,
        1,
        &[
            Call("session", "shop.Session/Get"),
            Call("inventory", "shop.Inventory/Available"),
            Call("cart", "shop.Cart/Add"),
        ],
    ),
    operation(
        "gateway",
        Http("POST /api/checkout", 1_900, 1_100),
        900,
        1,
        &[WHO, Call("checkout", "shop.Checkout/Place")],
    ),
    operation(
        "gateway",
        Http("POST /api/login", 260, 500),
        600,
        1,
        &[Call("auth", "shop.Auth/Login"), Call("session", "shop.Session/Create")],
    ),
    operation(
        "gateway",
        Http("GET /api/orders", 0, 12_000),
        700,
        1,
        &[WHO, Call("order", "GET /orders")],
    ),
    // People.
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
    // Goods.
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
    // Orders.
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
    // Afterwards.
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
