//! What the server decided, for as long as that counts. Who asks the same at one time gets the same answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::{Access, AccessPeriods, ServiceAccount};

/// Who, and what.
pub(super) type Question = (ServiceAccount, Access);

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// And perhaps why.
    Denied(String),
}

/// The decisions by question.
#[derive(Default)]
pub(super) struct Decisions(Mutex<HashMap<Question, Arc<Slot>>>);

/// Whoever holds it asks, the others wait.
type Slot = tokio::sync::Mutex<Answers>;

#[derive(Default)]
struct Answers {
    decided: Option<(Instant, Decision)>,
    /// The server was asked in vain after that.
    failed: Option<(Instant, String)>,
}

impl Decisions {
    /// The decision that counts: one that is still valid, else the server's answer, else what it decided last.
    /// An error says why the server could not be asked.
    pub(super) async fn decide(
        &self,
        question: Question,
        periods: AccessPeriods,
        ask: impl Future<Output = Result<Decision, String>>,
    ) -> Result<Decision, String> {
        let begun = Instant::now();
        let slot = self.slot(question, periods);
        let mut answers = slot.lock().await;
        if let Some((at, decision)) = &answers.decided
            && (*at > begun || at.elapsed() < periods.valid_for)
        {
            return Ok(decision.clone());
        }
        let problem = match &answers.failed {
            // While this one waited for its turn.
            Some((at, problem)) if *at > begun => problem.clone(),
            _ => match ask.await {
                Ok(decision) => {
                    let decided = Some((Instant::now(), decision.clone()));
                    *answers = Answers { decided, failed: None };
                    return Ok(decision);
                }
                Err(problem) => {
                    answers.failed = Some((Instant::now(), problem.clone()));
                    problem
                }
            },
        };
        match &answers.decided {
            Some((at, decision)) if at.elapsed() < periods.valid_for + periods.kept_for => {
                Ok(decision.clone())
            }
            _ => Err(problem),
        }
    }

    fn slot(&self, question: Question, periods: AccessPeriods) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= DECISIONS_MAX && !slots.contains_key(&question) {
            let counts = |at: &Instant| at.elapsed() < periods.valid_for + periods.kept_for;
            slots.retain(|_, slot| match slot.try_lock() {
                Ok(answers) => answers.decided.as_ref().is_some_and(|(at, _)| counts(at)),
                Err(_) => true,
            });
            // Forgetting costs no more than asking again.
            if slots.len() >= DECISIONS_MAX {
                slots.clear();
            }
        }
        slots.entry(question).or_default().clone()
    }
}

/// Decisions that are kept, of some hundred bytes each.
const DECISIONS_MAX: usize = 8192;

#[cfg(test)]
mod tests;
