//! Where the master of a service is, by what its sentinels say: asked whenever a connection is to be made, and heard of at once
//! while a lock is held or waited for.

mod answer;
mod sentinel;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::answer::{Said, Whereabouts};
use self::sentinel::{Heard, Sentinel};
use super::config::{Address, Config};
use super::failure::rounded;
use super::link::Link;
use super::locator::{Locator, RETRY_PAUSE};
use crate::backoff::{Backoff, jitter};
use crate::error::{Error, ErrorKind};
use crate::store::{BoxFuture, Failure, Spawn};
use crate::sync::lock;

/// A sentinel that is well answers sooner than this. Where none does, all have twice as long the next time.
const LIMIT: Duration = Duration::from_millis(300);
/// How long to wait for the others when one has said nothing new: they may know better.
const OTHERS: Duration = Duration::from_millis(100);
/// Attempts that fail are no farther apart than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A sentinel that is listened to is asked this often all the same: it does not tell everything (TILT), and a network may
/// have forgotten the connection.
const LOOK: Duration = Duration::from_secs(10);
/// However many sentinels the sentinels know of, no more than these are asked.
const MOST: usize = 16;

/// The sentinels of a service, and where they say that its master is.
pub(super) struct Sentinels {
    config: Arc<Config>,
    service: Arc<str>,
    client_id: Arc<str>,
    timeout: Duration,
    spawn: Spawn,
    /// Those of the URL, and those that they know of.
    known: Mutex<Vec<Arc<Sentinel>>>,
    place: Mutex<Option<Whereabouts>>,
    /// The link to the master.
    led: OnceLock<Weak<Link>>,
    /// How long they have for an answer.
    limit: Mutex<Duration>,
    watching: AtomicBool,
    closed: CancellationToken,
    this: Weak<Self>,
}

impl Sentinels {
    /// Nothing is connected yet.
    pub(super) fn new(
        config: &Arc<Config>,
        service: &str,
        client_id: &Arc<str>,
        timeout: Duration,
        spawn: Spawn,
    ) -> Arc<Self> {
        let this = Arc::new_cyclic(|this| Self {
            config: config.clone(),
            service: service.into(),
            client_id: client_id.clone(),
            timeout,
            spawn,
            known: Mutex::default(),
            place: Mutex::default(),
            led: OnceLock::new(),
            limit: Mutex::new(LIMIT),
            watching: AtomicBool::new(false),
            closed: CancellationToken::new(),
            this: this.clone(),
        });
        let named = config.endpoints().iter().map(|it| this.sentinel(it));
        let named = named.collect();
        *lock(&this.known) = named;
        this
    }

    /// The link that goes where the master is.
    pub(super) fn lead(&self, link: &Arc<Link>) {
        let _ = self.led.set(Arc::downgrade(link));
    }

    fn sentinel(&self, address: &Address) -> Arc<Sentinel> {
        let (client_id, spawn) = (self.client_id.clone(), self.spawn.clone());
        let service = self.service.clone();
        Sentinel::new(
            &self.config,
            address,
            service,
            client_id,
            self.timeout,
            spawn,
        )
    }

    /// Takes in what a sentinel says; those sentinels that were not known before.
    fn learn(&self, said: &Said) -> Vec<Arc<Sentinel>> {
        let is_news = {
            let mut place = lock(&self.place);
            let is_news = place.as_ref().is_none_or(|old| said.place.is_after(old));
            if is_news {
                *place = Some(said.place.clone());
            }
            is_news
        };
        if is_news {
            self.leave_for(&said.place);
        }
        self.get_to_know(&said.others)
    }

    /// What leads elsewhere ends.
    fn leave_for(&self, place: &Whereabouts) {
        if let Some(link) = self.led.get().and_then(Weak::upgrade) {
            link.move_to(&place.reached);
        }
    }

