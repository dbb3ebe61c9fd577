use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::*;
use crate::batch::SpanBatch;
use crate::entry::Decode;
use crate::schema::AttributeColumns;
use crate::testing::{CountDecode, entry};

/// A batch of requests with so many spans each, received at these times.
fn arrival(first: u64, requests: &[(usize, i64)]) -> Arrival {
    let times: Vec<i64> =
        requests.iter().flat_map(|(spans, at)| std::iter::repeat_n(*at, *spans)).collect();
    let body = entry(&format!("{first} {}", times.len()));
    let batch = CountDecode.decode(&[body], &AttributeColumns::from_start());
    let (schema, mut columns, _) = batch.records().clone().into_parts();
    let place = schema.index_of(column::RECEIVED).unwrap();
    columns[place] = Arc::new(Int64Array::from(times)) as ArrayRef;
    let records = RecordBatch::try_new(schema, columns).unwrap();
    let batch = Arc::new(SpanBatch::new(records, Vec::new()));
    Arrival { through: WalSeq(first), first, batch }
}

fn seen(departures: &[Departure]) -> Vec<(u64, u64, i64)> {
    departures.iter().map(|d| (d.first, d.spans, d.received_unix_nano)).collect()
}

#[test]
fn requests_are_told_by_when_they_were_received() {
    let found = requests(&arrival(10, &[(2, 5), (1, 5), (3, 9)]));
    assert_eq!(seen(&found), [(10, 3, 5), (13, 3, 9)]);
    assert_eq!(found[1].end(), 16);
    assert!(found.iter().all(|request| request.start.from < request.start.until));
}

#[test]
fn the_latest_are_found_by_number_whatever_the_order_of_leaving() {
    let mut departures = Departures::default();
    departures.add(requests(&arrival(10, &[(5, 1), (5, 2)])));
    departures.add(requests(&arrival(0, &[(10, 0)])));
    departures.add(requests(&arrival(20, &[(5, 2)])));
    assert_eq!(seen(&departures.within(9, 15, 9)), [(0, 10, 0), (10, 5, 1)]);
    // One request of two batches.
    assert_eq!(seen(&departures.within(15, 99, 9)), [(15, 10, 2)]);
    assert_eq!(departures.within(0, 99, 2).len(), 2);
    assert_eq!(departures.within(25, 99, 9), []);
}

#[test]
fn only_so_many_are_remembered() {
    let mut departures = Departures::default();
    let count = REQUESTS_MAX as u64 + 10;
    let start = TimeRange { from: 0, until: 1 };
    let one = |first| {
        let received_unix_nano = i64::try_from(first).unwrap();
        Departure { first, spans: 1, through: WalSeq(first), received_unix_nano, start }
    };
    departures.add((0..count).map(one).collect());
    assert_eq!(departures.within(0, count, usize::MAX).len(), REQUESTS_MAX);
    assert_eq!(departures.within(0, count, 1)[0].first, 10);
}
