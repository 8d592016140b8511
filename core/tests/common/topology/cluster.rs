//! A cluster, and what its nodes are told.

use std::process::Command;
use std::time::Instant;

use redis::{Value, from_redis_value};

use super::super::{Binary, Server, ms};
use super::{BUS, CALM_MS, Options, ask, says, start_all, try_text, until, url};

pub const SLOTS: u16 = 16_384;

/// Three primaries with a replica each. Dropped, all are killed.
pub struct Cluster {
    /// The first three began as the primaries, the others as their replicas, in the same order.
    pub nodes: Vec<Server>,
    /// What the nodes call each other.
    pub ids: Vec<String>,
}

/// A node's own view of itself.
struct Myself {
    /// The id of its primary, unless it is one.
    replicates: Option<String>,
    /// The highest wins where two claim a slot.
    epoch: u64,
    slots: Vec<(u16, u16)>,
}

/// A slot on its way from one node to another, by its steps.
pub struct Move {
    pub slot: u16,
    pub from: usize,
    pub to: usize,
}

impl Cluster {
    pub fn start(binary: &Binary) -> Self {
        Self::start_with(binary, &Options::default())
    }

    pub fn start_with(binary: &Binary, options: &Options<'_>) -> Self {
        #[rustfmt::skip]
        let args = [
            "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
            "--repl-diskless-sync-delay", "0",
            // CLUSTER SLOTS of Redis 7.0 lists a replica when it has been sent something.
            "--repl-ping-replica-period", "1",
        ];
        let mut nodes: Vec<_> = (0..6).map(|_| options.data_node(binary, &args)).collect();
        start_all(&mut nodes);
        let id = |node: &Server| node.text(&["CLUSTER", "MYID"]).expect("an id");
        let ids = nodes.iter().map(id).collect();
        let cluster = Self { nodes, ids };
        cluster.join();
        cluster.settle();
        cluster
    }

