//! What random sequences cannot show: greetings, which tell numbers of connections; orders that nobody promises; servers that refuse.

use std::time::Duration;

use leaselock_simulation::server::{Condition, Role, Server};

use crate::generator::{Sequence, Step, Word};
use crate::real::Real;
use crate::scripts::{RELEASE, RENEW, WAIT};
use crate::side_by_side::{Pair, compare, encoded, now};

fn on_each(test: impl Fn(&mut Real)) {
    for name in ["redis", "valkey"] {
        if let Some(mut real) = Real::start(name) {
            test(&mut real);
        }
    }
}

/// Lines `connection command`; `<wait>` and its like stand for calls of the scripts.
fn steps(lines: &str) -> Vec<Step> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let step = |line: &str| {
        let (connection, command) = line.split_once(' ').expect("a connection");
        let (lock, queue, fence) = ("lock||app||a", "{lock||app||a}||||queue", "fence");
        let inbox = "00000000000000000000000000000001";
        let command = command
            .replace(
                "<wait>",
                &format!("EVALSHA {} 3 {lock} {queue} {fence}", WAIT.hash),
            )
            .replace(
                "<release>",
                &format!("EVALSHA {} 3 {lock} {queue} {fence}", RELEASE.hash),
            )
            .replace("<renew>", &format!("EVALSHA {} 1 {lock}", RENEW.hash))
            .replace("<inbox>", inbox);
        let words = command.split(' ').map(|word| word.replace('~', " "));
        Step {
            connection: connection.parse().expect("a number"),
            pause: 0,
            commands: vec![words.map(Word::Text).collect()],
            waits: None,
        }
    };
    lines.map(step).collect()
}

fn same(real: &mut Real, lines: &str) {
    for resp3 in [[false; 3], [true; 3]] {
        let steps = steps(lines);
        if let Err(difference) = compare(real, &Sequence { resp3, steps }) {
            panic!("{difference}");
        }
    }
}

/// Both refuse the same, in the same words, when the real one was made to by `admin`, and the small one by `prepare`.
fn refuse_alike(admin: &[&str], prepare: impl Fn(&mut Server)) {
    on_each(|real| {
        let pair = Pair::new(
            real,
            &Sequence {
                resp3: [true, false, true],
                steps: Vec::new(),
            },
        );
        let prepared = pair.prepared(admin, real, &prepare);
        let steps = steps(
            "0 GET k
             0 SET k v
             0 DEL k
             0 INCR k
             0 PEXPIRE k 1000
             0 ZADD z 1 a
             0 ZREM z a
             0 EXISTS k
             0 PUBLISH c x
             0 SUBSCRIBE c
             0 PUBSUB NUMSUB c
             0 TTL k
             0 MULTI
             0 GET k
             0 EXEC
             0 MULTI
             0 SET k v NX PX 1000
             0 INCR f
             0 EXEC
             0 CLIENT TRACKING ON OPTIN NOLOOP
             0 CLIENT CACHING YES
             0 <renew> owner 100000 1
             0 <wait> owner 100000 <inbox>  1 
             0 <release> owner <inbox>
             1 <wait> owner 100000 <inbox>  1  0
             1 EVAL return~1 0
             1 EVAL return~redis.call('GET','k') 0
             1 EVAL return~redis.call('SET','k','v') 0
             1 EVAL return~redis.call('DEL','k') 0
             1 EVAL return~redis.pcall('SET','k','v').err 0
             1 EVAL redis.call('PEXPIRE','no',1)~return~redis.call('SET','k','v') 0
             1 SCRIPT EXISTS a
             1 NOTHING
             1 GET
             2 SELECT 1
             2 PING
             2 WAIT 0 0
             2 FLUSHALL",
        );
        let mut count = 0;
        if let Err(difference) = prepared.play(&steps, &mut count) {
            panic!("{}: {admin:?}{difference}", real.config.version);
        }
    });
}

fn replica(serves_stale: bool) -> Role {
    Role::Replica {
        host: "127.0.0.1".to_owned(),
        port: 1,
        is_linked: false,
        serves_stale,
    }
}

#[test]
fn a_replica_refuses_writes() {
    refuse_alike(&["REPLICAOF 127.0.0.1 1"], |small| {
        small.set_role(replica(true));
    });
}