    fn get_to_know(&self, others: &[Address]) -> Vec<Arc<Sentinel>> {
        let mut new = Vec::new();
        let forgotten: Vec<_>;
        {
            let mut known = lock(&self.known);
            if self.closed.is_cancelled() {
                return new;
            }
            // Where they get other addresses with time, those that were theirs are not tried for ever.
            let is_named = |it: &Arc<Sentinel>| {
                self.config.endpoints().contains(&it.address) || others.contains(&it.address)
            };
            let all = std::mem::take(&mut *known).into_iter();
            (*known, forgotten) =
                all.partition(|it| !it.has_failed() || others.is_empty() || is_named(it));
            // A URL that names them all may name them otherwise. Those of others than it names are of use where its own are not.
            if known.iter().filter(|it| !it.has_failed()).count() > others.len() {
                return new;
            }
            for address in others {
                if known.len() < MOST && known.iter().all(|it| it.address != *address) {
                    let sentinel = self.sentinel(address);
                    known.push(sentinel.clone());
                    new.push(sentinel);
                }
            }
        }
        for sentinel in forgotten {
            sentinel.close();
        }
        if self.watching.load(Ordering::Acquire) {
            for sentinel in &new {
                self.watch_one(sentinel.clone());
            }
        }
        new
    }

    // ---- asking

    async fn find(&self, failed: Option<&Address>) -> Result<Arc<Address>, Failure> {
        let limit = *lock(&self.limit);
        let ask = |sentinel: Arc<Sentinel>| async move {
            let asked = sentinel.ask(Some(limit)).await;
            (sentinel, asked)
        };
        let mut silent = lock(&self.known).clone();
        let mut asked: FuturesUnordered<_> = silent.iter().cloned().map(ask).collect();
        let before = lock(&self.place).clone();
        let begun = Instant::now();
        let mut until = begun + limit;
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        while let Ok(Some((sentinel, asked_for))) = timeout_at(until, asked.next()).await {
            silent.retain(|it| !Arc::ptr_eq(it, &sentinel));
            let said = match asked_for {
                Ok(Heard::Said(said)) => said,
                Ok(Heard::Unknown) => {
                    failures.push((sentinel, None));
                    continue;
                }
                Err(failure) => {
                    failures.push((sentinel, Some(failure)));
                    continue;
                }
            };
            if begun.elapsed() < LIMIT {
                *lock(&self.limit) = LIMIT;
            }
            let new = self.learn(&said);
            silent.extend(new.iter().cloned());
            asked.extend(new.into_iter().map(ask));
            if let Some(before) = &before
                && !before.is_after(&said.place)
                && failed != Some(&*said.place.reached)
            {
                return Ok(self.place_or(said.place));
            }
            if answers.is_empty() {
                until = until.min(Instant::now() + OTHERS);
            }
            answers.push(said.place);
        }
        for sentinel in &silent {
            sentinel.fail();
        }
        let Some(newest) = answers.iter().max_by(|a, b| a.rank().cmp(&b.rank())) else {
            *lock(&self.limit) = (limit * 2).min(self.timeout / 2).max(LIMIT);
            return Err(self.nobody(&silent, failures, limit));
        };
        let known = lock(&self.known).len();
        if let Some(before) = before
            && before.is_after(newest)
            && answers.len() * 2 > known
        {
            // Most of them say so: they were set up anew, and count from the beginning.
            *lock(&self.place) = Some(newest.clone());
            self.leave_for(newest);
        }
        Ok(self.place_or(newest.clone()))
    }

    /// The newest place that is known; there is one.
    fn place_or(&self, place: Whereabouts) -> Arc<Address> {
        lock(&self.place).get_or_insert(place).reached.clone()
    }

    /// Why nobody has said where the master is: those who are `silent`, and those who failed, or answered that they do not know
    /// the service.
    fn nobody(
        &self,
        silent: &[Arc<Sentinel>],
        failed: Vec<(Arc<Sentinel>, Option<Failure>)>,
        limit: Duration,
    ) -> Failure {
        let service = &self.service;
        let unknown = failed.iter().filter(|(_, failure)| failure.is_none());
        let unknown: Vec<_> = unknown.map(|(it, _)| it.address.to_string()).collect();
        if !unknown.is_empty() {
            return Failure::unsent(Error::new(
                ErrorKind::StoreRefused,
                format!(
                    "the sentinels know of no service {service:?} ({}); name one that they watch: SENTINEL MASTERS lists those",
                    unknown.join(", ")
                ),
            ));
        }
        let failures = failed
            .into_iter()
            .filter_map(|(it, failure)| Some((it, failure?)));
        let (refused, passing): (Vec<_>, Vec<_>) =
            failures.partition(|(_, failure)| !failure.is_temporary());
        if let Some((_, failure)) = refused.into_iter().next() {
            return Failure::unsent(failure.error);
        }
        let mut words: Vec<String> = passing
            .iter()
            .map(|(_, failure)| failure.error.to_string())
            .collect();
        words.extend(silent.iter().map(|it| {
            format!(
                "the server at {} did not answer within {:?}",
                it.address,
                rounded(limit)
            )
        }));
        Failure::unsent(Error::unavailable(format!(
            "no sentinel says where the master of {service:?} is: {}",
            words.join("; ")
        )))
    }