    /// As `redis-cli --cluster create` does, which waits in whole seconds.
    fn join(&self) {
        let bounds = [0, 5_461, 10_923, SLOTS];
        for (node, bounds) in self.nodes.iter().zip(bounds.windows(2)) {
            let (first, last) = (bounds[0].to_string(), (bounds[1] - 1).to_string());
            node.run(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let port = self.nodes[0].port;
        let (port, bus) = (port.to_string(), (port + BUS).to_string());
        for (node, epoch) in self.nodes.iter().zip(1..) {
            node.run(&["CLUSTER", "SET-CONFIG-EPOCH", &i32::to_string(&epoch)]);
            if epoch > 1 {
                node.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        until("the nodes know each other", || {
            self.nodes.iter().all(|node| {
                let known = try_text(node, &["CLUSTER", "NODES"]).unwrap_or_default();
                self.ids.iter().all(|id| known.contains(id)) && !known.contains("handshake")
            })
        });
        for (replica, primary) in self.nodes[3..].iter().zip(&self.ids) {
            replica.run(&["CLUSTER", "REPLICATE", primary]);
        }
    }

    /// Waits until every node sees all slots served, and each primary with a replica.
    pub fn settle(&self) {
        let paired = |row: &Value| matches!(row, Value::Array(row) if row.len() == 4);
        until("the cluster is whole", || {
            self.nodes.iter().all(|node| {
                let rows = ask(node, &["CLUSTER", "SLOTS"]);
                matches!(rows, Ok(Value::Array(rows)) if rows.iter().all(paired))
                    && says(node, &["CLUSTER", "INFO"], "cluster_state:ok")
            })
        });
    }

    /// Has no failover come of a busy machine.
    pub fn stay(&self) {
        for node in &self.nodes {
            node.run(&["CONFIG", "SET", "cluster-node-timeout", CALM_MS]);
        }
    }

    /// `redis+cluster://…`, naming all nodes.
    pub fn url(&self) -> String {
        url("cluster", &self.nodes)
    }

    pub fn slot_of(&self, key: &str) -> u16 {
        let reply = self
            .nodes
            .iter()
            .find_map(|node| ask(node, &["CLUSTER", "KEYSLOT", key]).ok());
        from_redis_value(reply.expect("a node that answers")).expect("a slot")
    }

    /// Where in `nodes` the owner of a slot is.
    pub fn owner_of(&self, slot: u16) -> usize {
        let mut owner = None;
        until("the slot has an owner", || {
            let has = |(first, last): &(u16, u16)| (*first..=*last).contains(&slot);
            let views = (0..self.nodes.len()).filter_map(|node| Some((node, self.myself(node)?)));
            let claims = views.filter(|(_, view)| view.slots.iter().any(has));
            owner = claims
                .max_by_key(|(_, view)| view.epoch)
                .map(|(node, _)| node);
            owner.is_some()
        });
        owner.expect("just seen")
    }

    /// The node that has the slot of a key, for plain commands.
    pub fn at(&self, key: &str) -> &Server {
        &self.nodes[self.owner_of(self.slot_of(key))]
    }

    /// Where in `nodes` the primaries are, and where the replicas, of those that answer.
    pub fn roles(&self) -> (Vec<usize>, Vec<usize>) {
        let known = (0..self.nodes.len())
            .filter_map(|node| Some((node, self.myself(node)?.replicates.is_none())));
        let (primaries, replicas): (Vec<_>, Vec<_>) = known.partition(|(_, primary)| *primary);
        let numbers = |nodes: Vec<(usize, bool)>| nodes.into_iter().map(|(node, _)| node).collect();
        (numbers(primaries), numbers(replicas))
    }

    /// Where in `nodes` the replica of a primary is.
    pub fn replica_of(&self, primary: usize) -> usize {
        let id = Some(&self.ids[primary]);
        let replicates = |&node: &usize| {
            self.myself(node)
                .is_some_and(|view| view.replicates.as_ref() == id)
        };
        (0..self.nodes.len()).find(replicates).expect("a replica")
    }

    /// Every replica takes its primary's place, one after the other, with nobody dead. Returns when they have.
    pub fn cluster_failover_all(&self) {
        let (_, replicas) = self.roles();
        for replica in replicas {
            self.cluster_failover(replica);
        }
    }

    /// One replica takes its primary's place. Returns when both know.
    pub fn cluster_failover(&self, replica: usize) {
        let id = self
            .myself(replica)
            .and_then(|view| view.replicates)
            .expect("a replica");
        let primary = self
            .ids
            .iter()
            .position(|known| *known == id)
            .expect("its primary");
        let is_primary = |node| self.myself(node).map(|view| view.replicates.is_none());
        let mut asked: Option<Instant> = None;
        until("the replica has become the primary", || {
            // One that does not come about is given up after 5 s, without a word.
            if asked.is_none_or(|asked| asked.elapsed() > ms(6_000)) {
                let done = ask(&self.nodes[replica], &["CLUSTER", "FAILOVER"]);
                asked = done.is_ok().then(Instant::now);
            }
            is_primary(replica) == Some(true) && is_primary(primary) != Some(true)
        });
    }

    /// Moves `count` slots with `redis-cli`, which asks each time that all nodes agree. Returns when it has.
    pub fn reshard(&self, from: usize, to: usize, count: u16) {
        let (from, to) = (&self.ids[from], &self.ids[to]);
        let address = format!("127.0.0.1:{}", self.nodes[0].plain_port());
        let mut said = String::new();
        until("redis-cli has moved the slots", || {
            let done = Command::new("redis-cli")
                .args(["--cluster", "reshard", &address, "--cluster-yes"])
                .args(["--cluster-from", from, "--cluster-to", to])
                .args(["--cluster-slots", &count.to_string()])
                .output()
                .expect("redis-cli runs");
            said = String::from_utf8_lossy(&done.stdout).into_owned();
            let disagree = said.contains("Please fix your cluster problems");
            // A replica that is late on a busy machine leaves a slot half moved, and so all the next tries.
            let is_open = said.contains("NOREPLICAS") || said.contains("open slots");
            if is_open {
                let fix = ["--cluster", "fix", &address];
                let _ = Command::new("redis-cli").args(fix).output();
            }
            let done = done.status.success();
            assert!(done || disagree || is_open, "{said}");
            done && !disagree
        });
    }

    /// Begins to move a slot by hand: from now on the old owner redirects what it lacks, and refuses commands on
    /// several keys of which it lacks some (TRYAGAIN).
    pub fn begin_move(&self, slot: u16, to: usize) -> Move {
        let from = self.owner_of(slot);
        let number = slot.to_string();
        self.nodes[to].run(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &self.ids[from]]);
        self.nodes[from].run(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &self.ids[to]]);
        Move { slot, from, to }
    }

    /// Moves those keys of the slot that are there, or only one of them.
    pub fn move_keys(&self, moved: &Move, only: Option<&str>) {
        let (source, slot) = (&self.nodes[moved.from], moved.slot.to_string());
        let port = self.nodes[moved.to].port.to_string();
        loop {
            let keys = match only {
                Some(key) => vec![key.to_owned()],
                None => from_redis_value(source.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]))
                    .expect("keys"),
            };
            if keys.is_empty() {
                return;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            source.run(&words);
            if only.is_some() {
                return;
            }
        }
    }

    /// The slot now belongs to where it was moved. Its keys must be there.
    pub fn end_move(&self, moved: &Move) {
        let (slot, id) = (moved.slot.to_string(), &self.ids[moved.to]);
        for node in [moved.to, moved.from] {
            self.nodes[node].run(&["CLUSTER", "SETSLOT", &slot, "NODE", id]);
        }
    }

    /// Moves slots as Valkey 9 does by itself, at once and with their keys. Returns when they are there.
    pub fn migrate_slots(&self, slots: std::ops::RangeInclusive<u16>, to: usize) {
        let (first, last) = (slots.start().to_string(), slots.end().to_string());
        let from = &self.nodes[self.owner_of(*slots.start())];
        from.run(&[
            "CLUSTER",
            "MIGRATESLOTS",
            "SLOTSRANGE",
            &first,
            &last,
            "NODE",
            &self.ids[to],
        ]);
        until("the slots have moved", || {
            self.owner_of(*slots.start()) == to
        });
    }

    /// How many messages of pub/sub the nodes have sent each other: by PUBLISH (`publish`) or SPUBLISH (`publishshard`).
    pub fn bus_messages(&self, kind: &str) -> u64 {
        let counter = format!("cluster_stats_messages_{kind}_sent:");
        let count = |node| {
            let facts = try_text(node, &["CLUSTER", "INFO"]).unwrap_or_default();
            let count = facts
                .lines()
                .find_map(|line| line.strip_prefix(&counter)?.parse().ok());
            count.unwrap_or(0)
        };
        self.nodes.iter().map(count).sum()
    }

    fn myself(&self, node: usize) -> Option<Myself> {
        let known = try_text(&self.nodes[node], &["CLUSTER", "NODES"]).ok()?;
        let line = known.lines().find(|line| line.contains("myself"))?;
        let fields: Vec<_> = line.split_whitespace().collect();
        let range = |field: &&str| {
            let (first, last) = field.split_once('-').unwrap_or((field, field));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Some(Myself {
            replicates: Some(fields[3]).filter(|&id| id != "-").map(str::to_owned),
            epoch: fields[6].parse().ok()?,
            // Slots that are being moved are listed once more, in brackets.
            slots: fields[8..].iter().filter_map(range).collect(),
        })
    }
}
