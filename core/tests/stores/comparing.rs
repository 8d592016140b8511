//! A sequence on a store, step by step, and all that shows compared with the reference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::clients::{Answer, Checked, Clients};
use super::places::Place;
use super::reference::Reference;
use super::steps::{CLIENTS, Step};
use super::vocabulary::{Asker, Id, Millis, Mode, NAMES, Outcome, PAUSE};
use crate::lock_info::{self, LockInfo};
use crate::store::{Asked, Event};

/// All of a sequence has to be done within this, so that times can be told from each other, and each client has seen the
/// token counter seeded lately.
const TOLERANCE: Duration = Duration::from_millis(900);

/// A sequence under way.
pub(super) struct Comparison<'a> {
    place: &'a Place,
    clients: Clients,
    began: Instant,
    last_token: u64,
    /// Where the store has told each asker that it is in the queue.
    places: Vec<u64>,
    /// Until when each asker that was told that it is the next watches the lock, by the reference's time.
    watching: BTreeMap<Id, Millis>,
    log: String,
}

impl<'a> Comparison<'a> {
    pub(super) async fn begin(place: &'a Place, askers: &[Asker]) -> Self {
        Self {
            place,
            clients: Clients::begin(&place.url(), askers).await,
            began: Instant::now(),
            last_token: 0,
            places: vec![0; askers.len()],
            watching: BTreeMap::new(),
            log: String::new(),
        }
    }

    /// Whether it took so short that what was found counts.
    pub(super) fn is_quick(&self) -> bool {
        self.began.elapsed() < TOLERANCE
    }

    /// Does one step, after which all is to be as the reference says.
    pub(super) async fn step(&mut self, step: &Step, reference: &Reference) -> Checked {
        let said = said(step, reference);
        let _ = writeln!(self.log, "  {said}");
        let checked = self.check(step, reference).await;
        checked.map_err(|wrong| format!("{wrong}; after\n{}", self.log))
    }

    /// At the end what is held is listed.
    pub(super) async fn end(&self, reference: &Reference) -> Checked {
        let listed = self.clients.list().await?;
        for (name, text) in NAMES.iter().enumerate() {
            let found = listed.iter().find(|found| found.name == *text);
            let checked = self.check_lock(name, found, reference);
            checked.map_err(|wrong| format!("in the list: {wrong}; after\n{}", self.log))?;
        }
        Ok(())
    }

    async fn check(&mut self, step: &Step, reference: &Reference) -> Checked {
        let asker = step.asker();
        let place = asker.map_or(0, |id| self.places[id]);
        let answer = self.clients.take(step, place).await?;
        if !is_expected(&answer, reference) {
            let expected = &reference.effect.outcome;
            return Err(format!("it was {answer:?}, and should be {expected:?}"));
        }
        if let Step::Leave(client) = step {
            self.place.notices(self.clients.client_id(*client)).await;
        }
        if reference.effect.pauses {
            tokio::time::sleep(Duration::from_millis(PAUSE - 2)).await;
        }
        if let (Some(id), true) = (asker, reference.effect.is_sooner) {
            // Nobody was told, and whoever is next looks when it was told to.
            let next = reference.waiters(reference.askers[id].name).next();
            self.watching.extend(next.map(|next| (next, 0)));
        }
        self.look(reference).await?;
        let token = match (asker, &answer) {
            (Some(id), Answer::Asked(Asked::Acquired { token, .. })) => Some((id, *token)),
            _ => None,
        };
        self.read_news(token, reference)?;
        if let (Some(id), Answer::Asked(Asked::Held(queued))) = (asker, &answer)
            && queued.place > 0
        {
            self.places[id] = queued.place;
            self.watching.remove(&id);
            if queued.head {
                self.watches(id, queued.expires_in, reference);
            }
        }
        self.check_queues(reference)
    }

    /// Every client looks at one lock, and the operator at all; what the store has told each before has arrived then.
    async fn look(&self, reference: &Reference) -> Checked {
        let clients = (0..CLIENTS).filter(|client| reference.is_there(*client));
        let looks = clients.map(|client| (client, client % NAMES.len()));
        for (client, name) in looks.chain((0..NAMES.len()).map(|name| (CLIENTS, name))) {
            let found = self.clients.look(client, name).await?;
            self.check_lock(name, found.as_ref(), reference)?;
        }
        Ok(())
    }

    fn check_lock(&self, name: usize, found: Option<&LockInfo>, reference: &Reference) -> Checked {
        let mut expected = reference.holders(name).to_vec();
        expected.sort_unstable_by_key(|holder| holder.id);
        let mut met = Vec::new();
        let holders = found.map_or(&[][..], |found| &found.holders);
        for lock_info::Holder { owner, expires_in } in holders {
            met.push((self.clients.id_of(owner)?, *expires_in));
        }
        met.sort_unstable();
        let is_alike = met.len() == expected.len()
            && met
                .iter()
                .zip(&expected)
                .all(|(met, holder)| met.0 == holder.id && is_left(met.1, holder.until, reference));
        if !is_alike {
            let (name, now) = (NAMES[name], reference.now);
            return Err(format!(
                "{met:?} hold {name:?}, and {expected:?} should, at {now}"
            ));
        }
        let Some(found) = found else {
            return Ok(());
        };
        let is_alone = |id: &Id| reference.askers[*id].mode == Mode::Alone;
        let waiters: Vec<Id> = reference.waiters(name).collect();
        let alive = waiters.iter().filter(|id| reference.is_alive(**id)).count();
        let last = expected.iter().map(|holder| holder.until).max();
        let is_right = found.holder_count == met.len() as u64
            && (found.mode == crate::Mode::Exclusive) == met.iter().any(|(id, _)| is_alone(id))
            && (alive as u64..=waiters.len() as u64).contains(&found.waiters)
            && last.is_some_and(|last| is_left(found.expires_in, last, reference));
        if is_right {
            Ok(())
        } else {
            Err(format!("{found:?} is told, with {waiters:?} in the queue"))
        }
    }

