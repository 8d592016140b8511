//! First come, first served, as the server's own data tells: nobody gets a name while others stand in line who came before, and nobody
//! loses a place.

use crate::server::{Micros, Server};

/// By then whoever came has been told the place in the queue, as long as nothing goes wrong.
const TOLD_WITHIN: u64 = 1_000_000;

/// One that came to stand in line.
struct Comer {
    place: f64,
    member: Vec<u8>,
    /// In µs of the world.
    came: u64,
    /// The place is known to who has it, and is named when a queue is lost.
    is_told: bool,
}

/// The line for one name. Whoever comes back with an earlier place has come when that place was given.
#[derive(Default)]
pub(crate) struct Line {
    /// All that ever stood in it, in the order in which they came.
    comers: Vec<Comer>,
    /// Those of them that did at the last look.
    here: Vec<usize>,
    /// The owners that had the name then.
    had: Vec<Vec<u8>>,
    /// When the lock ended as it was then, and when the queue.
    lock_ends: Option<i64>,
    queue_ends: Option<i64>,
}

/// Where to look, and when.
pub(crate) struct Look<'a> {
    pub(crate) server: &'a Server,
    pub(crate) now: u64,
    pub(crate) clock: Micros,
    pub(crate) lock: &'a str,
    pub(crate) queue: &'a str,
    /// Who has the name.
    pub(crate) owners: &'a [&'a [u8]],
}

impl Line {
    /// Another server has taken over: nobody is served by what it had from the first.
    pub(crate) fn begin_anew(&mut self) {
        self.here.clear();
    }

    /// Looks again, after what the server was last told, and says what was out of order. `well_from` is when the process of a member that
    /// waits has recovered; `None`, where that one does not wait any more.
    pub(crate) fn look(
        &mut self,
        at: &Look<'_>,
        well_from: impl Fn(&[u8]) -> Option<u64>,
    ) -> Option<String> {
        let mut disorder = None;
        let members = at.server.members_of(at.queue, at.clock);
        let mut here = Vec::with_capacity(members.len());
        for (place, member) in members {
            let is_place = |it: &Comer| it.place.to_bits() == place.to_bits();
            let mut same = self.comers.iter_mut().enumerate();
            if let Some((number, it)) = same.find(|(_, it)| it.member == *member && is_place(it)) {
                here.push(number);
                if !it.is_told && at.now > it.came + TOLD_WITHIN {
                    it.is_told = well_from(member).is_some_and(|well_from| well_from <= it.came);
                }
                continue;
            }
            let mut told = self.comers.iter().filter(|it| it.is_told);
            if let Some(it) = told.find(|it| it.member == *member)
                && well_from(member).is_some()
            {
                let before = it.place;
                disorder = Some(format!(
                    "{} had place {before}, and has {place}",
                    text(member)
                ));
            }
            here.push(self.comers.len());
            self.comers.push(Comer {
                place: *place,
                member: member.clone(),
                came: at.now,
                is_told: false,
            });
        }
        if is_over(self.queue_ends, at) {
            // They came back.
            self.here.clear();
        }
        let stayed = self.here.iter().filter(|it| here.contains(it)).copied();
        let stayed: Vec<usize> = stayed.collect();
        if !stayed.is_empty() {
            disorder = disorder.or_else(|| self.jumped(&stayed, &here, at));
        }
        self.here = here;
        if !self.had.iter().eq(at.owners) {
            self.had = at.owners.iter().map(|owner| owner.to_vec()).collect();
        }
        self.lock_ends = at.server.end_of(at.lock);
        self.queue_ends = at.server.end_of(at.queue);
        disorder
    }

    /// Who was served before those that stayed, though one of them had come before.
    fn jumped(&self, stayed: &[usize], here: &[usize], at: &Look<'_>) -> Option<String> {
        let was_free = self.had.is_empty() || is_over(self.lock_ends, at);
        for &owner in at.owners {
            if self.had.iter().any(|had| had == owner) {
                continue;
            }
            let mut comers = self.comers.iter();
            let place = comers.rposition(|it| it.member.ends_with(owner));
            // Who takes a name in the instants after a lease ran out is in luck: nobody looks at the line then. Whoever stands in it may be,
            // by a command that was left on a broken connection, and goes on to stand there; and so may be who has left it.
            let is_in_luck = |place| here.contains(&place) || !self.here.contains(&place);
            if was_free && place.is_none_or(is_in_luck) {
                continue;
            }
            let mut before = stayed
                .iter()
                .filter(|&&it| place.is_none_or(|place| it < place));
            if let Some(&before) = before.next() {
                let before = text(&self.comers[before].member);
                return Some(format!(
                    "{} was served, and {before} came before",
                    text(owner)
                ));
            }
        }
        None
    }
}

/// Whether a key that was to end then had ended before the server was told anything.
fn is_over(ends: Option<i64>, at: &Look<'_>) -> bool {
    ends.is_some_and(|ends| ends < at.clock.div_euclid(1_000))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
