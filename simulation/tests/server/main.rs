//! What is done to the small Redis from outside, by no command of a client: time, replicas, restarts, pauses.

use leaselock_simulation::server::{Condition, Config, ConnId, Flavour, Pause, Role, Server};

const NOW: i64 = 1_700_000_000_000_000;
const MS: i64 = 1_000;

fn encoded(command: &str) -> Vec<u8> {
    let words = command.split(' ');
    let each = words
        .clone()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.count(), each.collect::<String>()).into_bytes()
}

fn send(server: &mut Server, id: ConnId, command: &str, now: i64) {
    server.feed(id, &encoded(command), now);
}

fn output(server: &mut Server, id: ConnId) -> String {
    String::from_utf8(server.output(id)).expect("text")
}

fn ask(server: &mut Server, id: ConnId, command: &str, now: i64) -> String {
    send(server, id, command, now);
    output(server, id)
}

fn begin() -> (Server, ConnId) {
    let mut server = Server::new(Config::default());
    let id = server.connect();
    ask(&mut server, id, "HELLO 3", NOW);
    (server, id)
}

#[test]
fn a_request_may_come_in_pieces_and_with_others() {
    let (mut server, id) = begin();
    let mut bytes = encoded("SET k v");
    bytes.extend(encoded("GET k"));
    for byte in &bytes {
        server.feed(id, std::slice::from_ref(byte), NOW);
    }
    assert_eq!(server.connections_with_output(), [id]);
    assert_eq!(output(&mut server, id), "+OK\r\n$1\r\nv\r\n");
    assert_eq!(server.connections_with_output(), []);
    server.feed(id, b"*1\r\n!", NOW);
    assert_eq!(
        output(&mut server, id),
        "-ERR Protocol error: expected '$', got '!'\r\n"
    );
    assert!(!server.is_connected(id), "it hung up");
}

#[test]
fn a_key_that_ends_is_told_of_when_it_is_removed() {
    let (mut server, id) = begin();
    ask(&mut server, id, "CLIENT TRACKING ON", NOW);
    ask(&mut server, id, "SET k v PX 10", NOW);
    ask(&mut server, id, "GET k", NOW);
    assert_eq!(server.next_tick(), Some(NOW + 11 * MS));
    server.tick(NOW + 10 * MS);
    assert_eq!(output(&mut server, id), "", "its last millisecond");
    server.tick(NOW + 11 * MS);
    assert_eq!(
        output(&mut server, id),
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
    );
    assert_eq!(server.next_tick(), None);
}

#[test]
fn a_clock_that_goes_back_keeps_keys_for_longer() {
    let (mut server, id) = begin();
    ask(&mut server, id, "SET k v PX 10", NOW);
    assert_eq!(
        ask(&mut server, id, "PTTL k", NOW - 1_000 * MS),
        ":1010\r\n"
    );
    assert_eq!(
        ask(&mut server, id, "TIME", NOW - 1),
        "*2\r\n$10\r\n1699999999\r\n$6\r\n999999\r\n"
    );
}

#[test]
fn wait_waits_for_replicas_or_its_end() {
    let (mut server, id) = begin();
    server.set_replicas(vec![0, 0], NOW);
    ask(&mut server, id, "SET k v", NOW);
    let written = server.offset();
    send(&mut server, id, "WAIT 2 100", NOW);
    send(&mut server, id, "GET k", NOW);
    server.set_replicas(vec![written, 0], NOW + MS);
    assert_eq!(output(&mut server, id), "");
    assert_eq!(server.next_tick(), Some(NOW + 100 * MS));
    server.set_replicas(vec![written, written], NOW + 2 * MS);
    assert_eq!(output(&mut server, id), ":2\r\n$1\r\nv\r\n");
    ask(&mut server, id, "SET k w", NOW);
    send(&mut server, id, "WAIT 2 100", NOW);
    server.tick(NOW + 99 * MS);
    assert_eq!(output(&mut server, id), "");
    server.tick(NOW + 100 * MS);
    assert_eq!(output(&mut server, id), ":0\r\n");
}

