//! The end of a generation whose account may not do any longer what it does.
//!
//! in:   what the server says of its account, again and again
//! out:  a handler without places, which waits until everything is allowed again

use std::future::pending;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::SupervisedHandler;
use crate::access::{Authority, Refusal};
use crate::handlers::registry::Surroundings;
use crate::handlers::status::HandlerState;

/// Why the generation that runs must not go on, as soon as its account may not do any longer what it does.
/// `reviewed` is when that was looked at last, and outlasts who waits for this.
pub(super) async fn access_lost(
    handler: &SupervisedHandler,
    at: &Surroundings,
    reviewed: &mut Instant,
) -> Refusal {
    let authority = handler.running().generation.as_ref().and_then(|it| it.authority.clone());
    // Only an account has rights to lose. In a box, as all that is rare.
    match authority {
        Some(authority) => Box::pin(refused(&authority, at, reviewed)).await,
        None => pending().await,
    }
}

async fn refused(authority: &Authority, at: &Surroundings, reviewed: &mut Instant) -> Refusal {
    loop {
        sleep_until(*reviewed + at.access.periods().recheck).await;
        let answer = at.access.review(authority).await;
        *reviewed = Instant::now();
        if let Err(refusal) = answer {
            return refusal;
        }
    }
}

impl SupervisedHandler {
    /// Nothing more for the generation that runs, and nothing more to read: its account may not do any longer
    /// what it does.
    pub(super) async fn withdraw(&self, refusal: &Refusal) {
        let generation = self.running().generation.take();
        let places = generation.iter().flat_map(|generation| &generation.places);
        join_all(places.map(|place| async {
            // No other call begins, and the running one is cut off.
            place.registration.set_paused(true);
            place.registration.remove(Duration::ZERO).await;
            place.registration.wait_for_end().await;
            self.running().past += place.registration.counts();
        }))
        .await;
        let state = forbidden(refusal);
        self.stand.send_modify(|stand| {
            stand.state = state.clone();
            stand.replacement = None;
            refusal.audit(&self.name);
            self.tell(&state, true);
        });
    }
}

/// Where a handler stands that is refused something.
pub(super) fn forbidden(refusal: &Refusal) -> HandlerState {
    match refusal {
        Refusal::Denied { .. } => HandlerState::Forbidden(refusal.to_string()),
        Refusal::Unknown { .. } => HandlerState::Unreachable(refusal.to_string()),
    }
}
