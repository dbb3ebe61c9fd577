//! One request through the shop: every span of a trace, with times that fit together.
use std::borrow::Cow;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::attributes as with;
use super::incident::Incident;
use super::model::{Ask, Database, Operation, SERVICES, Statement, Step};
use super::shop::{SLOW_SERVER, SLOW_STATEMENT};
use super::span::{Attributes, Event, Kind, Link, Span, Text};
use super::workload::Shop;

/// A message that some batch consumer will take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub topic: &'static str,
    pub link: Link,
    pub at: i64,
}

/// When something ended, and how.
#[derive(Debug, Clone, Copy)]
struct Done {
    end: i64,
    failed: bool,
}

/// Where steps run: a span of one pod of a service.
#[derive(Debug, Clone, Copy)]
struct Place {
    service: usize,
    pod: u8,
    span: [u8; 8],
}

/// A trace in the making.
pub(super) struct Trace<'a> {
    pub(super) shop: &'a Shop,
    pub(super) random: ChaCha8Rng,
    pub(super) trace: [u8; 16],
    pub(super) spans: Vec<Span>,
    pub(super) messages: Vec<Message>,
}

impl<'a> Trace<'a> {
    pub(super) fn new(shop: &'a Shop, mut random: ChaCha8Rng) -> Self {
        let trace = random.random();
        Self { shop, random, trace, spans: Vec::new(), messages: Vec::new() }
    }

    /// Runs `operation` as the root of the trace, or for batches with `links` to their messages.
    pub(super) fn root(&mut self, operation: &'static Operation, start: i64, links: Vec<Link>) {
        self.run(operation, None, start, links);
    }

    fn run(
        &mut self,
        operation: &'static Operation,
        parent: Option<[u8; 8]>,
        start: i64,
        links: Vec<Link>,
    ) -> Done {
        let service = self.shop.service(operation.service);
        let pod = self.random.random_range(0..SERVICES[service].pods);
        let place = Place { service, pod, span: self.random.random() };
        let worked = start + self.time(operation.work);
        let fails = self.chance(self.fails(operation, start));
        let done = if fails {
            Done { end: worked, failed: true }
        } else {
            self.steps(operation.steps, place, worked)
        };
        let end = done.end + self.time(operation.work / 4 + 20);
        let kind = match operation.ask {
            Ask::Http(..) | Ask::Rpc(..) => Kind::Server,
            Ask::Topic(..) | Ask::Batch(..) => Kind::Consumer,
            Ask::Job(_) => Kind::Internal,
        };
        let sizes = self.chance(SERVICES[service].sizes);
        let mut attributes =
            with::asked(operation, done.failed, sizes, links.len(), &mut self.random);
        if parent.is_none() && kind == Kind::Server {
            attributes.extend(with::visitor(&mut self.random));
        }
        let mut span = self.span(place, parent, operation_span_name(operation), kind);
        if fails {
            let (event, words) = self.exception(place.service, worked);
            span.events.push(event);
            span.error = Some(words);
        } else if done.failed {
            span.error = Some(Cow::Borrowed("a required call failed"));
        }
        (span.start, span.end, span.attributes, span.links) = (start, end, attributes, links);
        self.spans.push(span);
        Done { end, failed: done.failed }
    }

    fn fails(&self, operation: &Operation, start: i64) -> u32 {
        match Incident::at(self.shop.origin, start) {
            Some(Incident::BadDeploy) if operation.service == "payment" => 330,
            _ => operation.fails,
        }
    }

    fn steps(&mut self, steps: &'static [Step], place: Place, start: i64) -> Done {
        let mut now = start;
        for step in steps {
            let begin = now + self.time(30);
            let done = self.step(step, place, begin);
            now = done.end;
            if done.failed {
                return Done { end: now, failed: true };
            }
        }
        Done { end: now, failed: false }
    }

