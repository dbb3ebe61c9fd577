use super::*;

const LONG: Duration = Duration::from_secs(60);

async fn until_waiting(flight: &Flight, number: usize) {
    while flight.waiting() != number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_came_first_gets_in_first() {
    let flight = Flight::new(100, 10);
    let all = flight.enter(10, 10, Duration::ZERO).await.unwrap();
    let waits = |number| {
        let flight = flight.clone();
        tokio::spawn(async move { (number, flight.enter(6, 6, LONG).await.unwrap()) })
    };
    let first = waits(1);
    until_waiting(&flight, 1).await;
    let second = waits(2);
    until_waiting(&flight, 2).await;
    drop(all);
    let (number, held) = first.await.unwrap();
    assert_eq!((number, flight.waiting()), (1, 1), "6 of 10 are taken: the second waits on");
    // Four more bytes would fit, but not before those who wait.
    let third = {
        let flight = flight.clone();
        tokio::spawn(async move { flight.enter(4, 4, LONG).await.unwrap() })
    };
    until_waiting(&flight, 2).await;
    drop(held);
    assert_eq!(second.await.unwrap().0, 2);
    drop(third.await.unwrap());
    assert_eq!((flight.waiting(), flight.free_bytes()), (0, 100));
}

#[tokio::test]
async fn who_is_woken_in_vain_keeps_its_place() {
    let flight = Flight::new(100, 10);
    let mut all = flight.enter(10, 10, Duration::ZERO).await.unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let waits = |bytes| {
        let (flight, order) = (flight.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let held = flight.enter(bytes, bytes, LONG).await.unwrap();
            order.lock().unwrap().push(bytes);
            drop(held);
        })
    };
    let large = waits(8);
    until_waiting(&flight, 1).await;
    let small = waits(2);
    until_waiting(&flight, 2).await;
    for bytes in [8, 6, 4, 3] {
        // Room for the small one, which came later.
        all.shrink_to(bytes);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((order.lock().unwrap().len(), flight.waiting()), (0, 2));
    drop(all);
    large.await.unwrap();
    small.await.unwrap();
    assert_eq!(*order.lock().unwrap(), [8, 2]);
}

#[tokio::test]
async fn room_for_several_lets_several_in() {
    let flight = Flight::new(1_000, 100);
    let all = flight.enter(100, 100, Duration::ZERO).await.unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let flight = flight.clone();
            tokio::spawn(async move { flight.enter(10, 10, LONG).await.unwrap() })
        })
        .collect();
    until_waiting(&flight, 10).await;
    drop(all);
    let mut held = Vec::new();
    for one in waiting {
        held.push(one.await.unwrap());
    }
    assert_eq!(flight.free_bytes(), 900, "one release, ten let in");
}

#[tokio::test]
async fn who_waits_too_long_is_told_what_was_full() {
    let wait = Duration::from_millis(5);
    let flight = Flight::new(100, 10);
    let all = flight.enter(10, 10, wait).await.unwrap();
    assert!(matches!(flight.enter(1, 1, wait).await, Err(Error::TenantBusy { .. })));
    drop(all);
    let flight = Flight::new(10, 100);
    let all = flight.enter(10, 10, wait).await.unwrap();
    assert!(matches!(flight.enter(1, 1, wait).await, Err(Error::Busy { .. })));
    drop(all);
    assert_eq!((flight.waiting(), flight.free_bytes()), (0, 10));
}

#[tokio::test]
async fn a_sender_that_left_while_it_waited_leaves_nothing_behind() {
    let flight = Flight::new(100, 10);
    let all = flight.enter(10, 10, Duration::ZERO).await.unwrap();
    let entering = || {
        let flight = flight.clone();
        tokio::spawn(async move { flight.enter(5, 5, LONG).await.unwrap() })
    };
    let gone = entering();
    until_waiting(&flight, 1).await;
    let stays = entering();
    until_waiting(&flight, 2).await;
    gone.abort();
    assert!(gone.await.is_err());
    drop(all);
    assert_eq!(stays.await.unwrap().bytes(), 5);
}
