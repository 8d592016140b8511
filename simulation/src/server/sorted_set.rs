//! A sorted set: members by score, and by their bytes where scores are equal.

use std::cmp::Ordering;

/// A sorted set. Those of locks are short, so a list does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SortedSet {
    entries: Vec<(f64, Vec<u8>)>,
}

impl SortedSet {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Score and member, in order.
    pub(super) fn entries(&self) -> &[(f64, Vec<u8>)] {
        &self.entries
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.rank(member).map(|rank| self.entries[rank].0)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        self.entries.iter().position(|(_, it)| it == member)
    }

    /// Adds a member, which must not be there.
    pub(super) fn insert(&mut self, score: f64, member: Vec<u8>) {
        let at = self.entries.partition_point(|(its, name)| {
            let by_score = its.partial_cmp(&score).unwrap_or(Ordering::Equal);
            by_score.then_with(|| name.as_slice().cmp(&member)) == Ordering::Less
        });
        self.entries.insert(at, (score, member));
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let rank = self.rank(member);
        rank.inspect(|rank| drop(self.entries.remove(*rank)))
            .is_some()
    }

    /// Takes the first ones, of the lowest scores.
    pub(super) fn pop_first(&mut self, count: usize) -> Vec<(f64, Vec<u8>)> {
        self.entries
            .drain(..count.min(self.entries.len()))
            .collect()
    }

    /// Takes all of these ranks.
    pub(super) fn remove_ranks(&mut self, ranks: std::ops::Range<usize>) -> usize {
        self.entries.drain(ranks).len()
    }
}
