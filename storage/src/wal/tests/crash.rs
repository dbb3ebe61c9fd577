//! Every acknowledged span once, none invented, whatever step fails or dies.
use std::collections::BTreeSet;
use std::io::ErrorKind;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rig::{Disk, Rig};
use crate::entry::Appended;
use crate::error::Error;
use crate::testing::{Fault, MemoryFolder};

/// What a client knows.
#[derive(Debug, Default)]
struct Client {
    sent: Vec<String>,
    acked: BTreeSet<String>,
}

fn spans(body: &str) -> std::ops::Range<u64> {
    let (first, count) = body.split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    first..first + count.parse::<u64>().unwrap()
}

impl Client {
    async fn send(&mut self, rig: &Rig, body: &str) -> Result<Appended, Error> {
        self.sent.push(body.to_owned());
        let answer = rig.append(body).await;
        if answer.is_ok() {
            self.acked.insert(body.to_owned());
        }
        answer
    }

    #[track_caller]
    fn check(&self, visible: &[u64], when: &str) {
        assert!(visible.windows(2).all(|pair| pair[0] < pair[1]), "{when}: twice in {visible:?}");
        let sent: BTreeSet<u64> = self.sent.iter().flat_map(|body| spans(body)).collect();
        assert!(visible.iter().all(|id| sent.contains(id)), "{when}: invented in {visible:?}");
        for id in self.acked.iter().flat_map(|body| spans(body)) {
            assert!(visible.contains(&id), "{when}: {id} was acknowledged, visible {visible:?}");
        }
    }

    /// Sends everything again, as clients without an answer do.
    async fn retry(&mut self, rig: &Rig) {
        for body in self.sent.clone() {
            rig.append(&body).await.unwrap();
            self.acked.insert(body);
        }
    }
}

/// Appends, commits and trims, until a step fails.
async fn work(client: &mut Client, rig: &mut Rig) -> Result<(), Error> {
    for round in 0..3 {
        let first = round * 100 + 1;
        client.send(rig, &format!("{first} 2")).await?;
        client.send(rig, &format!("{} 1", first + 10)).await?;
        client.send(rig, &format!("{first} 2")).await?;
        for more in 20..26 {
            client.send(rig, &format!("{} 1", first + more)).await?;
        }
        rig.commit_and_trim().await?;
        client.send(rig, &format!("{} 3", first + 30)).await?;
    }
    Ok(())
}

