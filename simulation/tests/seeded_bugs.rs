//! Bugs that are seeded are found, each within so many seeds that hold without it: in the core by its feature `seeded-bugs`, in the scripts
//! by a text that is replaced on the way to the server. Most are those of the model (`model/src/config.rs`), in the real code.

use leaselock_simulation::worlds::{
    ALL_OR_NONE, Acquire, Act, Bug, Delays, Fault, HELD_IS_HELD, IN_LINE, Item, Kind, LEARNS,
    LOST_TOGETHER, Millis, NOTHING_LEFT, ONE_LEASE, Plan, Setting, TAKEN_SOON, TOKENS_GROW,
    TURN_COMES, WAIT_ENDS, What, run, search,
};

/// Within so many seeds each is found.
const SEEDS: u64 = 12_000;

fn finds(setting: &Setting, kind: Kind, rules: &[&str]) {
    let found = search(0, SEEDS, kind, setting, 2, 1);
    let (seed, violation) = found.broken.first().expect("no seed finds it");
    println!(
        "{:?} by seed {seed} of {}: {violation:?}",
        setting.bug, found.worlds
    );
    assert!(
        rules.contains(&violation.rule),
        "seed {seed} breaks another rule: {violation:?}"
    );
}

fn core(bug: Bug, kind: Kind, rules: &[&str]) {
    let bug = Some(bug);
    finds(
        &Setting {
            bug,
            ..Setting::default()
        },
        kind,
        rules,
    );
}

fn script(from: &str, to: &str, kind: Kind, rules: &[&str]) {
    const SCRIPTS: [&str; 4] = [
        include_str!("../../core/src/store/redis/scripts/wait.lua"),
        include_str!("../../core/src/store/redis/scripts/hand_over.lua"),
        include_str!("../../core/src/store/redis/scripts/holders.lua"),
        include_str!("../../core/src/store/redis/scripts/renew.lua"),
    ];
    let known = SCRIPTS.iter().any(|script| script.contains(from))
        || include_str!("../../core/src/store/redis/scripts/token.lua").contains(from)
        || include_str!("../../core/src/store/redis/scripts/release.lua").contains(from);
    assert!(known, "no script says {from:?}");
    let script = Some((from.to_owned(), to.to_owned()));
    finds(
        &Setting {
            script,
            ..Setting::default()
        },
        kind,
        rules,
    );
}

macro_rules! in_the_core {
    ($($name:ident: $bug:ident, $kind:ident, [$($rule:ident),+];)+) => {$(
        #[test]
        fn $name() {
            core(Bug::$bug, Kind::$kind, &[$($rule),+]);
        }
    )+};
}

in_the_core! {
    a_deadline_counts_from_sending: DeadlineFromAnswer, Everything, [HELD_IS_HELD, ONE_LEASE];
    a_renewal_counts_from_sending: RenewalFromAnswer, Everything, [HELD_IS_HELD, ONE_LEASE];
    undoing_is_repeated_after_a_broken_connection: UndoOnce, Late, [NOTHING_LEFT];
    a_try_remembers_its_unanswered_take: TryForgets, Late, [NOTHING_LEFT];
    an_acquire_that_is_dropped_is_undone: DropForgets, Everything, [NOTHING_LEFT, TAKEN_SOON];
    a_claim_left_behind_is_remembered: ClaimUncapped, Late, [HELD_IS_HELD, ONE_LEASE];
    a_grant_is_no_lease: GrantIsLease, Everything, [HELD_IS_HELD, ONE_LEASE, TOKENS_GROW];
    waiters_look_by_themselves: NoFallback, Everything, [TAKEN_SOON, TURN_COMES];
    a_deposed_holder_stops: DeposedGoesOn, Everything, [LEARNS];
    a_take_needs_a_seed: TakeUnseeded, Everything, [TOKENS_GROW];
    what_is_lost_here_is_given_back_there: LossKept, Everything, [NOTHING_LEFT];
    a_release_that_is_dropped_goes_on: ReleaseDropped, Everything, [NOTHING_LEFT];
    a_place_is_named_again: PlaceForgotten, Everything, [IN_LINE];
    names_are_taken_in_one_order: GroupUnsorted, Groups, [ALL_OR_NONE, TURN_COMES];
    a_group_has_what_it_took_first: GroupUnlooked, Groups, [ALL_OR_NONE];
    a_group_that_does_not_get_all_keeps_none: GroupKept, Groups, [ALL_OR_NONE, NOTHING_LEFT];
    a_group_is_over_as_one: GroupLossKept, Groups, [LOST_TOGETHER];
}

macro_rules! in_a_script {
    ($($name:ident: $from:literal => $to:literal, $kind:ident, [$($rule:ident),+];)+) => {$(
        #[test]
        fn $name() {
            script($from, $to, Kind::$kind, &[$($rule),+]);
        }
    )+};
}

