//! When the token counters were seeded of which a connection counts: one, or in a cluster one for each slot.

use std::collections::HashMap;

use crate::clock::Moment;

#[derive(Default)]
pub(super) struct Seeds {
    last: Option<(u16, Moment)>,
    others: HashMap<u16, Moment>,
}

impl Seeds {
    pub(super) fn of(&self, slot: u16) -> Option<Moment> {
        match self.last {
            Some((last, at)) if last == slot => Some(at),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&slot).copied(),
        }
    }

    pub(super) fn note(&mut self, slot: u16, at: Moment) {
        if let Some((last, before)) = self.last.replace((slot, at))
            && last != slot
        {
            self.others.insert(last, before);
            self.others.remove(&slot);
        }
    }
}
