//! A random server, random faults and random handlers, against the contract of a shared informer.
//! Time is paused, so that hours pass in milliseconds.
//!
//! `SEED=17` plays one seed and prints what happened, `SEEDS=10000` plays more than usual.

use std::sync::Arc;
use std::time::Duration;

use informer::{
    DeliveryPolicy, HandlerOptions, HandlerRegistration, IndexFunc, NAMESPACE_INDEX, QueueKind,
    SharedInformer, SharedInformerOptions,
};
use tokio::time::sleep;

use crate::objects::texts;
use oracle::{Habits, Testimony, Witness};
use server::{Faults, Server, WatchList};

mod oracle;
mod server;

#[test]
fn whatever_the_server_and_the_handlers_do_the_contract_holds() {
    let number = |name| std::env::var(name).ok().map(|it| it.parse().expect("a number"));
    let (seeds, verbose) = match number("SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("SEEDS").unwrap_or(200), false),
    };
    let mut deliveries = 0;
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        fastrand::seed(seed);
        let outcome = runtime.block_on(async { Simulation::new(seed).run().await });
        if verbose || !outcome.violations.is_empty() {
            println!("{}", outcome.log.join("\n"));
        }
        let violations = outcome.violations.join("\n");
        assert!(violations.is_empty(), "SEED={seed} breaks the contract:\n{violations}");
        deliveries += outcome.deliveries;
    }
    println!("{deliveries} deliveries");
}

struct Outcome {
    deliveries: u64,
    violations: Vec<String>,
    log: Vec<String>,
}

struct Simulation {
    rng: fastrand::Rng,
    server: Server,
    queue: QueueKind,
    informer: SharedInformer,
    names: Vec<String>,
    handlers: Vec<Handler>,
    /// Handlers that were removed too.
    testimonies: Vec<Testimony>,
}