#[test]
fn a_snapshot_is_what_a_restart_finds() {
    let (mut server, id) = begin();
    ask(&mut server, id, "SET k v PX 1000", NOW);
    ask(&mut server, id, "ZADD z 2 b 1 a", NOW);
    let loaded = ask(&mut server, id, "SCRIPT LOAD return(1)", NOW);
    let hash = loaded.lines().nth(1).expect("a hash");
    let taken = server.snapshot();
    ask(&mut server, id, "SET k changed", NOW);
    for (data, knows) in [
        (taken.clone(), ":1\r\n"),
        (taken.without_scripts(), "-NOSCRIPT"),
    ] {
        let mut later = Server::from_snapshot(Config::new(Flavour::Valkey9), &data);
        assert_eq!(later.offset(), data.offset());
        let id = later.connect();
        assert_eq!(ask(&mut later, id, "GET k", NOW), "$1\r\nv\r\n");
        assert_eq!(ask(&mut later, id, "PTTL k", NOW + 400 * MS), ":600\r\n");
        assert_eq!(
            ask(&mut later, id, "ZRANGE z 0 -1", NOW),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        );
        let told = ask(&mut later, id, &format!("EVALSHA {hash} 0"), NOW);
        assert!(told.starts_with(knows), "{told}");
        assert_eq!(ask(&mut later, id, "GET k", NOW + 1_001 * MS), "$-1\r\n");
    }
}

#[test]
fn a_pause_leaves_commands_lying() {
    let (mut server, id) = begin();
    let other = server.connect();
    server.set_pause(Some(Pause {
        until: NOW + 50 * MS,
        is_of_writes: true,
    }));
    send(&mut server, id, "SET k v", NOW);
    assert_eq!(ask(&mut server, other, "GET k", NOW), "$-1\r\n");
    send(&mut server, id, "GET k", NOW);
    assert_eq!(output(&mut server, id), "");
    server.tick(NOW + 50 * MS);
    assert_eq!(output(&mut server, id), "+OK\r\n$1\r\nv\r\n");
    server.set_pause(Some(Pause {
        until: NOW + 90 * MS,
        is_of_writes: false,
    }));
    send(&mut server, id, "GET k", NOW + 60 * MS);
    assert_eq!(output(&mut server, id), "");
    server.set_pause(None);
    server.tick(NOW + 61 * MS);
    assert_eq!(output(&mut server, id), "$1\r\nv\r\n");
}

#[test]
fn a_replica_keeps_what_ended_and_shows_it_to_nobody() {
    let (mut server, id) = begin();
    ask(&mut server, id, "SET k v PX 10", NOW);
    server.set_role(Role::Replica {
        host: "10.0.0.1".to_owned(),
        port: 6379,
        is_linked: true,
        serves_stale: true,
    });
    server.tick(NOW + 20 * MS);
    assert_eq!(ask(&mut server, id, "GET k", NOW + 20 * MS), "_\r\n");
    assert_eq!(ask(&mut server, id, "DBSIZE", NOW + 20 * MS), ":1\r\n");
    server.set_condition(Condition::Loading);
    let told = ask(&mut server, id, "GET k", NOW);
    assert_eq!(told, "-LOADING Redis is loading the dataset in memory\r\n");
    server.set_condition(Condition::Serving);
    server.set_role(Role::Master);
    assert_eq!(ask(&mut server, id, "EXISTS k", NOW + 20 * MS), ":0\r\n");
    assert_eq!(ask(&mut server, id, "DBSIZE", NOW + 20 * MS), ":0\r\n");
}

#[test]
fn the_same_seed_chooses_the_same() {
    let chosen = |seed| {
        let mut server = Server::new(Config {
            seed,
            ..Config::default()
        });
        let id = server.connect();
        for member in 0..40 {
            ask(&mut server, id, &format!("ZADD z 1 m{member}"), NOW);
        }
        ask(&mut server, id, "ZRANDMEMBER z 10", NOW)
            + &ask(&mut server, id, "EVAL return(math.random(1000000)) 0", NOW)
    };
    assert_eq!(chosen(1), chosen(1));
    assert_ne!(chosen(1), chosen(2));
}

#[test]
fn a_key_whose_end_was_watched_stops_the_transaction() {
    let (mut server, id) = begin();
    let run = |server: &mut Server, begin: i64, end: i64| {
        ask(server, id, "SET k v PX 10", NOW);
        ask(server, id, "WATCH k", begin);
        ask(server, id, "MULTI", end);
        ask(server, id, "GET k", end);
        ask(server, id, "EXEC", end)
    };
    assert_eq!(run(&mut server, NOW, NOW + 10 * MS), "*1\r\n$1\r\nv\r\n");
    assert_eq!(run(&mut server, NOW, NOW + 11 * MS), "_\r\n");
    assert_eq!(
        run(&mut server, NOW + 11 * MS, NOW + 12 * MS),
        "*1\r\n_\r\n",
        "it had ended before"
    );
}
