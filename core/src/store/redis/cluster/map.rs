//! Who has which slot, as far as is known; and sets of slots.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Scope;
use crate::store::redis::config::Address;
use crate::store::redis::keys::Prefix;
use crate::store::redis::node::Node;
use crate::store::redis::slots::SLOTS;

/// Slots in a row, first and last, and the node that has them.
pub(super) type Range = (u16, u16, Address);

/// No node is known to have the slot.
const NOBODY: u16 = 0;

/// The nodes of a cluster, and the slots that they have.
#[derive(Default)]
pub(super) struct Map {
    /// For each slot the place of its node in `nodes`, and one more; nothing before the first answer.
    owners: Vec<u16>,
    /// Some may have no slot, or not yet.
    nodes: Vec<Arc<Node>>,
    /// How often slots have gone from one node to another.
    moves: u64,
}

/// What a new answer has changed.
pub(super) struct Changed {
    /// Slots that another node has than before, or none.
    pub(super) moved: Arc<SlotSet>,
    /// Nodes that have no slot any more.
    pub(super) gone: Vec<Arc<Node>>,
}

impl Map {
    pub(super) fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        let owner = *self.owners.get(usize::from(slot))?;
        self.nodes.get(usize::from(owner.checked_sub(1)?)).cloned()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter()
    }

    /// How often slots have gone from one node to another.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// The nodes that have slots.
    pub(super) fn owners(&self) -> Vec<Arc<Node>> {
        let places: HashSet<u16> = self.owners.iter().copied().collect();
        let mut places: Vec<u16> = places.into_iter().filter(|it| *it != NOBODY).collect();
        places.sort_unstable();
        places
            .iter()
            .filter_map(|place| self.nodes.get(usize::from(place - 1)).cloned())
            .collect()
    }

    pub(super) fn at(&self, address: &Address) -> Option<Arc<Node>> {
        let mut nodes = self.nodes.iter();
        nodes.find(|node| *node.address == *address).cloned()
    }

    /// The place of the node at an address, which is made where there is none.
    fn place(&mut self, address: &Address, begin: impl Fn(&Address) -> Arc<Node>) -> u16 {
        let known = self.nodes.iter().position(|it| *it.address == *address);
        let at = known.unwrap_or_else(|| {
            self.nodes.push(begin(address));
            self.nodes.len() - 1
        });
        u16::try_from(at + 1).unwrap_or(NOBODY)
    }

    /// The node at an address, which is made where there is none.
    pub(super) fn at_or_begin(
        &mut self,
        address: &Address,
        begin: impl Fn(&Address) -> Arc<Node>,
    ) -> Arc<Node> {
        let place = usize::from(self.place(address, &begin));
        // There are more than can be counted: it is asked, and not kept.
        let known = place.checked_sub(1).and_then(|at| self.nodes.get(at));
        known.map_or_else(|| begin(address), Arc::clone)
    }

    /// One slot is at this address from now on; whether that is news.
    pub(super) fn set_owner(
        &mut self,
        slot: u16,
        address: &Address,
        begin: impl Fn(&Address) -> Arc<Node>,
    ) -> bool {
        let place = self.place(address, begin);
        if self.owners.is_empty() {
            self.owners = vec![NOBODY; SLOTS];
        }
        let owner = &mut self.owners[usize::from(slot)];
        let is_news = std::mem::replace(owner, place) != place;
        self.moves += u64::from(is_news);
        is_news
    }

    /// Takes over what a node of the cluster says of all slots.
    pub(super) fn set_all(
        &mut self,
        ranges: &[Range],
        begin: impl Fn(&Address) -> Arc<Node>,
    ) -> Changed {
        let before = std::mem::take(self);
        let moved = SlotSet::default();
        self.owners = vec![NOBODY; SLOTS];
        for (first, last, address) in ranges {
            let known = before.at(address);
            let place = self.place(address, |address| {
                known.clone().unwrap_or_else(|| begin(address))
            });
            for slot in *first..=*last {
                if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
                    *owner = place;
                }
            }
        }
        for slot in (0..).take(before.owners.len()) {
            let was = before.owner(slot);
            // Also where nobody has it: who has it next may be who had it before, and nobody hears of it until then.
            if was.is_some_and(|was| self.owner(slot).is_none_or(|it| !Arc::ptr_eq(&it, &was))) {
                moved.add(slot);
            }
        }
        self.moves = before.moves + u64::from(!moved.is_empty());
        let is_gone = |node: &Arc<Node>| !self.nodes.iter().any(|it| Arc::ptr_eq(it, node));
        Changed {
            moved: Arc::new(moved),
            gone: before.nodes.into_iter().filter(is_gone).collect(),
        }
    }

    /// Every node; none is left.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Node>> {
        std::mem::take(self).nodes
    }
}

/// A set of slots.
pub(in crate::store::redis) struct SlotSet([AtomicU64; SLOTS / 64]);

impl Default for SlotSet {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS / 64])
    }
}

impl SlotSet {
    fn place(&self, slot: u16) -> (&AtomicU64, u64) {
        let word = usize::from(slot / 64) % self.0.len();
        (&self.0[word], 1 << (slot % 64))
    }

    pub(in crate::store::redis) fn add(&self, slot: u16) {
        let (word, bit) = self.place(slot);
        // Most are in it: it is not written for nothing.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(in crate::store::redis) fn has(&self, slot: u16) -> bool {
        let (word, bit) = self.place(slot);
        word.load(Ordering::Relaxed) & bit != 0
    }

    /// The locks in slots of the set, also of those that come to it later.
    pub(in crate::store::redis) fn scope(
        set: impl Deref<Target = Self> + Send + Sync + 'static,
        prefix: &Arc<Prefix>,
    ) -> Scope {
        let prefix = prefix.clone();
        Scope::of(move |lock| set.has(prefix.slot_of(lock)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests;
