//! What a client sends, command by command. Whoever uses exclusive locks alone sends the same whatever else there is.

use std::collections::HashMap;
use std::fmt::Write as _;

use leaselock::{Client, Lease};

use crate::common::proxy::Proxy;
use crate::common::{Server, binaries, ms};
use crate::{client_at, queued, sleep};

/// What was sent, as text.
#[derive(Default)]
struct Told {
    text: String,
    /// Owners and ids, which are made up anew each time, by their numbers in the order in which they appear.
    ids: HashMap<String, usize>,
}

impl Told {
    /// The commands that were sent meanwhile, under a headline.
    fn add(&mut self, what: &str, sent: &[u8]) {
        let _ = writeln!(self.text, "# {what}");
        let mut at = 0;
        while at < sent.len() {
            let words = number(sent, &mut at, b'*');
            let mut is_script = false;
            for word in 0..words {
                let length = number(sent, &mut at, b'$');
                let text = String::from_utf8_lossy(&sent[at..at + length]);
                at += length + 2;
                let shown = match (is_script, text.len()) {
                    (true, 40) => "<hash>".to_owned(),
                    (true, _) => "<text>".to_owned(),
                    (false, _) => self.anonymous(&text),
                };
                is_script = word == 0 && text.starts_with("EVAL");
                let _ = write!(self.text, "{}{shown:?}", if word == 0 { "" } else { " " });
            }
            self.text.push('\n');
        }
    }

    /// `text` with numbers for owners and ids, and without times.
    fn anonymous(&mut self, text: &str) -> String {
        if text == env!("CARGO_PKG_VERSION") {
            return "<version>".to_owned();
        }
        let mut shown = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let hex = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
            let (digits, others) = rest.split_at(hex);
            if hex == 32 {
                let next = self.ids.len();
                let id = self.ids.entry(digits.to_owned()).or_insert(next);
                let _ = write!(shown, "<id {id}>");
            } else if hex > 14 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                shown.push_str("<time>");
            } else if hex > 0 {
                shown.push_str(digits);
            } else {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            rest = others;
        }
        shown
    }
}

/// The number in a line that begins with `kind`.
fn number(sent: &[u8], at: &mut usize, kind: u8) -> usize {
    let line = &sent[*at..];
    assert_eq!(line[0], kind, "{}", String::from_utf8_lossy(line));
    let end = line.iter().position(|byte| *byte == b'\r');
    let end = end.expect("a whole line");
    *at += end + 2;
    let digits = std::str::from_utf8(&line[1..end]).expect("digits");
    digits.parse().expect("a number")
}

async fn acquire(client: &Client) -> Lease {
    let acquire = client.acquire("job").ttl(ms(3_000)).wait(ms(5_000));
    acquire.await.expect("acquired")
}

/// The recording is of a time when there was nothing but exclusive locks.
#[tokio::test]
async fn exclusive_locks_send_what_they_always_have() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let sent = proxy.to_server();
        sent.listen();
        let mut told = Told::default();
        let (client, other) = (client_at(&proxy.url()), client_at(&proxy.url()));

        let lease = acquire(&client).await;
        told.add("the first acquire of a client", &sent.seen());
        lease.release().await.expect("released");
        told.add("the first release", &sent.seen());
        let lease = acquire(&client).await;
        told.add("acquire", &sent.seen());
        lease.extend(Some(ms(6_000))).await.expect("extended");
        told.add("extend", &sent.seen());
        client.inspect("job").await.expect("a look");
        told.add("inspect", &sent.seen());
        let found = other.try_acquire("job").await.expect("an answer");
        assert!(found.is_none(), "it is held");
        told.add("try_acquire of another client, in vain", &sent.seen());
        let waiting = tokio::spawn(async move { (acquire(&other).await, other) });
        queued(&server, "job", 1).await;
        sleep(50).await;
        told.add("it waits", &sent.seen());
        lease.release().await.expect("released");
        let (lease, other) = waiting.await.expect("no panic");
        told.add("the name is handed over", &sent.seen());
        sleep(1_300).await;
        told.add("the first renewal", &sent.seen());
        sleep(1_000).await;
        told.add("a renewal", &sent.seen());
        lease.release().await.expect("released");
        told.add("release", &sent.seen());
        let lease = acquire(&client).await;
        told.add("acquire where somebody waited lately", &sent.seen());
        client.release("job", lease.owner()).await.expect("by hand");
        told.add("release by hand", &sent.seen());
        drop(lease);
        sleep(50).await;
        told.add("a lease that is dropped", &sent.seen());
        let lease = acquire(&client).await;
        sent.seen();
        client.force_release("job").await.expect("by force");
        told.add("release by force", &sent.seen());
        drop((lease, other));

        let expected = include_str!("wire/exclusive.txt");
        assert!(
            told.text == expected,
            "{}: {}\n--- expected ---\n{expected}",
            binary.name,
            told.text
        );
    }
}

/// One script each, and nobody has the keys watched: others change them with each renewal.
#[tokio::test]
async fn shared_locks_send_a_script_each() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let proxy = Proxy::start(server.port).await;
        let sent = proxy.to_server();
        let mut told = Told::default();
        let (client, other) = (client_at(&proxy.url()), client_at(&proxy.url()));
        let reader = || client.acquire("job").shared().ttl(ms(3_000));
        reader()
            .await
            .expect("acquired")
            .release()
            .await
            .expect("released");
        sent.listen();

        let lease = reader().await.expect("acquired");
        told.add("acquire", &sent.seen());
        sleep(1_300).await;
        told.add("the first renewal", &sent.seen());
        sleep(1_000).await;
        told.add("a renewal", &sent.seen());
        lease.extend(Some(ms(6_000))).await.expect("extended");
        told.add("extend", &sent.seen());
        let permit = other.acquire("job").permits(3).await.expect("acquired");
        sent.seen();
        client.inspect("job").await.expect("a look");
        told.add("inspect", &sent.seen());
        permit.release().await.expect("released");
        sent.seen();
        lease.release().await.expect("released");
        told.add("release", &sent.seen());
        let leases = [
            reader().await.expect("acquired"),
            reader().await.expect("acquired"),
        ];
        sent.seen();
        client.force_release("job").await.expect("by force");
        told.add("release by force", &sent.seen());
        drop(leases);

        let expected = include_str!("wire/shared.txt");
        assert!(
            told.text == expected,
            "{}: {}\n--- expected ---\n{expected}",
            binary.name,
            told.text
        );
    }
}