in_a_script! {
    a_wait_seeds_the_counter: "math.max(tonumber(redis.call('GET', KEYS[3]) or 0) or 0, now())"
        => "(tonumber(redis.call('GET', KEYS[3]) or 0) or 0)", Everything, [TOKENS_GROW];
    a_renewal_never_recreates: "return holder and -1 or 0"
        => "if not holder then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1 end return -1",
        Everything, [NOTHING_LEFT, ONE_LEASE, TOKENS_GROW, HELD_IS_HELD, TAKEN_SOON];
    a_claim_sets_the_full_ttl: "  if cut or not longer then\n    redis.call('PEXPIRE', K, ttl)"
        => "  if cut then\n    redis.call('PEXPIRE', K, ttl)", Everything, [HELD_IS_HELD, ONE_LEASE];
    a_claim_never_shortens: "  if cut or not longer then\n    redis.call('PEXPIRE', K, ttl)"
        => "  if true then\n    redis.call('PEXPIRE', K, ttl)", Late, [HELD_IS_HELD, ONE_LEASE];
    the_next_in_line_is_told: "    publish(head, 'next'," => "    local _ = (head ..", Everything, [TAKEN_SOON];
    a_hand_over_admits_no_more_than_there_is_room_for: "      if not head or not admits(limit_of(head)) then"
        => "      if not head then", Everything, [ONE_LEASE, TOKENS_GROW, HELD_IS_HELD];
    the_lock_lives_as_long_as_its_holders: "  elseif ends > tonumber(last[2]) then\n    redis.call('PEXPIRE', KEYS[1], left)\n  end\n  return 1"
        => "  end\n  return 1", Everything, [HELD_IS_HELD, ONE_LEASE];
    an_admission_leaves_the_longest_time: "  if holder == SHARED then\n    follow(holding == 1 and ttl)\n  end\n  return {1, token, lost}"
        => "  redis.call('PEXPIRE', K, ttl)\n  return {1, token, lost}", Everything, [HELD_IS_HELD, ONE_LEASE];
    a_queue_ends_by_itself: "  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(pttl, 0) + QUEUE_GRACE_MS))"
        => "", Everything, [NOTHING_LEFT];
    who_shares_a_name_is_forgotten_at_last: "    redis.call('PEXPIRE', H, first)\n    return" => "    return", Everything, [NOTHING_LEFT];
    who_comes_stands_behind: "score = last and math.max(now(), last + 1) or now()" => "score = last and last - 1 or now()", Calm, [IN_LINE];
    nobody_shares_a_name_before_those_in_line: "if not ends and admits(limit) and redis.call('EXISTS', Q) == 0 then"
        => "if not ends and admits(limit) then", Calm, [IN_LINE];
    a_dead_permit_is_free_again: "    if ended[1] then" => "    if false then", Everything, [TAKEN_SOON, IN_LINE, TURN_COMES, WAIT_ENDS, NOTHING_LEFT];
}

// What chance seldom brings about, by plans of their own.

/// A lease for long, and what is done with it.
fn lease(then: Vec<Act>) -> What {
    What::Acquire(Acquire {
        client: 0,
        names: vec![0],
        limit: 1,
        ttl: 30_000,
        wait: Some(0),
        renew: true,
        max_hold: None,
        min_hold: None,
        cancelled: None,
        then,
    })
}

/// What happens when, in a world of one client.
fn planned(items: Vec<(Millis, What)>) -> Plan {
    let items = items.into_iter().enumerate();
    Plan {
        seed: 1,
        clients: 1,
        names: 1,
        command_timeout: 5_000,
        dedicated: true,
        shuffled: 0,
        delays: Delays::None,
        items: items
            .map(|(id, (at, what))| Item { id, at, what })
            .collect(),
    }
}

fn breaks(plan: &Plan, bug: Bug, rule: &str) {
    assert_eq!(run(plan, &Setting::default()).violation, None);
    let setting = Setting {
        bug: Some(bug),
        with_steps: true,
        ..Setting::default()
    };
    let outcome = run(plan, &setting);
    println!("{}", outcome.steps.join("\n"));
    let violation = outcome.violation.expect("the bug shows");
    assert_eq!(violation.rule, rule, "{violation:?}");
}

/// It is given up while nobody can connect, and arrives when the lease has been renewed twice on the next connection. That the server tells of
/// it, upon which the lease would be renewed again, is held up, and nobody can connect again.
#[test]
fn a_shorter_extension_left_behind_is_remembered() {
    let then = vec![
        Act::Hold(2_000),
        Act::ExtendAndCancel(1_500, 50),
        Act::Hold(6_000),
        Act::Release,
    ];
    let held_up = Fault::Stall {
        client: 0,
        there: true,
        back: false,
        lasts: 100,
    };
    let nobody_connects = |lasts| Fault::NoConnections {
        client: 0,
        refused: true,
        lasts,
    };
    let breaks_then = Fault::Reset {
        client: 0,
        late: Some(2_700),
        unheard: 0,
    };
    let is_silent = Fault::Stall {
        client: 0,
        there: false,
        back: true,
        lasts: 3_000,
    };
    let plan = planned(vec![
        (0, lease(then)),
        (1_990, What::Fault(held_up)),
        (1_995, What::Fault(nobody_connects(300))),
        (2_020, What::Fault(breaks_then)),
        (3_900, What::Fault(is_silent)),
        (4_600, What::Fault(nobody_connects(2_500))),
    ]);
    breaks(&plan, Bug::ExtendForgets, HELD_IS_HELD);
}

#[test]
fn a_lease_is_renewed_at_once_after_a_lost_connection() {
    let then = vec![Act::Hold(9_000), Act::Release];
    let forgets = Fault::Restart {
        kept: false,
        down: 10,
    };
    let plan = planned(vec![(0, lease(then)), (1_000, What::Fault(forgets))]);
    breaks(&plan, Bug::RenewedWhenDue, LEARNS);
}
