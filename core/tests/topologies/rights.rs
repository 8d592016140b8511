//! The smallest rule for a user of a cluster: all works under it, and nothing of it can be left out.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::time::Duration;

use leaselock::diagnosis::Diagnosis;
use leaselock::{Client, ReleaseStatus};
use redis::{FromRedisValue, Value, from_redis_value};
use tokio::task::JoinSet;

use crate::common::topology::{Cluster, Options};
use crate::common::{binaries, fresh, ms};

/// For one step, also where what is denied is found out by a time-out.
const STEP: Duration = ms(12_000);
/// More than a look at the queue shows, so that some of them are looked at by chance.
const WAITERS: usize = 10;
/// All locks of this name are in one slot, whatever their app id.
const MOVING: &str = "{moving}lock";

/// The rule that the documentation gives for a cluster, word for word; the last two are of use and not needed.
fn documented() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/topologies.md");
    let text = std::fs::read_to_string(path).expect("docs/topologies.md");
    let mut rules = text.lines().filter_map(|line| {
        line.trim()
            .strip_prefix("ACL SETUSER leaselock on >PASSWORD ")
    });
    let rule = rules.find(|rule| rule.contains("+ssubscribe"));
    let words = rule.expect("a rule for clusters, in one line").split(' ');
    words.map(str::to_owned).collect()
}

/// A user of the cluster with this rule; the URL to log in by.
fn user(cluster: &Cluster, name: &str, rule: &[String]) -> String {
    let mut words = vec!["ACL", "SETUSER", name, "reset", "on", ">secret"];
    words.extend(rule.iter().map(String::as_str));
    for node in &cluster.nodes {
        node.run(&words);
    }
    let url = cluster.url();
    url.replacen("://", &format!("://{name}:secret@"), 1)
}

fn client(url: &str, app: &str) -> Client {
    let builder = Client::builder().url(url).app_id(app);
    builder.build().expect("a client")
}

/// What went wrong, step by step.
#[derive(Default)]
struct Troubles(Vec<String>);

impl Troubles {
    async fn none<T>(
        &mut self,
        step: &str,
        future: impl IntoFuture<Output = leaselock::Result<T>>,
    ) -> Option<T> {
        let done = tokio::time::timeout(STEP, future.into_future()).await;
        let trouble = match done {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not end".to_owned(),
        };
        self.0.push(format!("{step}: {trouble}"));
        None
    }

    fn unless(&mut self, is_so: bool, step: &str) {
        if !is_so {
            self.0.push(step.to_owned());
        }
    }
}

/// Every operation, with somebody who waits.
async fn play(url: &str, app: &str) -> Troubles {
    let mut troubles = Troubles::default();
    let (a, b) = (client(url, app), client(url, app));
    let first = troubles.none("acquire", a.acquire("res").ttl(ms(900)));
    let first = first.await;
    let taken = troubles.none("try", b.try_acquire("res")).await;
    troubles.unless(taken.is_some_and(|taken| taken.is_none()), "it is held");
    let mut waiters = JoinSet::new();
    for _ in 0..WAITERS {
        let b = b.clone();
        waiters.spawn(async move {
            let lease = b.acquire("res").wait(ms(10_000)).await?;
            lease.release().await
        });
    }
    let mut waiting = 0;
    for _ in 0..20 {
        tokio::time::sleep(ms(50)).await;
        let info = troubles.none("inspect", a.inspect("res")).await.flatten();
        waiting = info.map_or(0, |info| info.waiters);
        if waiting == WAITERS as u64 || first.is_none() {
            break;
        }
    }
    troubles.unless(waiting == WAITERS as u64, "they wait");
    let gives_up = a.acquire("res").wait(ms(200));
    troubles.unless(gives_up.await.is_err(), "one gives up");
    tokio::time::sleep(ms(700)).await;
    if let Some(first) = first {
        troubles.unless(first.check().is_ok(), "it is renewed");
        troubles.none("extend", first.extend(Some(ms(1_200)))).await;
        troubles.none("release", first.release()).await;
    }
    while let Some(waited) = waiters.join_next().await {
        let waited = async { waited.expect("no panic") };
        troubles.none("wait", waited).await;
    }
    for _ in 0..2 {
        if let Some(lease) = troubles.none("again", a.acquire("other")).await {
            troubles.none("give back", lease.release()).await;
        }
    }
    if let Some(lease) = troubles.none("by hand", a.acquire("other")).await {
        let released = b.release("other", lease.owner());
        let released = troubles.none("by hand", released).await;
        troubles.unless(released == Some(ReleaseStatus::Released), "by hand");
    }
    let broken = troubles.none("acquire to break", a.acquire("other")).await;
    let forced = troubles.none("force", b.force_release("other")).await;
    troubles.unless(forced == Some(ReleaseStatus::Released), "force");
    drop(broken);
    let left = troubles.none("leave", a.acquire("left").renew(false)).await;
    let mut locks = b.locks("*").expect("a pattern");
    let listed = async { locks.next().await.transpose() };
    let listed = troubles.none("locks", listed).await.flatten();
    troubles.unless(listed.is_some_and(|it| it.name == "left"), "it is listed");
    drop(left);
    for client in [a, b] {
        troubles.none("close", client.close()).await;
    }
    troubles
}

