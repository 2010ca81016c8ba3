//! Random tests, seed by seed, in paused time.
//!
//! `SEED=17` plays one seed and prints what happened, `SEEDS=10000` plays more than usual.

use std::ops::AddAssign;

/// What came of one seed.
pub(crate) struct Outcome<T> {
    pub(crate) log: Vec<String>,
    pub(crate) violations: Vec<String>,
    /// Added up over all seeds.
    pub(crate) told: T,
}

/// Fails at the first seed that breaks the promise. Gives what was told in all, and whether that was of one
/// seed only, of which nothing else can be asked.
pub(crate) fn play<T: AddAssign + Default>(
    promise: &str,
    play: impl AsyncFn(u64) -> Outcome<T>,
) -> (T, bool) {
    let number = |name| std::env::var(name).ok().map(|it| it.parse().expect("a number"));
    let (seeds, verbose) = match number("SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("SEEDS").unwrap_or(200), false),
    };
    let mut sum = T::default();
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        fastrand::seed(seed);
        let Outcome { log, violations, told } = runtime.block_on(play(seed));
        if verbose || !violations.is_empty() {
            println!("{}", log.join("\n"));
        }
        let violations = violations.join("\n");
        assert!(violations.is_empty(), "SEED={seed} breaks {promise}:\n{violations}");
        sum += told;
    }
    (sum, verbose)
}
