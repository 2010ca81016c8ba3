//! Who a bearer token belongs to and what they may do, as the cluster says.
//!
//! A token that was found good is believed for a minute; what its owner may do is asked each time.
//! Without an answer the request is denied: 503, with the reason.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::refusal::Refusal;

/// Asks the cluster.
pub(super) struct TokenReviewer {
    client: Client,
    good: Mutex<GoodTokens>,
    /// Requests to the cluster at a time.
    turns: Semaphore,
    budget: Mutex<Budget>,
}

/// Whose token it was, in the cluster's words.
#[derive(Clone, Debug)]
pub(super) struct User(Arc<UserInfo>);

impl TokenReviewer {
    pub(super) fn new(client: Client) -> Self {
        let now = Instant::now();
        Self {
            client,
            good: Mutex::default(),
            turns: Semaphore::new(REVIEWS_AT_A_TIME),
            budget: Mutex::new(Budget { reviews: REVIEWS_BURST, refilled: now }),
        }
    }

    /// 401 if the cluster does not know the token.
    pub(super) async fn user_of(&self, token: &str) -> Result<User, Refusal> {
        let hash = hash(token);
        if let Some(user) = self.good().get(&hash, Instant::now()) {
            return Ok(user);
        }
        if !self.budget().take(Instant::now()) {
            return Err(Refusal::unavailable("too many unknown tokens are being tried"));
        }
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let what = "TokenReview";
        let status = self.ask(what, api.create(&PostParams::default(), &review)).await?.status;
        let status = status.unwrap_or_default();
        match (status.authenticated, status.user) {
            (Some(true), Some(user)) => {
                let user = User(Arc::new(user));
                self.good().put(hash, user.clone(), Instant::now());
                Ok(user)
            }
            // The cluster's own words may quote the token.
            _ => Err(Refusal::unauthorized("the cluster does not accept this token")),
        }
    }

    /// 403 if they may not.
    pub(super) async fn check(
        &self,
        user: &User,
        asked: ResourceAttributes,
    ) -> Result<(), Refusal> {
        let words = in_words(&asked);
        let extra = user.0.extra.clone();
        let spec = SubjectAccessReviewSpec {
            user: user.0.username.clone(),
            groups: user.0.groups.clone(),
            uid: user.0.uid.clone(),
            extra,
            resource_attributes: Some(asked),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let what = "SubjectAccessReview";
        let status = self.ask(what, api.create(&PostParams::default(), &review)).await?.status;
        let status = status.unwrap_or_default();
        match status.allowed && status.denied != Some(true) {
            true => Ok(()),
            false => Err(Refusal::forbidden(format!("{user} may not {words}"))),
        }
    }

    async fn ask<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        let denied = |why: String| Refusal::unavailable(format!("denied, since {why}"));
        let answer = timeout(REVIEW_TIMEOUT, async {
            // Never closed.
            let _turn = self.turns.acquire().await;
            request.await
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Error::Api(status))) if status.code == 403 => Err(denied(format!(
                "the cluster does not let informerd create a {what}: bind its account to the \
                 ClusterRole system:auth-delegator"
            ))),
            Ok(Err(error)) => {
                let error = crate::api_server::with_sources(&error);
                tracing::warn!(what, error, "the cluster does not say what an admin may do");
                Err(denied(format!("the cluster does not answer a {what}")))
            }
            Err(_) => Err(denied(format!(
                "the cluster did not answer a {what} within {REVIEW_TIMEOUT:?}"
            ))),
        }
    }

    fn good(&self) -> MutexGuard<'_, GoodTokens> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.username.as_deref().unwrap_or("somebody without a name"))
    }
}