/// A lease goes on while its keys are where its slot is not yet.
async fn play_moving(cluster: &Cluster, urls: &[&str]) -> Troubles {
    let mut troubles = Troubles::default();
    let slot = cluster.slot_of(&format!("lock||x||{MOVING}"));
    let mut leases = Vec::new();
    for url in urls {
        let client = client(url, &fresh());
        leases.push(client.acquire(MOVING).await.expect("it needs no more"));
    }
    let (primaries, _) = cluster.roles();
    let from = cluster.owner_of(slot);
    let to = primaries.into_iter().find(|it| *it != from).expect("three");
    let moved = cluster.begin_move(slot, to);
    cluster.move_keys(&moved, None);
    for lease in &leases {
        troubles.none("extend", lease.extend(None)).await;
    }
    cluster.end_move(&moved);
    troubles
}

/// What a user was denied: why (`command`, `key`, `channel`), and what.
fn denied(cluster: &Cluster, name: &str) -> Vec<(String, String)> {
    let mut denied = Vec::new();
    for node in &cluster.nodes {
        let log: Vec<HashMap<String, Value>> =
            from_redis_value(node.run(&["ACL", "LOG", "1000"])).expect("entries");
        denied.extend(log.into_iter().filter_map(|entry| {
            let text = |field| String::from_redis_value(entry.get(field).cloned()?).ok();
            let (user, why, what) = (text("username")?, text("reason")?, text("object")?);
            (user == name).then_some((why, what))
        }));
    }
    denied
}

#[tokio::test(flavor = "multi_thread")]
async fn must_have_6_everything_works_in_a_cluster_under_the_documented_rule_and_no_more() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let url = user(&cluster, "leaselock", &documented());
        let troubles = play(&url, &fresh()).await;
        assert_eq!(troubles.0, [""; 0]);
        let troubles = play_moving(&cluster, &[&url]).await;
        assert_eq!(troubles.0, [""; 0]);
        assert_eq!(denied(&cluster, "leaselock"), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_the_rule_for_a_cluster_is_needed() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let rule = documented();
        let is_needed = |right: &&String| !right.starts_with("+client|") && *right != "-@all";
        let needed: Vec<&String> = rule.iter().filter(is_needed).collect();
        assert_eq!(needed.len(), 3 + 26);
        let mut plays = JoinSet::new();
        let mut moving = String::new();
        for (number, right) in needed.iter().enumerate() {
            let less: Vec<String> = rule.iter().filter(|it| it != right).cloned().collect();
            let url = user(&cluster, &format!("without-{number}"), &less);
            if *right == "+asking" {
                moving.clone_from(&url);
            }
            plays.spawn(async move { play(&url, &fresh()).await });
        }
        // Most go on for long: time-outs come in place of what is denied.
        let is_missed = |(number, right): &(usize, &&String)| {
            let denied = denied(&cluster, &format!("without-{number}"));
            denied.iter().any(|(why, what)| is_of(why, what, right))
        };
        let unmissed = || -> Vec<&str> {
            let rights = needed.iter().enumerate();
            let unmissed = rights.filter(|right| !is_missed(right));
            unmissed.map(|(_, right)| right.as_str()).collect()
        };
        let mut left = needed.len();
        while left > 1 && !plays.is_empty() {
            let _ = tokio::time::timeout(ms(500), plays.join_next()).await;
            left = unmissed().len();
        }
        assert_eq!(unmissed(), ["+asking"]);
        play_moving(&cluster, &[&moving]).await;
        assert_eq!(unmissed(), [""; 0]);
    }
}

/// A server before Redis 7 has no sharded channels.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_no_sharded_channels_the_rights_to_ordinary_ones_are_looked_for() {
    let args = ["--rename-command", "SSUBSCRIBE", ""];
    let options = Options {
        args: &args,
        ..Options::default()
    };
    for binary in binaries() {
        let cluster = Cluster::start_with(&binary, &options);
        let rule = ["~*", "&*", "+@all", "-subscribe"].map(str::to_owned);
        let client = client(&user(&cluster, "leaselock", &rule), &fresh());
        let Ok(Diagnosis::Cluster(facts)) = client.diagnose().await else {
            panic!("a cluster");
        };
        assert_eq!(facts.primaries.len(), 3);
        for primary in facts.primaries {
            let rights = primary.server.found.expect("it is reached").rights;
            assert_eq!(rights.missing, ["+subscribe"]);
            assert_eq!(rights.unknown, [""; 0]);
            let rest = "+publish +pubsub|numsub +subscribe +cluster|slots +asking +client|tracking +client|caching";
            assert!(rights.rule.ends_with(rest), "{}", rights.rule);
        }
    }
}

/// Whether `what` was denied, because of `why`, for want of a right.
fn is_of(why: &str, what: &str, right: &str) -> bool {
    match right.split_at(1) {
        ("~", pattern) => why == "key" && what.starts_with(pattern.trim_end_matches('*')),
        ("&", pattern) => why == "channel" && what.starts_with(pattern.trim_end_matches('*')),
        (_, command) => why == "command" && what == command,
    }
}
