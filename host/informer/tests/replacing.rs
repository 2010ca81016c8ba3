//! A random life of objects, and a handler that is replaced, paused, served differently and that
//! fails: its generations together against what one handler is promised.
//!
//! `SEED=17` plays one seed and prints what happened, `SEEDS=10000` plays more than usual.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use informer::{
    DeliveryPolicy, HandlerOptions, HandlerRegistration, QueueKind, SharedInformer,
    SharedInformerOptions,
};
use tokio::time::sleep;

use crate::scripted_server::ScriptedServer;
use generations::{Generations, Told};

mod generations;

#[test]
fn whatever_happens_the_generations_together_are_told_what_one_handler_is() {
    let number = |name| std::env::var(name).ok().map(|it| it.parse().expect("a number"));
    let (seeds, verbose) = match number("SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("SEEDS").unwrap_or(200), false),
    };
    let mut sum = Told::default();
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        fastrand::seed(seed);
        let generations = Generations::default();
        runtime.block_on(async { Life::begin(seed, &generations).await.run().await });
        let story = generations.end();
        if verbose || !story.violations.is_empty() {
            println!("{}", story.log.join("\n"));
        }
        let violations = story.violations.join("\n");
        assert!(violations.is_empty(), "SEED={seed} breaks a promise:\n{violations}");
        sum += story.told;
    }
    println!("{sum:?}");
    // Otherwise, nothing of interest has happened.
    assert!(verbose || sum.cut_off > 0 && sum.inherited_deletions > 0 && sum.synced > 0);
}

struct Life {
    rng: fastrand::Rng,
    server: ScriptedServer,
    informer: SharedInformer,
    version: u64,
    /// The uid and the version of each object that is there.
    objects: BTreeMap<String, String>,
    generations: Generations,
    registration: HandlerRegistration,
    /// Those before, as long as somebody holds them.
    old: Vec<HandlerRegistration>,
}

impl Life {
    async fn begin(seed: u64, generations: &Generations) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let server = ScriptedServer::default();
        let queue = if rng.bool() { QueueKind::Delta } else { QueueKind::InOrder };
        let options = SharedInformerOptions { queue, ..Default::default() };
        let informer = SharedInformer::start(server.clone(), options);
        let objects: BTreeMap<_, _> =
            (0..rng.u8(0..4)).map(|n| (format!("o{n}"), format!("o{n}@1"))).collect();
        let list = objects.values().map(String::as_str).collect::<Vec<_>>().join(" ");
        server.on_list(&format!("rv=1 {list}"));
        let options = options_of(&mut rng);
        let handler = generations.next(rng.u64(..), options.paused);
        let registration = informer.add_event_handler(handler, options).await;
        let (generations, old) = (generations.clone(), Vec::new());
        let mut life =
            Self { rng, server, informer, version: 1, objects, generations, registration, old };
        // A replacement before the first list, now and then.
        if life.rng.u8(0..5) == 0 {
            life.replace().await;
        }
        life.informer.wait_for_sync().await;
        sleep(Duration::from_millis(1)).await;
        life
    }

    async fn run(mut self) {
        for _ in 0..self.rng.u32(20..120) {
            self.step().await;
            let wait = match self.rng.u8(0..20) {
                0..10 => continue,
                10..14 => Duration::from_millis(1),
                14..18 => Duration::from_millis(self.rng.u64(1..500)),
                _ => Duration::from_millis(self.rng.u64(500..8000)),
            };
            sleep(wait).await;
        }
        self.calm_down().await;
    }

    async fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..60 => self.mutate(),
            60..75 => self.replace().await,
            75..82 => {
                let paused = self.rng.bool();
                self.generations.set_paused(paused);
                self.registration.set_paused(paused);
            }
            82..88 => {
                let HandlerOptions { delivery, resync_period, .. } = options_of(&mut self.rng);
                self.registration.set_policy(delivery, resync_period).await;
            }
            88..92 => _ = self.registration.retry_dead_letters(None),
            92..95 => {
                let dead = self.registration.dead_letters().into_iter().map(|it| it.key);
                self.generations.give_up(dead.collect());
                self.registration.purge_dead_letters(None);
            }
            95..97 => {
                self.generations.write("sync again".to_owned());
                self.generations.sync_again(self.registration.has_synced());
                self.registration.sync_again();
            }
            _ => self.old.clear(),
        }
    }

    /// One object is added, changed or deleted, perhaps to be created again at once.
    fn mutate(&mut self) {
        self.version += 1;
        let (name, version) = (format!("o{}", self.rng.u8(0..6)), self.version);
        let said = match self.objects.get(&name) {
            Some(_) if self.rng.u8(0..3) == 0 => {
                let last = self.objects.remove(&name).expect("it is there");
                let uid = last.split('@').next().expect("a uid");
                format!("deleted {uid}@{version}")
            }
            Some(last) => {
                let uid = last.split('@').next().expect("a uid");
                let new = format!("{uid}@{version}");
                self.objects.insert(name, new.clone());
                format!("modified {new}")
            }
            None => {
                let new = format!("{name}#{version}@{version}");
                self.objects.insert(name, new.clone());
                format!("added {new}")
            }
        };
        self.generations.write(format!("the server: {said}"));
        self.server.say(&said);
    }

    async fn replace(&mut self) {
        let options = options_of(&mut self.rng);
        let handler = self.generations.next(self.rng.u64(..), options.paused);
        let drain = match self.rng.u8(0..3) {
            0 => Duration::ZERO,
            _ => Duration::from_millis(self.rng.u64(0..6000)),
        };
        let new = self.registration.replace(handler, options, drain).await;
        let old = std::mem::replace(&mut self.registration, new);
        match self.rng.u8(0..4) {
            0 => drop(old),
            1 => _ = old.remove(Duration::from_millis(self.rng.u64(0..3000))).await,
            _ => self.old.push(old),
        }
    }

    /// Nothing fails or is paused any more.
    async fn calm_down(&mut self) {
        self.generations.write("calm".to_owned());
        self.generations.calm_down();
        self.generations.set_paused(false);
        self.registration.set_paused(false);
        sleep(Duration::from_secs(20 * 60)).await;
        let dead: BTreeSet<_> =
            self.registration.dead_letters().into_iter().map(|it| it.key).collect();
        self.generations.compare(self.informer.lister(), &dead);
        self.registration.retry_dead_letters(None);
        sleep(Duration::from_secs(1)).await;
        self.generations.compare(self.informer.lister(), &BTreeSet::new());
        let left = self.registration.pending() + self.registration.dead_letter_count();
        self.generations.expect(left == 0, format!("{left} were not delivered"));
        self.generations.expect(self.registration.has_synced(), "not synced".to_owned());
    }
}

fn options_of(rng: &mut fastrand::Rng) -> HandlerOptions {
    let delivery = DeliveryPolicy {
        buffer_max: *rng.choice(&[0, 1, 3, 10_000]).expect("a size"),
        retries_max: rng.u32(0..4),
        ..DeliveryPolicy::default()
    };
    let resync_period = (rng.u8(0..5) == 0).then(|| Duration::from_secs(rng.u64(1..20)));
    HandlerOptions { delivery, resync_period, paused: rng.u8(0..5) == 0, runtime: None }
}
