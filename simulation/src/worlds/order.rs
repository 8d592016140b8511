//! First come, first served, as the server's own data tells: whoever got a name while others stood in line, who had come before.

use crate::server::{Micros, Server};

/// The line for one name. Whoever comes back with an earlier place, after a queue was lost, has come when that place was given; one who
/// never learned of a place comes anew.
#[derive(Default)]
pub(crate) struct Line {
    /// All that ever stood in it, in the order in which they came, with their places.
    came: Vec<(f64, Vec<u8>)>,
    /// Those of them that did at the last look.
    here: Vec<usize>,
    /// The owners that had the name then.
    had: Vec<Vec<u8>>,
    /// When the lock ended as it was then.
    ends: Option<i64>,
}

impl Line {
    /// Another server has taken over: nobody is served by what it had from the first.
    pub(crate) fn begin_anew(&mut self) {
        self.here.clear();
    }

    /// Looks again, after what the server was last told; who was served, if that was not the turn of that one, and whose it was.
    pub(crate) fn look(
        &mut self,
        server: &Server,
        clock: Micros,
        lock: &str,
        queue: &str,
        owners: &[&[u8]],
    ) -> Option<(String, String)> {
        let members = server.members_of(queue, clock);
        let mut here = Vec::with_capacity(members.len());
        for entry in members {
            let place = self.came.iter().position(|it| it == entry);
            here.push(place.unwrap_or_else(|| {
                self.came.push(entry.clone());
                self.came.len() - 1
            }));
        }
        let stayed: Vec<usize> = self
            .here
            .iter()
            .copied()
            .filter(|it| here.contains(it))
            .collect();
        let jumped = (!stayed.is_empty()).then(|| self.jumped(&stayed, clock, owners));
        self.here = here;
        if !self.had.iter().eq(owners) {
            self.had = owners.iter().map(|owner| owner.to_vec()).collect();
        }
        self.ends = server.end_of(lock);
        jumped.flatten()
    }

    fn jumped(
        &self,
        stayed: &[usize],
        clock: Micros,
        owners: &[&[u8]],
    ) -> Option<(String, String)> {
        let was_free =
            self.had.is_empty() || self.ends.is_some_and(|ends| ends < clock.div_euclid(1_000));
        let served = owners
            .iter()
            .filter(|&owner| !self.had.iter().any(|had| had == owner));
        for &owner in served {
            let place = self.came.iter().rposition(|(_, it)| it.ends_with(owner));
            // Who takes a name in the instants after a lease ran out is in luck: nobody looks at the line then.
            if place.is_none() && was_free {
                continue;
            }
            let before = stayed
                .iter()
                .find(|&&it| place.is_none_or(|place| it < place));
            if let Some(&before) = before {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Some((text(owner), text(&self.came[before].1)));
            }
        }
        None
    }
}
