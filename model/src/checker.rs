//! Running the checker: all states, or the shortest way to one property's end.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::config::Config;
use crate::world::Action;

/// What came of going through every state.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// Different states.
    pub states: usize,
    /// Steps on the longest way to one of them.
    pub depth: usize,
    /// Properties that do not hold, and examples that were found, with the steps to each.
    pub found: Vec<(&'static str, Vec<Action>)>,
    /// No state is left.
    pub done: bool,
}

/// Goes through every state, or until something is wrong.
#[must_use]
pub fn exhaust(config: Config, threads: usize) -> Exhausted {
    let checker = config
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_iter();
    Exhausted {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        found: found
            .map(|(property, path)| (property, path.into_actions()))
            .collect(),
        done: checker.is_done(),
    }
}

/// The shortest way to a state in which `property` does not hold, and how many states were seen on the way.
#[must_use]
pub fn find(config: Config, property: &'static str) -> (Option<Vec<Action>>, usize) {
    let checker = config
        .checker()
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
        .spawn_bfs()
        .join();
    let path = checker.discovery(property);
    (
        path.map(stateright::Path::into_actions),
        checker.unique_state_count(),
    )
}
