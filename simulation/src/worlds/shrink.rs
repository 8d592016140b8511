//! Makes a plan small that breaks a rule: what can be left out is left out, half of it at a time, as long as the same rule is broken.

use crate::worlds::plan::{Item, Plan};
use crate::worlds::run::{Setting, run};

/// So many runs are worth it.
const RUNS: usize = 400;

/// A plan with as few items as still break `rule`.
#[must_use]
pub fn shrink(plan: &Plan, setting: &Setting, rule: &str) -> Plan {
    let setting = Setting {
        with_steps: false,
        ..setting.clone()
    };
    let mut small = plan.clone();
    let mut runs = 0;
    let breaks = |items: Vec<Item>, runs: &mut usize| {
        *runs += 1;
        let tried = Plan {
            items,
            ..plan.clone()
        };
        let violation = run(&tried, &setting).violation;
        violation.is_some_and(|violation| violation.rule == rule)
    };
    let mut part = small.items.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < small.items.len() && runs < RUNS {
            let mut items = small.items.clone();
            items.drain(at..(at + part).min(small.items.len()));
            if breaks(items.clone(), &mut runs) {
                small.items = items;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    small
}
