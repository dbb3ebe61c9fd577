use proptest::prelude::*;

use super::*;
use crate::sample::Rule;

const SECOND: i64 = 1_000_000_000;
const KEY: (&str, &str) = ("shop", "GET /cart");

fn config(target: f64) -> Config {
    Config { target_traces_per_second: target, ..Config::default() }
}

/// A service whose roots come at `rate` a second before sampling.
struct World {
    config: Config,
    operations: Operations,
    now: i64,
    /// What its SDKs sample at: they hear of a change two windows later.
    followed: [f64; 2],
    names_weights: bool,
}

impl World {
    fn new(target: f64, names_weights: bool) -> Self {
        let config = config(target);
        let operations = Operations::default();
        let mut world = Self { config, operations, now: 0, followed: [1.0; 2], names_weights };
        world.operations.tick(&world.config, world.now);
        world
    }

    fn told(&self) -> f64 {
        self.operations.services[KEY.0].operations[KEY.1].probability
    }

    /// One window of traffic; what the service is told after it.
    #[expect(clippy::cast_possible_truncation, reason = "small positive numbers")]
    fn window(&mut self, rate: f64) -> f64 {
        let seconds = self.config.interval.as_secs_f64();
        let at = self.followed[0];
        let roots = (rate * at * seconds).round() as u64;
        let weight = if self.names_weights { 1.0 / at } else { 1.0 };
        self.operations.add(&self.config, KEY, roots, roots as f64 * weight);
        self.operations.asked(KEY.0, self.now);
        self.now += nanos(self.config.interval);
        self.operations.tick(&self.config, self.now);
        let told = self.told();
        self.followed = [self.followed[1], told];
        told
    }
}

#[test]
fn a_new_operation_is_told_its_share_after_one_window() {
    let mut world = World::new(2.0, true);
    assert_eq!(world.window(1_000.0), 0.002);
}

#[test]
fn a_rare_operation_is_always_kept() {
    let mut world = World::new(2.0, true);
    assert_eq!(world.window(0.5), 1.0);
}

#[test]
fn shares_follow_the_traffic_and_rest_when_it_is_steady() {
    for names_weights in [true, false] {
        let mut world = World::new(5.0, names_weights);
        for (rate, windows) in [(1_000.0, 40), (100.0, 60), (3_000.0, 60)] {
            let told: Vec<f64> = (0..windows).map(|_| world.window(rate)).collect();
            let (wanted, last) = (5.0 / rate, told[told.len() - 1]);
            let error = (last / wanted - 1.0).abs();
            assert!(error < 0.15, "{rate} a second, weights {names_weights}: {last}, not {wanted}");
            let steady = &told[told.len() - 10..];
            assert!(steady.iter().all(|told| *told == last), "{steady:?}");
        }
    }
}

#[test]
fn growth_and_fall_are_bounded() {
    let mut world = World::new(1.0, true);
    let mut before = world.window(10_000.0);
    for rate in [0.001, 0.001, 0.001, 50_000.0, 50_000.0, 7.0, 7.0, 0.0, 0.0] {
        let told = world.window(rate);
        assert!(told <= before * GROWTH_MAX && told >= before / FALL_MAX, "{before} -> {told}");
        assert!((world.config.rate_min..=1.0).contains(&told));
        before = told;
    }
}

#[test]
fn a_service_that_never_asks_counts_as_it_is() {
    let mut operations = Operations::default();
    let config = config(1.0);
    operations.tick(&config, 0);
    // 100 roots a second whatever it is told: an SDK that samples everything.
    for window in 1..40 {
        operations.add(&config, KEY, 3_000, 3_000.0);
        operations.tick(&config, window * 30 * SECOND);
    }
    assert_eq!(operations.services[KEY.0].operations[KEY.1].probability, 0.01);
}

#[test]
fn only_operations_with_a_target_are_remembered() {
    let rule = |service: Option<&str>, name: Option<&str>, goal| Rule {
        service: service.map(Into::into),
        name: name.map(Into::into),
        goal,
    };
    let mut config = config(0.0);
    config.rules = vec![
        rule(Some("shop"), Some("GET /health"), Goal::Rate(0.0)),
        rule(Some("shop"), None, Goal::TracesPerSecond(3.0)),
    ];
    let mut operations = Operations::default();
    operations.tick(&config, 0);
    for key in [KEY, ("shop", "GET /health"), ("mail", "send")] {
        operations.add(&config, key, 300, 300.0);
    }
    assert_eq!(operations.len(), 1);
    operations.tick(&config, 30 * SECOND);
    assert_eq!(operations.services[KEY.0].operations[KEY.1].probability, 0.3);
}

#[test]
fn memory_is_bounded_and_the_least_used_go() {
    let config = config(1.0);
    let mut operations = Operations::default();
    operations.tick(&config, 0);
    let fill = |operations: &mut Operations, round: u64| {
        for service in 0..6u64 {
            for name in 0..2_500u64 {
                let key = (format!("service {service}"), format!("{round} {name}"));
                operations.add(&config, (&key.0, &key.1), name + 1, (name + 1) as f64);
            }
        }
    };
    fill(&mut operations, 0);
    assert_eq!(operations.len(), OPERATIONS_MAX);
    assert!(operations.left_out > 0);
    let long = "x".repeat(NAME_BYTES_MAX);
    operations.add(&config, ("s", &long), 1, 1.0);
    operations.tick(&config, 30 * SECOND);
    assert_eq!(operations.len(), OPERATIONS_MAX * 9 / 10);
    let kept = &operations.services["service 0"].operations;
    assert!(!kept.contains_key("0 0") && kept.contains_key("0 1999"));
    // Whoever comes with ever new names gets no further than that.
    for round in 1u32..12 {
        fill(&mut operations, u64::from(round));
        operations.tick(&config, (i64::from(round) + 1) * 30 * SECOND);
        assert!(operations.len() <= OPERATIONS_MAX);
    }
    // Without traffic all is forgotten.
    for round in 12u32..80 {
        operations.tick(&config, (i64::from(round) + 1) * 30 * SECOND);
    }
    assert_eq!((operations.len(), operations.services.len()), (0, 0));
}

proptest! {
    #[test]
    fn shares_stay_within_bounds_whatever_comes(
        traffic in prop::collection::vec((0u64..1_000_000, 1.0..1e6f64), 1..60),
        target in 0.001..1e4f64,
    ) {
        let config = config(target);
        let mut operations = Operations::default();
        operations.tick(&config, 0);
        for ((roots, weight), window) in traffic.into_iter().zip(1..) {
            operations.add(&config, KEY, roots, roots as f64 * weight);
            if window % 3 == 0 {
                operations.asked(KEY.0, window * 30 * SECOND);
            }
            operations.tick(&config, window * 30 * SECOND);
            for operation in operations.services.values().flat_map(|service| service.operations.values()) {
                prop_assert!(operation.probability >= config.rate_min && operation.probability <= 1.0);
            }
        }
    }
}
