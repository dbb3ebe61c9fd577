//! What shows itself to customers: pages, the app, and the gateway behind them.
use super::super::model::{
    Ask::Http,
    Operation,
    Step::{Call, Optional, Send, Together, Work},
};
use super::{WHO, operation};

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
];
