//! Replies whole, in pieces, hostile.

use proptest::prelude::*;
use redis::Value;

use super::{Garbage, Incoming, Replies};

/// Feeds `bytes` in pieces of `size`, and reads all that is there after each.
fn read(bytes: &[u8], size: usize) -> Result<Vec<Value>, Garbage> {
    let mut replies = Replies::new();
    let mut values = Vec::new();
    for piece in bytes.chunks(size) {
        replies.feed(piece);
        while let Some(incoming) = replies.next()? {
            values.push(match incoming {
                Incoming::Reply(value) => value,
                Incoming::Push(items) => Value::Set(items),
            });
        }
    }
    Ok(values)
}

#[test]
fn replies_arrive_in_any_pieces() {
    let bytes = b"+OK\r\n+QUEUED\r\n*2\r\n$-1\r\n:1700000000000001\r\n$5\r\na\r\nbc\r\n*-1\r\n-NOSCRIPT No matching script.\r\n:-1\r\n";
    for size in 1..bytes.len() {
        let values = read(bytes, size).unwrap();
        assert_eq!(values.len(), 7, "pieces of {size}");
        assert_eq!(
            values[2],
            Value::Array(vec![Value::Nil, Value::Int(1_700_000_000_000_001)])
        );
        assert_eq!(values[3], Value::BulkString(b"a\r\nbc".to_vec()));
        assert!(matches!(&values[5], Value::ServerError(error) if error.code() == "NOSCRIPT"));
    }
}

#[test]
fn messages_maps_and_nulls_of_resp3_are_read() {
    let bytes = b",1732659911123\r\n>3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n_\r\n=6\r\ntxt:ab\r\n";
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    for size in 1..bytes.len() {
        let values = read(bytes, size).unwrap();
        assert_eq!(
            values,
            [
                Value::Double(1_732_659_911_123.0),
                // How this test shows a pushed message.
                Value::Set(vec![text("message"), text("x"), text("y")]),
                Value::Map(vec![
                    (text("role"), text("master")),
                    (text("modules"), Value::Array(Vec::new())),
                ]),
                Value::Nil,
                text("ab"),
            ],
            "pieces of {size}"
        );
    }
}

#[test]
fn what_no_lock_answers_is_refused() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"$999999999\r\n",
        b"$-2\r\n",
        b"*1000000\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        b":one\r\n",
        b"+a\rb",
        b"$1\r\nabc",
        b"\r\n",
        &vec![b'+'; 70_000],
    ] {
        assert!(
            read(bytes, 4096).is_err(),
            "{:?}",
            &bytes[..bytes.len().min(20)]
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_values_or_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..2000), size in 1..64usize) {
        let _ = read(&bytes, size);
    }

    #[test]
    fn a_stream_is_read_the_same_in_one_piece_and_in_many(numbers in proptest::collection::vec(any::<i64>(), 1..200), size in 1..64usize) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| format!(":{number}\r\n").into_bytes()).collect();
        let expected: Vec<Value> = numbers.into_iter().map(Value::Int).collect();
        prop_assert_eq!(read(&bytes, size).unwrap(), expected);
    }
}
