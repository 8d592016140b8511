//! Servers that send without end.

use std::io::{self, Read};
use std::time::Duration;

use super::{Arrivals, Conn, Health, Progress};

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