    fn step(&mut self, step: &'static Step, place: Place, start: i64) -> Done {
        let fine = |end| Done { end, failed: false };
        match step {
            Step::Call(service, name) => self.call(place, (*service, *name), start, 0),
            Step::Retry(service, name) => self.retry(place, (*service, *name), start),
            Step::Optional(service, name) => {
                fine(self.call(place, (*service, *name), start, 0).end)
            }
            Step::Together(steps) => self.together(steps, place, start),
            Step::Query(database, statement) => self.query(place, database, statement, start),
            Step::QueryEach(database, statement, from, to) => {
                let mut done = fine(start);
                for _ in 0..self.random.random_range(*from..=*to) {
                    let begin = done.end + self.time(25);
                    done = self.query(place, database, statement, begin);
                    if done.failed {
                        break;
                    }
                }
                done
            }
            Step::Cached(what, misses, steps) => {
                let hit = !self.chance(*misses);
                let end = self.look_up(place, what, hit, start);
                if hit { fine(end) } else { self.steps(steps, place, end) }
            }
            Step::External(method, host, path, time, sizes) => {
                self.external(place, (*method, *host, *path), (*time, *sizes), start)
            }
            Step::Send(topic, bytes) => fine(self.send(place, topic, *bytes, start)),
            Step::Work(name, time) => {
                let end = start + self.time(*time);
                self.push(place, (Cow::Borrowed(name), Kind::Internal), [start, end], Vec::new());
                fine(end)
            }
            Step::Sometimes(chance, steps) => {
                if self.chance(*chance) {
                    self.steps(steps, place, start)
                } else {
                    fine(start)
                }
            }
        }
    }

    fn together(&mut self, steps: &'static [Step], place: Place, start: i64) -> Done {
        let mut all = Done { end: start, failed: false };
        for step in steps {
            let begin = start + self.time(15);
            let done = self.step(step, place, begin);
            all.end = all.end.max(done.end);
            all.failed |= done.failed;
        }
        all
    }

    fn retry(&mut self, place: Place, to: (&'static str, &'static str), start: i64) -> Done {
        let mut done = self.call(place, to, start, 0);
        for again in 1..=2 {
            if !done.failed {
                break;
            }
            let pause = self.time(20_000 << again);
            done = self.call(place, to, done.end + pause, again);
        }
        done
    }

    /// A CLIENT span and, inside it, the other service's SERVER span.
    fn call(
        &mut self,
        place: Place,
        (service, name): (&'static str, &'static str),
        start: i64,
        again: u8,
    ) -> Done {
        let operation = self.shop.operation(service, name);
        let id: [u8; 8] = self.random.random();
        let there = self.time(180);
        let answered = self.run(operation, Some(id), start + there, Vec::new());
        let end = answered.end + self.time(180);
        let sizes = self.chance(SERVICES[place.service].sizes);
        let attributes = with::asking(operation, answered.failed, sizes, again, &mut self.random);
        let caller = Place { span: id, ..place };
        let name = operation_span_name(operation);
        let mut span = self.span(caller, Some(place.span), name, Kind::Client);
        (span.start, span.end, span.attributes) = (start, end, attributes);
        if answered.failed {
            span.error = Some(Cow::Borrowed(""));
        }
        self.spans.push(span);
        Done { end, failed: answered.failed }
    }

    fn query(
        &mut self,
        place: Place,
        database: &'static Database,
        statement: &'static Statement,
        start: i64,
    ) -> Done {
        let server = database.servers[self.random.random_range(0..database.servers.len())];
        let mut time = self.time(statement.3);
        if server == SLOW_SERVER
            && statement.2 == SLOW_STATEMENT
            && Incident::at(self.shop.origin, start) == Some(Incident::SlowStatement)
        {
            time = time * 10 + 150_000_000;
        }
        let end = start + time;
        let failed = self.chance(1) && self.chance(400);
        let attributes = with::statement(database, statement, server, failed, &mut self.random);
        let name = format!("{} {}", statement.0, statement.1);
        self.push(place, (Cow::Owned(name), Kind::Client), [start, end], attributes);
        if failed {
            self.fail_last("deadlock detected");
        }
        Done { end, failed }
    }

    fn look_up(&mut self, place: Place, what: &'static str, hit: bool, start: i64) -> i64 {
        let end = start + self.time(350);
        let attributes = with::look_up(what, hit, &mut self.random);
        self.push(place, (Cow::Borrowed("GET"), Kind::Client), [start, end], attributes);
        end
    }

