//! Answers of sentinels as they come, in either protocol.

use super::*;
use crate::access::ServerAccess;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn list(words: &[&str]) -> Value {
    Value::Array(words.iter().map(|word| bulk(word)).collect())
}

fn map(words: &[&str]) -> Value {
    let pairs = words.chunks_exact(2);
    Value::Map(pairs.map(|pair| (bulk(pair[0]), bulk(pair[1]))).collect())
}

fn config() -> Config {
    let address_map = vec![("10.0.0.2:6379".to_owned(), "localhost:7002".to_owned())];
    let access = ServerAccess {
        address_map,
        ..ServerAccess::default()
    };
    Config::parse("redis+sentinel://s/mymaster", access).expect("a URL")
}

fn place(named: &[&str], master: Value) -> Whereabouts {
    let replies = [list(named), master, Value::Array(Vec::new())];
    let asked = Address::announced("s", 26_379);
    match read(&replies, &asked, &config()) {
        Ok(Heard::Said(said)) => said.place,
        _ => panic!("it says where the master is"),
    }
}

#[test]
fn a_sentinel_past_promotion_is_newer_than_those_of_its_epoch_and_older_than_the_next() {
    let master = |epoch, port| map(&["ip", "10.0.0.1", "port", port, "config-epoch", epoch]);
    let before = place(&["10.0.0.1", "6379"], master("1", "6379"));
    let leading = place(&["10.0.0.2", "6379"], master("2", "6379"));
    let after = place(&["10.0.0.1", "7"], master("2", "7"));
    let next = place(&["10.0.0.1", "8"], master("3", "8"));
    assert!(leading.is_after(&before) && !before.is_after(&leading));
    assert!(after.is_after(&before) && leading.is_after(&after));
    assert!(next.is_after(&leading) && next.is_after(&after));
    assert!(!next.is_after(&next));
    assert_eq!(leading.announced, Address::announced("10.0.0.2", 6379));
    assert_eq!(*leading.reached, Address::announced("localhost", 7002));
}

#[test]
fn lists_and_maps_are_read_and_other_sentinels_are_reached_by_the_map() {
    let master = list(&["ip", "fd00::7", "port", "6379", "config-epoch", "4"]);
    let others = Value::Array(vec![
        list(&["ip", "10.0.0.2", "port", "6379"]),
        map(&["ip", "host", "port", "26379"]),
        list(&["ip", "10.0.0.9"]),
    ]);
    let replies = [list(&["fd00::7", "6379"]), master, others];
    let asked = Address::announced("s", 26_379);
    let Ok(Heard::Said(said)) = read(&replies, &asked, &config()) else {
        panic!("it says where the master is");
    };
    assert_eq!(said.place.rank(), (4, false));
    let (mapped, plain) = (("localhost", 7002), ("host", 26_379));
    let others = [mapped, plain].map(|(host, port)| Address::announced(host, port));
    assert_eq!(said.others, others);
}

#[test]
fn an_unknown_service_and_a_missing_right_are_told_apart() {
    let asked = Address::announced("s", 26_379);
    let unknown = [Value::Nil, Value::Nil, Value::Nil];
    assert!(matches!(
        read(&unknown, &asked, &config()),
        Ok(Heard::Unknown)
    ));
    let short = [Value::Nil];
    let failure = read(&short, &asked, &config()).err().expect("no sense");
    assert!(!failure.is_temporary());
}