    // ---- listening

    fn knows(&self, sentinel: &Arc<Sentinel>) -> bool {
        lock(&self.known).iter().any(|it| Arc::ptr_eq(it, sentinel))
    }

    fn watch_one(&self, sentinel: Arc<Sentinel>) {
        let (this, closed) = (self.this.clone(), self.closed.clone());
        let watch = async move { watch(this, &sentinel).await };
        (self.spawn)(Box::pin(async move {
            closed.run_until_cancelled(watch).await;
        }));
    }
}

/// Listens to a sentinel, and asks it whenever there is news, and when news may have been missed.
async fn watch(sentinels: Weak<Sentinels>, sentinel: &Arc<Sentinel>) {
    let (mut backoff, mut has_warned) = (Backoff::new(), false);
    loop {
        let asked = sentinel.listen().await;
        let Some(sentinels) = sentinels.upgrade().filter(|it| it.knows(sentinel)) else {
            return;
        };
        match asked {
            Ok(asked) => {
                if let Heard::Said(said) = asked {
                    sentinels.learn(&said);
                }
                backoff = Backoff::new();
                drop(sentinels);
                let _ = tokio::time::timeout(LOOK + jitter(LOOK), sentinel.news()).await;
            }
            Err(failure) => {
                if !failure.is_temporary() && !std::mem::replace(&mut has_warned, true) {
                    tracing::warn!(
                        target: "leaselock",
                        event = "unheard",
                        client = %sentinels.client_id,
                        error = %failure.error,
                        "a sentinel cannot be listened to; a failover is noticed later without it"
                    );
                }
                drop(sentinels);
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

impl Locator for Arc<Sentinels> {
    fn locate<'a>(
        &'a self,
        failed: Option<&'a Address>,
    ) -> BoxFuture<'a, Result<Arc<Address>, Failure>> {
        Box::pin(self.find(failed))
    }

    fn address(&self) -> String {
        self.config.address()
    }

    fn is_current(&self, address: &Address) -> bool {
        lock(&self.place)
            .as_ref()
            .is_none_or(|place| *place.reached == *address)
    }

    fn pause(&self, failures: u32) -> Duration {
        let pause = RETRY_PAUSE * (1 << failures.clamp(1, 5) >> 1);
        let pause = pause.min(LONGEST_PAUSE);
        pause / 2 + jitter(pause / 2)
    }

    fn advice(&self, address: &Address) -> Option<String> {
        let place = lock(&self.place);
        let place = place.as_ref().filter(|place| *place.reached == *address)?;
        let announced = &place.announced;
        let led = if *announced == *address {
            String::new()
        } else {
            format!(", which address_map leads to {address}")
        };
        Some(format!(
            "the sentinels announce the master of {:?} as {announced}{led}; if it is reached elsewhere from here, say so with address_map, \
             or have it announce a host name that leads there (replica-announce-ip, and of the sentinels announce-hostnames)",
            &*self.service
        ))
    }

    fn watch(&self) {
        if self.watching.swap(true, Ordering::AcqRel) {
            return;
        }
        let known = lock(&self.known).clone();
        for sentinel in known {
            self.watch_one(sentinel);
        }
    }

    fn close(&self) {
        self.closed.cancel();
        for sentinel in &*lock(&self.known) {
            sentinel.close();
        }
    }
}

/// Replies, taken for what a sentinel says of a service.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzzing(replies: &[redis::Value], asked: &Address) {
    let url = "redis+sentinel://192.0.2.1,192.0.2.2/service";
    if let Ok(config) = Config::parse(url, crate::access::ServerAccess::default()) {
        let _ = answer::read(replies, asked, &config);
    }
}

#[cfg(test)]
mod tests;