/// Runs [`work`] into `fault`, restarts from what `after` leaves of the folder, and checks. Returns whether it struck.
async fn crash_once(fault: Fault, after: impl FnOnce(&MemoryFolder) -> MemoryFolder) -> bool {
    let mut client = Client::default();
    let mut rig = Rig::open(Disk::default()).unwrap();
    rig.disk.folder.plant(fault);
    let worked = work(&mut client, &mut rig).await;
    let steps = rig.disk.folder.steps();
    client.check(&rig.visible(), "before the crash");
    let mut disk = rig.end().await;
    disk.folder = after(&disk.folder);

    let rig = Rig::open(disk).unwrap();
    assert_eq!((rig.lost, rig.quarantined.len()), (0, 0), "{fault:?}: no false alarm");
    client.check(&rig.visible(), &format!("after {fault:?}"));
    client.retry(&rig).await;
    client.check(&rig.visible(), &format!("after {fault:?} and retries"));
    rig.end().await;
    let (Fault::CrashBefore(step) | Fault::CrashAfter(step) | Fault::FailOnce(step, _)) = fault
    else {
        return worked.is_err();
    };
    steps >= step
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_loses_and_doubles_nothing() {
    for step in 1.. {
        let before = crash_once(Fault::CrashBefore(step), MemoryFolder::after_kill).await;
        let after = crash_once(Fault::CrashAfter(step), MemoryFolder::after_kill).await;
        if !before && !after {
            assert!(step > 50, "the work has more steps than {step}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_step_loses_and_doubles_nothing() {
    for step in 1.. {
        let mut struck = false;
        for seed in 0..6 {
            let mut random = ChaCha8Rng::seed_from_u64(step * 100 + seed);
            let cut = |folder: &MemoryFolder| folder.after_power_cut(&mut random);
            struck |= crash_once(Fault::CrashBefore(step), cut).await;
        }
        if !struck {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_once_loses_and_doubles_nothing() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for step in 1.. {
            if !crash_once(Fault::FailOnce(step, kind), MemoryFolder::after_kill).await {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failed_write_goes_to_a_new_segment_and_is_acknowledged() {
    let rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 1").await.unwrap();
    // The next steps are a write and a sync.
    for (step, id) in [(1, 2), (2, 3)] {
        rig.disk.folder.plant(Fault::FailOnce(step, ErrorKind::Other));
        rig.append(&format!("{id} 1")).await.unwrap();
    }
    assert_eq!(rig.visible(), [1, 2, 3]);
    assert_eq!(rig.status.failures.value(), 2);
    let disk = rig.end().await;
    let rig = Rig::open(disk).unwrap();
    assert_eq!((rig.visible(), rig.lost), (vec![1, 2, 3], 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_failed_writes_nothing_is_taken_and_reading_goes_on() {
    let rig = Rig::open(Disk::default()).unwrap();
    rig.append("1 1").await.unwrap();
    rig.disk.folder.plant(Fault::FailWritesFrom(1));
    assert!(matches!(rig.append("2 1").await, Err(Error::ReadOnly)));
    rig.disk.folder.heal();
    assert!(matches!(rig.append("3 1").await, Err(Error::ReadOnly)), "only a restart helps");
    assert!(rig.status.is_read_only());
    assert_eq!(rig.visible(), [1]);
    let disk = rig.end().await;
    let rig = Rig::open(disk).unwrap();
    rig.append("3 1").await.unwrap();
    assert!(rig.visible().contains(&1) && rig.visible().contains(&3));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let rig = Rig::open(Disk::default()).unwrap();
    rig.disk.folder.plant(Fault::FailOnce(1, ErrorKind::StorageFull));
    assert!(matches!(rig.append("1 1").await, Err(Error::DiskFull { .. })));
    rig.append("1 1").await.unwrap();
    assert_eq!(rig.visible(), [1]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_breaks_the_decoder_costs_only_itself() {
    let rig = Rig::open(Disk::default()).unwrap();
    let (good, bad, other) =
        tokio::join!(rig.append("1 1"), rig.append("panic"), rig.append("2 1"));
    assert!(good.is_ok() && other.is_ok());
    assert!(matches!(bad, Err(Error::Invalid(_))));
    assert_eq!(rig.visible(), [1, 2]);
    let disk = rig.end().await;
    let rig = Rig::open(disk).unwrap();
    assert_eq!(rig.visible(), [1, 2]);
    rig.end().await;
}

/// Scenario: clients send at once, with retries, through many small segments, while commits, kills and power cuts come in
/// between. Guarantees: every acknowledged span once, none invented, no false alarm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_lives_lose_and_double_nothing() {
    for seed in 0..60 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut client = Client::default();
        let mut disk = Disk::default();
        let mut next = 1;
        for _life in 0..3 {
            let mut rig = Rig::open(disk).unwrap();
            assert_eq!((rig.lost, rig.quarantined.len()), (0, 0), "seed {seed}: no false alarm");
            client.check(&rig.visible(), &format!("seed {seed}, opened"));
            let fault = random.random_range(1..80);
            rig.disk.folder.plant(Fault::CrashBefore(fault));
            live(&mut client, &mut rig, &mut next, &mut random).await;
            disk = rig.end().await;
            disk.folder = if random.random() {
                disk.folder.after_kill()
            } else {
                disk.folder.after_power_cut(&mut random)
            };
        }
        let rig = Rig::open(disk).unwrap();
        client.check(&rig.visible(), &format!("seed {seed}, at the end"));
        client.retry(&rig).await;
        client.check(&rig.visible(), &format!("seed {seed}, after retries"));
        rig.end().await;
    }
}

async fn live(client: &mut Client, rig: &mut Rig, next: &mut u64, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..12) {
        let mut bodies: Vec<String> = Vec::new();
        for _ in 0..random.random_range(1..6) {
            let count = random.random_range(1..4);
            bodies.push(format!("{next} {count}"));
            *next += count;
        }
        if let Some(old) = client.sent.first() {
            bodies.push(old.clone());
        }
        client.sent.extend(bodies.iter().cloned());
        let sends = bodies.iter().map(|body| rig.append(body));
        let answers = futures::future::join_all(sends).await;
        for (body, answer) in bodies.into_iter().zip(answers) {
            if answer.is_ok() {
                client.acked.insert(body);
            }
        }
        if !random.random_bool(0.3) {
            continue;
        }
        let through = rig.commit();
        // What comes between commit and trim must outlive the trim, wherever segments end.
        for _ in 0..random.random_range(0..10) {
            let body = format!("{next} 1");
            *next += 1;
            // Without an answer it may be stored or not.
            client.send(rig, &body).await.ok();
        }
        if rig.wal.trim(through).await.is_err() {
            return;
        }
    }
}
