//! What the shop's operations do: a table for each part of the shop.
mod afterwards;
mod goods;
mod orders;
mod pages;
mod people;

use super::model::{
    Ask, Operation,
    Step::{self, Call},
};

/// The statement that an incident slows down, and where.
pub(super) const SLOW_STATEMENT: &str =
    "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20";
/// The server of that incident.
pub(super) const SLOW_SERVER: &str = "order-db-2";

const TABLES: &[&[Operation]] = &[
    pages::OPERATIONS,
    people::OPERATIONS,
    goods::OPERATIONS,
    orders::OPERATIONS,
    afterwards::OPERATIONS,
];

/// All operations of all services.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    TABLES.iter().copied().flatten()
}

const fn operation(
    service: &'static str,
    ask: Ask,
    work: u32,
    fails: u32,
    steps: &'static [Step],
) -> Operation {
    Operation { service, ask, work, fails, steps }
}

const WHO: Step = Call("auth", "shop.Auth/Verify");