    /// Just those were granted a name who should be, in order, and tokens grow in that order. `mine`: whoever has asked has it.
    fn read_news(&mut self, mine: Option<(Id, u64)>, reference: &Reference) -> Checked {
        let admitted = &reference.effect.admitted;
        let mut tokens: BTreeMap<Id, u64> = mine.into_iter().collect();
        for client in 0..CLIENTS {
            let mut granted = Vec::new();
            for event in self.clients.news(client) {
                match event {
                    Event::Granted { owner, grant, .. } => {
                        let id = self.clients.id_of(&owner)?;
                        tokens.extend(grant.map(|grant| (id, grant.token)));
                        granted.push(id);
                    }
                    Event::Next { owner, expires_in } => {
                        let id = self.clients.id_of(&owner)?;
                        self.watches(id, expires_in, reference);
                    }
                    _ => {}
                }
            }
            let is_of_client = |id: &Id| reference.askers[*id].client == client;
            let has_asked = |id: &Id| mine.is_some_and(|(mine, _)| mine == *id);
            let expected = admitted.iter().copied();
            let expected: Vec<Id> = expected
                .filter(|id| is_of_client(id) && !has_asked(id))
                .collect();
            if granted != expected {
                return Err(format!(
                    "client {client} was told of grants to {granted:?}, and not {expected:?}"
                ));
            }
        }
        for id in admitted {
            let Some(token) = tokens.get(id) else {
                continue;
            };
            if *token <= self.last_token {
                return Err(format!("{id} has token {token} after {}", self.last_token));
            }
            self.last_token = *token;
        }
        Ok(())
    }

    /// Places are in the order of arrival. Whoever is next was told so, and looks no later than it can have the name.
    fn check_queues(&self, reference: &Reference) -> Checked {
        for name in 0..NAMES.len() {
            let places: Vec<_> = reference
                .waiters(name)
                .map(|id| (self.places[id], id))
                .collect();
            if !places.is_sorted() {
                return Err(format!(
                    "these are the places, in the order of arrival: {places:?}"
                ));
            }
            let Some(&(_, next)) = places.first().filter(|(_, id)| reference.is_alive(*id)) else {
                continue;
            };
            let room = reference.watched(name);
            match self.watching.get(&next) {
                None => return Err(format!("{next} is the next, and was not told")),
                Some(until) if *until > room + millis(TOLERANCE) => {
                    let now = reference.now;
                    return Err(format!(
                        "at {now} {next} looks at {until}, and there is room at {room}"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn watches(&mut self, id: Id, left: Option<Duration>, reference: &Reference) {
        self.watching
            .insert(id, reference.now + left.map_or(0, millis));
    }
}

fn is_expected(answer: &Answer, reference: &Reference) -> bool {
    match (answer, &reference.effect.outcome) {
        (Answer::Nothing, Outcome::Nothing) | (Answer::Asked(Asked::Held(_)), Outcome::Held) => {
            true
        }
        (Answer::Owned(found), Outcome::Owned(expected)) => found == expected,
        (
            Answer::Asked(Asked::Acquired {
                lost_place: found, ..
            }),
            Outcome::Acquired { lost_place },
        ) => found == lost_place,
        (
            Answer::Asked(Asked::Held(queued)),
            Outcome::Waits {
                is_next,
                left,
                waiters,
                lost_place,
            },
        ) => {
            is_next.is_none_or(|is_next| queued.head == is_next)
                && is_left(queued.expires_in, reference.now + left, reference)
                && waiters.contains(&queued.waiters)
                && queued.lost_place == *lost_place
        }
        (Answer::Met(met), Outcome::Forced(expected)) => {
            expected.iter().all(|id| met.contains(id))
                && (reference.rules.meets_ended_holders() || met.len() == expected.len())
        }
        _ => false,
    }
}

/// Whether so long is left until then; some time has passed since that was set.
fn is_left(left: Option<Duration>, until: Millis, reference: &Reference) -> bool {
    let expected = Duration::from_millis(until.saturating_sub(reference.now));
    let pauses = Duration::from_millis(reference.now);
    left.is_some_and(|left| left + TOLERANCE >= expected && left <= expected + pauses)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

fn said(step: &Step, reference: &Reference) -> String {
    let of = step.asker().map(|id| reference.askers[id]);
    let of = of.map_or_else(String::new, |asker| {
        let (name, client) = (NAMES[asker.name], asker.client);
        let Asker { mode, ttl, .. } = asker;
        format!(" ({name:?} of client {client}: {mode:?} for {ttl} ms)")
    });
    format!("{step:?}{of}: {:?}", reference.effect.outcome)
}