struct Handler {
    registration: Arc<HandlerRegistration>,
    testimony: Testimony,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let queue = if rng.bool() { QueueKind::Delta } else { QueueKind::InOrder };
        // Each seed has some kinds of faults and not the others.
        let mut chance = |in_a_thousand: u32| {
            if rng.bool() { rng.u32(0..in_a_thousand) } else { 0 }
        };
        let faults = Faults {
            refused: chance(300),
            too_many_requests: chance(200),
            unavailable: chance(200),
            expired: chance(200),
            hang_up: chance(100),
            dead: chance(50),
            rejected: chance(100),
            // What keeps the objects of an incomplete list is no snapshot.
            rejected_initially: queue == QueueKind::Delta,
            bookmark: chance(500),
            panic: chance(50),
        };
        let watch_list = match rng.u8(0..4) {
            0 => WatchList::BadRequest,
            1 => WatchList::NeverEnds,
            _ => WatchList::Answered,
        };
        let server = Server::new(seed, faults, watch_list);
        let names: Vec<_> = (0..rng.u8(1..9)).map(|n| format!("o{n}")).collect();
        for _ in 0..rng.u8(0..20) {
            server.mutate(rng.choice(&names).expect("a name"));
        }
        let options = SharedInformerOptions { queue, ..Default::default() };
        let informer = SharedInformer::start(server.clone(), options);
        let (handlers, testimonies) = (Vec::new(), Vec::new());
        Self { rng, server, queue, informer, names, handlers, testimonies }
    }

    async fn run(mut self) -> Outcome {
        for _ in 0..self.rng.u32(20..150) {
            self.step().await;
        }
        let mut violations = self.calm_down().await;
        self.informer.stop().await;
        if self.server.watches() > 0 {
            violations.push("a stopped informer watches".to_owned());
        }
        let mut outcome = Outcome { deliveries: 0, violations, log: Vec::new() };
        for (number, testimony) in self.testimonies.iter().enumerate() {
            let mut seen = testimony.seen();
            outcome.deliveries += seen.deliveries;
            outcome.log.push(format!("handler {number}:"));
            outcome.log.append(&mut seen.log);
            outcome
                .violations
                .extend(seen.violations.drain(..).map(|what| format!("handler {number}: {what}")));
        }
        outcome
    }

    async fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..60 => self.mutate(),
            60..70 => (0..self.rng.u8(2..40)).for_each(|_| self.mutate()),
            70..76 => self.server.compact(),
            76..88 if self.handlers.len() < 5 => self.join().await,
            88..92 if !self.handlers.is_empty() => self.remove().await,
            92..94 => {
                let index_func: IndexFunc = Arc::new(|object| match object.uid.ends_with('3') {
                    true => Err("ends with 3".to_owned()),
                    false => Ok(vec![object.uid.to_string()]),
                });
                let _ = self.informer.add_index("uid", index_func).await;
            }
            94.. if !self.handlers.is_empty() => {
                let handler = self.rng.choice(&self.handlers).expect("a handler");
                handler.registration.retry_dead_letters(None);
            }
            _ => {}
        }
        let wait = match self.rng.u8(0..20) {
            0..8 => return,
            8..12 => Duration::from_millis(1),
            12..16 => Duration::from_millis(self.rng.u64(1..500)),
            16..19 => Duration::from_millis(self.rng.u64(500..8000)),
            _ => Duration::from_secs(self.rng.u64(8..200)),
        };
        sleep(wait).await;
    }

    fn mutate(&mut self) {
        self.server.mutate(self.rng.choice(&self.names).expect("a name"));
    }

    async fn join(&mut self) {
        let rng = &mut self.rng;
        let habits = Habits {
            seed: rng.u64(..),
            fails: if rng.bool() { rng.u64(1..60) } else { 0 },
            dawdles: if rng.bool() { rng.u64(1..100) } else { 0 },
            retries_max: rng.u32(0..4),
            resyncs: rng.u8(0..3) == 0,
        };
        let delivery = DeliveryPolicy {
            buffer_max: *rng.choice(&[0, 1, 2, 5, 10_000]).expect("a size"),
            buffer_bytes_max: *rng.choice(&[100, 64 << 20]).expect("a size"),
            retries_max: habits.retries_max,
            ..DeliveryPolicy::default()
        };
        let period = Duration::from_secs(rng.u64(0..60));
        let resync_period = habits.resyncs.then_some(period);
        let options = HandlerOptions { delivery, resync_period, ..HandlerOptions::default() };
        let testimony = Testimony::default();
        let lister = self.informer.lister().clone();
        let in_order = (self.queue == QueueKind::InOrder).then(|| self.server.clone());
        let witness = Witness { testimony: testimony.clone(), lister, habits, in_order };
        let registration = Arc::new(self.informer.add_event_handler(witness, options).await);
        self.testimonies.push(testimony.clone());
        self.handlers.push(Handler { registration, testimony });
    }

    async fn remove(&mut self) {
        let Handler { registration, testimony } =
            self.handlers.swap_remove(self.rng.usize(..self.handlers.len()));
        match self.rng.u8(0..3) {
            0 => drop(registration),
            1 => _ = registration.remove(Duration::from_millis(self.rng.u64(0..2000))).await,
            _ => {
                let deadline = Duration::from_secs(self.rng.u64(0..100));
                tokio::spawn(async move {
                    registration.remove(deadline).await;
                    tokio::task::yield_now().await;
                    testimony.gone();
                });
                return;
            }
        }
        tokio::task::yield_now().await;
        testimony.gone();
    }

    /// All faults are over. Gives what is wrong with what is left then.
    async fn calm_down(&mut self) -> Vec<String> {
        self.server.calm_down();
        self.handlers.iter().for_each(|handler| handler.testimony.calm_down());
        // The longest delays, a dead watch and a watch-list that does not end, all in a row.
        sleep(Duration::from_secs(20 * 60)).await;
        self.mutate();
        sleep(Duration::from_secs(1)).await;

        let mut violations = Vec::new();
        let mut expect = |ok: bool, what: String| (!ok).then(|| violations.push(what));
        let lister = self.informer.lister();
        let (server, cached) = (texts(self.server.objects()), texts(lister.list()));
        expect(server == cached, format!("the server has {server:?}, the cache has {cached:?}"));
        let (server, cached) = (self.server.version().to_string(), lister.resource_version());
        expect(server == cached, format!("the server is at {server}, the cache at {cached}"));
        let indexed = lister.by_index(NAMESPACE_INDEX, "").map(texts).unwrap_or_default();
        expect(indexed == texts(lister.list()), format!("the index has {indexed:?}"));
        expect(self.informer.has_synced(), "the informer has not synced".to_owned());
        let status = self.informer.status().borrow().clone();
        expect(status.failure.is_none(), format!("it has not recovered: {status:?}"));
        let restarts = self.informer.counters().process_loop_restarts.get();
        expect(restarts == 0, format!("the process loop was restarted {restarts} times"));

        for handler in &self.handlers {
            let registration = &handler.registration;
            let dead: Vec<_> = registration.dead_letters().into_iter().map(|it| it.key).collect();
            handler.testimony.compare(lister, &dead);
            expect(registration.has_synced(), "a handler has not synced".to_owned());
            registration.retry_dead_letters(None);
        }
        sleep(Duration::from_secs(1)).await;
        for handler in &self.handlers {
            handler.testimony.compare(lister, &[]);
            let left = handler.registration.pending() + handler.registration.dead_letter_count();
            expect(left == 0, format!("{left} were not delivered"));
        }
        violations
    }
}
