//! How many commands and scripts a second the small Redis carries out: `cargo run --release -p leaselock-simulation --example
//! server_rates`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use leaselock_simulation::server::{Config, Server};

const FOR: Duration = Duration::from_secs(1);
const NOW: i64 = 1_700_000_000_000_000;

macro_rules! source {
    ($name:literal) => {
        include_str!(concat!(
            "../../core/src/store/redis/scripts/",
            $name,
            ".lua"
        ))
    };
}

fn script(text: &str) -> String {
    text.replace("--@include hand_over.lua", source!("hand_over"))
        .replace("--@include holders.lua", source!("holders"))
        .replace("--@include holder.lua", source!("holder"))
        .replace("--@include token.lua", source!("token"))
}

fn encoded(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

/// Sends these again and again; so many a second.
fn rate(what: &str, server: &mut Server, requests: &[Vec<u8>]) {
    let id = server.connect();
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        for request in requests {
            server.feed(id, request, NOW + i64::from(count));
            let output = server.output(id);
            assert!(!output.starts_with(b"-"), "{}", output.escape_ascii());
            count += 1;
        }
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} a second");
}

fn main() {
    let mut server = Server::new(Config::default());
    let id = server.connect();
    for text in [source!("wait"), source!("release"), source!("renew")] {
        server.feed(id, &encoded(&["SCRIPT", "LOAD", &script(text)]), NOW);
    }
    let output = String::from_utf8(server.output(id)).expect("text");
    let hashes: Vec<&str> = output.lines().filter(|line| line.len() == 40).collect();
    let (lock, queue, fence) = (
        "lock||app||a",
        "{lock||app||a}||||queue",
        "lock||app||||fence",
    );
    let owners = [
        "aaaaaaaaaaaaf0000000000000000001",
        "bbbbbbbbbbbbf0000000000000000002",
    ];
    let inbox = "00000000000000000000000000000001";
    let wait = |owner| {
        encoded(&[
            "EVALSHA", hashes[0], "3", lock, queue, fence, owner, "30000", inbox, "", "1", "",
        ])
    };
    let release = |owner| encoded(&["EVALSHA", hashes[1], "3", lock, queue, fence, owner, inbox]);
    let renew = encoded(&["EVALSHA", hashes[2], "1", lock, owners[0], "30000", ""]);
    let get = encoded(&["GET", "k"]);
    let set = encoded(&["SET", "k", "v", "PX", "30000"]);
    rate("SET and GET", &mut server, &[set, get]);
    rate(
        "wait and release",
        &mut server,
        &[wait(owners[0]), release(owners[0])],
    );
    let listener = server.connect();
    let channel = format!("lock||inbox||{inbox}");
    server.feed(listener, &encoded(&["SUBSCRIBE", &channel]), NOW);
    // The second waits, is granted the name by the release, and gives it back.
    let handed = [
        wait(owners[0]),
        wait(owners[1]),
        release(owners[0]),
        release(owners[1]),
    ];
    let id = server.connect();
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        for request in &handed {
            server.feed(id, request, NOW + i64::from(count));
            server.output(id);
            count += 1;
        }
        server.output(listener);
    }
    println!(
        "wait, wait, release with a grant, release: {:.0} a second",
        f64::from(count) / start.elapsed().as_secs_f64()
    );
    server.feed(id, &wait(owners[0]), NOW);
    rate("renew", &mut server, &[renew]);
    let start = Instant::now();
    let mut made = 0_u32;
    while start.elapsed() < FOR {
        let mut server = Server::new(Config::default());
        let id = server.connect();
        server.feed(id, &encoded(&["PING"]), NOW);
        made += u32::from(!server.output(id).is_empty());
    }
    println!(
        "a new server, a connection and a PING: {:.2} µs",
        start.elapsed().as_secs_f64() * 1e6 / f64::from(made)
    );
}
