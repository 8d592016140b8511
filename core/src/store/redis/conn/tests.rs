//! Servers that send without end, and replies that wait for replicas.

use std::io::{self, Read};
use std::time::Duration;

use redis::Value;

use super::{Arrivals, Confirming, Conn, Health, Progress};

/// There is always more to read.
struct Endless {
    message: &'static [u8],
    reads: usize,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        assert!(self.reads < 1_000, "it reads for ever");
        for byte in &mut *space {
            *byte = self.message[self.at % self.message.len()];
            self.at += 1;
        }
        Ok(space.len())
    }
}

#[test]
fn messages_without_end_are_given_up_now_and_then() {
    let mut conn: Conn<()> = Conn::new(None, Health::new(Duration::from_secs(5)));
    conn.begin((), None, |(), out| out.words(&["PING"]));
    let mut socket = Endless {
        message: b">1\r\n_\r\n",
        reads: 0,
        at: 0,
    };
    let mut arrived = Arrivals::default();
    for _ in 0..3 {
        let before = socket.reads;
        let progress = conn.read(&mut socket, &mut arrived).expect("messages");
        assert_eq!(progress, Progress::More);
        assert!(socket.reads - before < 100, "{} reads", socket.reads);
        assert!(!arrived.pushes.is_empty() && arrived.answers.is_empty());
        arrived.pushes.clear();
    }
}

/// A socket that has what it is given to be read.
#[derive(Default)]
struct Socket {
    incoming: Vec<u8>,
    written: Vec<u8>,
}

impl Read for Socket {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.incoming.len().min(space.len());
        space[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl io::Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// The commands that were written since the last look, each as its first word.
    fn commands(&mut self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut self.written)).expect("text");
        let words: Vec<&str> = text.split("\r\n").collect();
        let begins = words.windows(3).filter(|words| words[0].starts_with('*'));
        begins.map(|words| words[2].to_owned()).collect()
    }
}

/// What is answered when `incoming` arrives: each waiter with its replies.
fn answered(
    conn: &mut Conn<&'static str>,
    socket: &mut Socket,
    incoming: &str,
) -> Vec<(&'static str, Vec<Value>)> {
    socket.incoming.extend_from_slice(incoming.as_bytes());
    let mut arrived = Arrivals::default();
    conn.read(socket, &mut arrived).expect("replies");
    let answers = arrived.answers.into_iter();
    answers.map(|it| (it.waiter, it.replies)).collect()
}

#[test]
fn what_is_to_be_confirmed_is_answered_with_one_wait() {
    let second = Duration::from_secs(1);
    let confirming = Confirming::of_leases(1, 30 * second, second);
    let mut conn = Conn::new(None, Health::new(5 * second));
    let mut socket = Socket::default();
    let begin = |conn: &mut Conn<_>, waiter, confirming| {
        conn.begin_confirmed(waiter, None, confirming, |_, out| out.words(&["SET"]));
    };
    begin(&mut conn, "first", confirming);
    begin(&mut conn, "second", confirming);
    begin(&mut conn, "plain", None);
    conn.flush(&mut socket).expect("written");
    assert_eq!(socket.commands(), ["SET", "SET", "SET", "WAIT"]);
    // While the server waits, no other WAIT is written.
    begin(&mut conn, "third", confirming);
    conn.flush(&mut socket).expect("written");
    assert_eq!(socket.commands(), ["SET"]);
    assert!(!conn.wants_write());

    let count = |count| Value::Int(count);
    let answers = answered(&mut conn, &mut socket, ":1\r\n:2\r\n:3\r\n");
    assert_eq!(answers, [("plain", vec![count(3)])]);
    // The last two are the counts of replicas that the others waited for, and the reply to the third.
    let answers = answered(&mut conn, &mut socket, ":7\r\n:4\r\n");
    let (first, second) = (vec![count(1), count(7)], vec![count(2), count(7)]);
    assert_eq!(answers, [("first", first), ("second", second)]);
    assert!(conn.wants_write() && !conn.is_idle());
    conn.flush(&mut socket).expect("written");
    assert_eq!(socket.commands(), ["WAIT"]);
    let answers = answered(&mut conn, &mut socket, ":0\r\n");
    assert_eq!(answers, [("third", vec![count(4), count(0)])]);
    assert!(conn.is_idle() && !conn.wants_write());
}

#[test]
fn a_server_that_waits_for_replicas_is_not_suspect() {
    let second = Duration::from_secs(1);
    let confirming = Confirming::of_leases(1, 30 * second, second);
    let mut conn = Conn::new(None, Health::new(second));
    let mut socket = Socket::default();
    let pack = |_: &_, out: &mut super::Packed| out.words(&["SET"]);
    conn.begin_confirmed("first", None, confirming, pack);
    conn.flush(&mut socket).expect("written");
    conn.begin("behind", None, pack);
    let now = crate::clock::Moment::now();
    let overdue = |conn: &mut Conn<_>, at| conn.overdue(now + at).len();
    assert_eq!(overdue(&mut conn, second), 0);
    assert!(!conn.is_dead(now + second));
    // Behind the half second of the WAIT, each has its own.
    assert_eq!(overdue(&mut conn, second * 13 / 10), 1);
    assert_eq!(overdue(&mut conn, second * 2), 1);
    assert!(conn.is_dead(now + second * 2));
    assert_eq!(conn.abandon().count(), 2);
}