fn in_words(asked: &ResourceAttributes) -> String {
    let part = |part: &Option<String>| part.clone().filter(|it| !it.is_empty());
    let mut words = format!(
        "{} {}",
        part(&asked.verb).unwrap_or_default(),
        part(&asked.resource).unwrap_or_default()
    );
    for (before, part) in [
        (".", part(&asked.group)),
        ("/", part(&asked.subresource)),
        (" ", part(&asked.name)),
        (" in the namespace ", part(&asked.namespace)),
    ] {
        if let Some(part) = part {
            words.push_str(before);
            words.push_str(&part);
        }
    }
    words
}

/// The tokens themselves are not kept.
type TokenHash = [u8; 32];

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// Tokens that were found good, for as long as that is believed.
#[derive(Default)]
struct GoodTokens(HashMap<TokenHash, (Instant, User)>);

impl GoodTokens {
    fn get(&self, hash: &TokenHash, now: Instant) -> Option<User> {
        let (since, user) = self.0.get(hash)?;
        (now.saturating_duration_since(*since) < BELIEVED).then(|| user.clone())
    }

    fn put(&mut self, hash: TokenHash, user: User, now: Instant) {
        self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < BELIEVED);
        if self.0.len() < GOOD_TOKENS_MAX {
            self.0.insert(hash, (now, user));
        }
    }
}

/// Whoever tries tokens at random must not keep the cluster busy.
struct Budget {
    reviews: f64,
    refilled: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.reviews = (self.reviews + passed * REVIEWS_PER_SECOND).min(REVIEWS_BURST);
        if self.reviews < 1.0 {
            return false;
        }
        self.reviews -= 1.0;
        true
    }
}

/// A token that is revoked is good for so long still.
const BELIEVED: Duration = Duration::from_secs(60);

/// Above that, they are reviewed each time.
const GOOD_TOKENS_MAX: usize = 1_000;

/// The cluster's own webhooks are given 30 s; here somebody waits at a terminal.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

const REVIEWS_AT_A_TIME: usize = 4;
const REVIEWS_PER_SECOND: f64 = 10.0;
const REVIEWS_BURST: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User(Arc::new(UserInfo { username: Some(name.to_owned()), ..UserInfo::default() }))
    }

    #[test]
    fn a_good_token_is_believed_for_a_minute_and_no_other_with_it() {
        let start = Instant::now();
        let mut good = GoodTokens::default();
        good.put(hash("a"), user("a"), start);
        let later = start + BELIEVED - Duration::from_millis(1);
        assert_eq!(good.get(&hash("a"), later).unwrap().to_string(), "a");
        assert!(good.get(&hash("b"), later).is_none());
        assert!(good.get(&hash("a"), start + BELIEVED).is_none());
    }

    #[test]
    fn the_tokens_that_are_remembered_are_bounded_and_make_room_by_age() {
        let start = Instant::now();
        let mut good = GoodTokens::default();
        for n in 0..GOOD_TOKENS_MAX + 1 {
            good.put(hash(&n.to_string()), user("a"), start);
        }
        assert_eq!(good.0.len(), GOOD_TOKENS_MAX);
        good.put(hash("new"), user("a"), start + BELIEVED);
        assert_eq!(good.0.len(), 1);
    }

    #[test]
    fn unknown_tokens_are_tried_at_a_bounded_rate() {
        let start = Instant::now();
        let mut budget = Budget { reviews: REVIEWS_BURST, refilled: start };
        let mut taken = |now| (0..1_000).filter(|_| budget.take(now)).count();
        assert_eq!(taken(start), 50);
        assert_eq!(taken(start + Duration::from_secs(1)), 10);
    }

    #[test]
    fn what_somebody_may_not_do_is_said_in_words() {
        let asked = ResourceAttributes {
            group: Some("informerd.dev".to_owned()),
            resource: Some("handlers".to_owned()),
            subresource: Some("log".to_owned()),
            verb: Some("get".to_owned()),
            name: Some("a".to_owned()),
            namespace: Some("prod".to_owned()),
            ..ResourceAttributes::default()
        };
        let expected = "get handlers.informerd.dev/log a in the namespace prod";
        assert_eq!(in_words(&asked), expected);
    }
}