    fn external(
        &mut self,
        place: Place,
        request: (&'static str, &'static str, &'static str),
        (time, sizes): (u32, [i64; 2]),
        start: i64,
    ) -> Done {
        let down = request.1 == "api.taxrates.example.org"
            && Incident::at(self.shop.origin, start) == Some(Incident::TaxProvider);
        let failed = self.chance(if down { 400 } else { 6 });
        let end = start + self.time(time) * if down { 6 } else { 1 };
        let sizes = self.chance(SERVICES[place.service].sizes).then_some(sizes);
        let attributes = with::external(request, sizes, failed, &mut self.random);
        self.push(place, (Cow::Borrowed(request.0), Kind::Client), [start, end], attributes);
        if failed {
            self.fail_last("");
        }
        Done { end, failed }
    }

    /// A PRODUCER span; consumers that take message by message follow in the same trace.
    fn send(&mut self, place: Place, topic: &'static str, bytes: i64, start: i64) -> i64 {
        let end = start + self.time(900);
        let attributes = with::sent(topic, bytes, &mut self.random);
        let name = format!("send {topic}");
        let id = self.push(place, (Cow::Owned(name), Kind::Producer), [start, end], attributes);
        let link = Link { trace: self.trace, span: id };
        self.messages.push(Message { topic, link, at: end });
        for operation in self.shop.takers(topic) {
            let begin = end + self.time(60_000);
            self.run(operation, Some(id), begin, vec![link]);
        }
        end
    }

    fn push(
        &mut self,
        place: Place,
        (name, kind): (Text, Kind),
        [start, end]: [i64; 2],
        attributes: Attributes,
    ) -> [u8; 8] {
        let id = self.random.random();
        let mut span = self.span(Place { span: id, ..place }, Some(place.span), name, kind);
        (span.start, span.end, span.attributes) = (start, end, attributes);
        self.spans.push(span);
        id
    }

    fn fail_last(&mut self, words: &'static str) {
        if let Some(span) = self.spans.last_mut() {
            span.error = Some(Cow::Borrowed(words));
        }
    }

    fn span(&self, place: Place, parent: Option<[u8; 8]>, name: Text, kind: Kind) -> Span {
        Span {
            trace: self.trace,
            id: place.span,
            parent,
            service: place.service,
            pod: place.pod,
            version: SERVICES[place.service].version,
            name,
            kind,
            start: 0,
            end: 0,
            attributes: Vec::new(),
            error: None,
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn exception(&mut self, service: usize, at: i64) -> (Event, Text) {
        let (kind, words) = with::exception(SERVICES[service].language, &mut self.random);
        let attributes = vec![
            ("exception.type", kind.into()),
            ("exception.message", words.into()),
            ("exception.stacktrace", with::stack(SERVICES[service].name, kind).into()),
        ];
        (Event { at, name: "exception", attributes }, Cow::Borrowed(words))
    }

    fn chance(&mut self, per_thousand: u32) -> bool {
        self.random.random_range(0..1_000) < per_thousand
    }

    /// Nanoseconds around `micros`: log-normal, with a slow one among a hundred.
    #[expect(clippy::cast_possible_truncation, reason = "times of the shop are far below 2^53 ns")]
    fn time(&mut self, micros: u32) -> i64 {
        let sum: f64 = (0..6).map(|_| self.random.random::<f64>()).sum();
        let normal = (sum - 3.0) * std::f64::consts::SQRT_2;
        let slow = if self.chance(10) { 5.0 } else { 1.0 };
        (f64::from(micros) * 1_000.0 * (0.4 * normal).exp() * slow) as i64 + 1
    }
}

fn operation_span_name(operation: &Operation) -> Text {
    match operation.ask {
        Ask::Topic(topic, _) | Ask::Batch(topic, _) => Cow::Owned(format!("process {topic}")),
        Ask::Http(name, ..) | Ask::Rpc(name, ..) | Ask::Job(name) => Cow::Borrowed(name),
    }
}