#[test]
fn a_replica_that_lost_its_master_refuses_to_answer() {
    let admin = [
        "CONFIG SET replica-serve-stale-data no",
        "REPLICAOF 127.0.0.1 1",
    ];
    refuse_alike(&admin, |small| small.set_role(replica(false)));
}

#[test]
fn a_server_without_memory_refuses_what_needs_some() {
    let set = |small: &mut Server| small.set_condition(Condition::OutOfMemory);
    refuse_alike(&["CONFIG SET maxmemory 1"], set);
}

#[test]
fn a_server_with_too_few_replicas_refuses_writes() {
    let set = |small: &mut Server| small.set_condition(Condition::TooFewReplicas);
    refuse_alike(&["CONFIG SET min-replicas-to-write 1"], set);
}

#[test]
fn a_server_that_cannot_save_refuses_writes() {
    let set = |small: &mut Server| small.set_condition(Condition::CannotSave);
    refuse_alike(&["CONFIG SET save 3600~1", "folder gone", "BGSAVE"], set);
}

#[test]
fn a_busy_server_says_so() {
    let set = |small: &mut Server| small.set_condition(Condition::Busy);
    refuse_alike(
        &[
            "CONFIG SET busy-reply-threshold 1",
            "EVAL while~true~do~end 0",
        ],
        set,
    );
}

#[test]
fn greetings_are_the_same_but_for_numbers() {
    on_each(|real| {
        let mut small = Server::new(real.config.clone());
        let (id, mut line) = (small.connect(), real.connect());
        for words in [
            &["HELLO"][..],
            &["HELLO", "3"],
            &["HELLO", "2", "SETNAME", "x"],
        ] {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            small.feed(id, &encoded(&words), now());
            line.send(&encoded(&words));
            let expected = small.output(id);
            let (mut told, began) = (Vec::new(), std::time::Instant::now());
            // Numbers may be shorter.
            while told.len() + 16 < expected.len() && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
                told.extend(line.rest());
            }
            std::thread::sleep(Duration::from_millis(30));
            told.extend(line.rest());
            let shown = |told: Vec<u8>| {
                let told = String::from_utf8(told).expect("text");
                let (before, rest) = told.split_once("$2\r\nid\r\n:").expect("a number");
                let (_, after) = rest.split_once('\r').expect("its end");
                format!("{before}id{after}")
            };
            assert_eq!(shown(expected), shown(told));
        }
    });
}

#[test]
fn orders_that_nobody_promises_hold_the_same() {
    on_each(|real| {
        let mut small = Server::new(real.config.clone());
        let (id, mut line) = (small.connect(), real.connect());
        let mut told = |command: &str| {
            let words: Vec<Vec<u8>> = command.split(' ').map(Into::into).collect();
            small.feed(id, &encoded(&words), now());
            line.send(&encoded(&words));
            std::thread::sleep(Duration::from_millis(30));
            [small.output(id), line.rest()].map(|told| {
                let told = String::from_utf8(told).expect("text");
                let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            })
        };
        for key in 0..30 {
            told(&format!("SET key:{key} x"));
            told(&format!("ZADD set {key} member:{key}"));
        }
        for command in [
            "SCAN 0 COUNT 1000",
            "SCAN 0 MATCH key:1? COUNT 1000",
            "SCAN 0 MATCH key:[^0-8] COUNT 1000 TYPE string",
            "SCAN 0 TYPE zset COUNT 1000",
            "ZRANDMEMBER set 100",
            "CONFIG GET appendfsync",
            "SUBSCRIBE a b c",
            "UNSUBSCRIBE",
            "SSUBSCRIBE a b",
            "SUNSUBSCRIBE",
        ] {
            let [small, real] = told(command);
            assert_eq!(small, real, "{command}");
        }
    });
}

#[test]
fn what_a_key_was_watched_for_ends_with_its_time() {
    on_each(|real| {
        same(
            real,
            "0 SET k v PX 1
             0 EVAL return~1 0
             0 ECHO it~takes~its~time
             1 CLIENT TRACKING ON
             1 GET other
             0 SET other x
             1 WATCH k other
             0 DEL other
             1 MULTI
             1 GET other
             1 EXEC
             2 WAIT 0 1
             2 PING",
        );
    });
}
