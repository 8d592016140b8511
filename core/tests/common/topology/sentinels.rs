//! A master with its replicas and the sentinels that watch it.

use redis::from_redis_value;

use super::super::{Binary, Server};
use super::{CALM_MS, Options, ask, says, start_all, try_text, until, url};

/// The service that the sentinels watch.
pub const SERVICE: &str = "mymaster";

/// One master, two replicas and three sentinels. Dropped, all are killed.
pub struct Sentinels {
    /// The data nodes; the first began as the master.
    pub nodes: Vec<Server>,
    pub sentinels: Vec<Server>,
}

impl Sentinels {
    pub fn start(binary: &Binary) -> Self {
        Self::start_with(binary, &Options::default())
    }

    pub fn start_with(binary: &Binary, options: &Options<'_>) -> Self {
        const SYNC: [&str; 2] = ["--repl-diskless-sync-delay", "0"];
        let mut nodes = vec![options.data_node(binary, &SYNC)];
        start_all(&mut nodes);
        let port = nodes[0].port.to_string();
        let replica = [&SYNC[..], &["--replicaof", "127.0.0.1", &port]].concat();
        nodes.extend((0..2).map(|_| options.data_node(binary, &replica)));
        start_all(&mut nodes[1..]);
        // Sentinels that see the replicas in their first look at the master need not wait 10 s for the next.
        until("the replicas are in sync", || {
            nodes[1..]
                .iter()
                .all(|node| says(node, &["INFO", "replication"], "master_link_status:up"))
        });

        let configuration = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 10000\n\
             sentinel parallel-syncs {SERVICE} 1\n{}\n",
            options.sentinel
        );
        let sentinel = || {
            let mut server = Server::new(binary, &[]);
            server.sentinel = Some(configuration.clone());
            options.secured(server)
        };
        let mut sentinels: Vec<_> = (0..3).map(|_| sentinel()).collect();
        start_all(&mut sentinels);
        let started = Self { nodes, sentinels };
        // They find each other by what each publishes every 2 s: for the start, more often.
        started.each_sentinel(&["SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100"]);
        until("the sentinels know each other", || {
            started.sentinels.iter().all(|sentinel| {
                field(sentinel, "num-slaves").as_deref() == Some("2")
                    && field(sentinel, "num-other-sentinels").as_deref() == Some("2")
            })
        });
        started.each_sentinel(&["SENTINEL", "DEBUG", "PUBLISH-PERIOD", "2000"]);
        started
    }

    /// Has no failover come of a busy machine.
    pub fn stay(&self) {
        let words = [
            "SENTINEL",
            "SET",
            SERVICE,
            "down-after-milliseconds",
            CALM_MS,
        ];
        self.each_sentinel(&words);
    }

    /// `redis+sentinel://…`, naming all sentinels.
    pub fn url(&self) -> String {
        format!("{}/{SERVICE}", url("sentinel", &self.sentinels))
    }

    /// The master's port, as the first sentinel that answers says.
    pub fn master_port(&self) -> u16 {
        self.sentinels
            .iter()
            .find_map(named_master)
            .expect("a sentinel that answers")
    }

    /// Where in `nodes` the master is.
    pub fn master(&self) -> usize {
        let port = self.master_port();
        self.nodes
            .iter()
            .position(|node| node.port == port)
            .expect("one of the nodes")
    }

    /// Has the sentinels choose another master although this one lives; the port of the old one. Returns at once.
    pub fn sentinel_failover(&self) -> u16 {
        let old = self.master_port();
        until("a failover begins", || {
            try_text(&self.sentinels[0], &["SENTINEL", "FAILOVER", SERVICE]).is_ok()
        });
        old
    }

    /// Waits until all sentinels that answer name another master than `old`, and it is one; its port.
    pub fn new_master(&self, old: u16) -> u16 {
        let mut new = None;
        until("there is a new master", || {
            let mut named = self.sentinels.iter().filter_map(named_master);
            new = named
                .next()
                .filter(|&port| port != old && named.all(|other| other == port));
            let node = self.nodes.iter().find(|node| Some(node.port) == new);
            node.is_some_and(|node| says(node, &["INFO", "replication"], "role:master"))
        });
        new.expect("just seen")
    }

    /// Waits until all is as at the start, whoever is the master: two replicas in sync, which every sentinel sees.
    ///
    /// A failover leaves an old master that lives as one for some 11 s.
    pub fn settle(&self) {
        until("two replicas are in sync", || {
            let master = self.master();
            let in_sync = self.nodes.iter().enumerate().all(|(number, node)| {
                let part = if number == master {
                    "connected_slaves:2"
                } else {
                    "master_link_status:up"
                };
                says(node, &["INFO", "replication"], part)
            });
            in_sync && self.sentinels.iter().all(sees_two_replicas)
        });
    }

    fn each_sentinel(&self, words: &[&str]) {
        for sentinel in &self.sentinels {
            sentinel.run(words);
        }
    }
}

fn sees_two_replicas(sentinel: &Server) -> bool {
    let reply = ask(sentinel, &["SENTINEL", "REPLICAS", SERVICE]);
    let known: Vec<Vec<String>> = reply
        .ok()
        .and_then(|reply| from_redis_value(reply).ok())
        .unwrap_or_default();
    let fine = |facts: &&Vec<String>| fact(facts, "flags") == Some("slave");
    known.iter().filter(fine).count() == 2
}

fn fact<'a>(facts: &'a [String], name: &str) -> Option<&'a str> {
    facts
        .chunks(2)
        .find(|pair| pair[0] == name)
        .map(|pair| pair[1].as_str())
}

/// One field of what a sentinel knows of the service.
fn field(sentinel: &Server, name: &str) -> Option<String> {
    let known: Vec<String> =
        from_redis_value(ask(sentinel, &["SENTINEL", "MASTER", SERVICE]).ok()?).ok()?;
    fact(&known, name).map(str::to_owned)
}

fn named_master(sentinel: &Server) -> Option<u16> {
    let reply = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]).ok()?;
    let (_, port): (String, String) = from_redis_value(reply).ok()?;
    port.parse().ok()
}
