//! A TCP proxy that misbehaves as it is told: a line of its standard input is a command, and each is answered by a line.
//!
//! ```text
//! open NAME             listens on a free port of 127.0.0.1: "PORT"
//! NAME to PORT          new connections go to that port of 127.0.0.1
//! NAME hold WAY         bytes wait until `pass`; connections stay open: a black hole where WAY is `both`
//! NAME drop WAY         bytes are thrown away until `pass`, which then cuts the connections that lost any
//! NAME lose WAY         throws the next bytes away and cuts their connection, as one that breaks in that instant
//! NAME delay WAY MS     bytes arrive that late
//! NAME answer FILE      whatever the server says, clients hear what is in the file, until `pass`, which then cuts
//! NAME deafen           what is published does not arrive, all else does
//! NAME forget           the connections that there are carry nothing any more, not even an end; new ones work
//! NAME half-open        the servers' ends are closed, the clients' stay open and carry nothing
//! NAME cut              closes all connections
//! NAME reset            the same, by RST
//! NAME refuse           closes each new connection at once
//! NAME pass             lets everything through again, first of all what waits
//! NAME count            how many connections it has taken, and how many chunks it held, dropped or lost: "TAKEN TOUCHED"
//! front NAME PORT       listens for TLS on a free port, and passes on to that port of 127.0.0.1: "PORT"
//! NAME show FILE        from now on it has the certificate FILE.crt and the key FILE.key; all connections are closed
//! NAME plain            how many connections did not begin with TLS: "PLAIN"
//! ```
//!
//! WAY is `to-server`, `to-client` or `both`. What has no answer here is answered by `ok`. The end of its input ends it.

mod front;
mod listener;
mod published;

use std::collections::HashMap;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use front::Front;
use listener::Listener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut listeners: HashMap<String, Listener> = HashMap::new();
    let mut fronts: HashMap<String, Front> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["open", name] => {
                let (listener, port) = Listener::open().await?;
                listeners.insert(name.to_owned(), listener);
                port.to_string()
            }
            ["front", name, port] => {
                let (front, port) = Front::open(port.parse().unwrap_or_default()).await?;
                fronts.insert(name.to_owned(), front);
                port.to_string()
            }
            [name, ref command @ ..] => match (listeners.get(name), fronts.get(name)) {
                (Some(listener), _) => listener.obey(command),
                (_, Some(front)) => front.obey(command),
                _ => format!("error: there is no {name}"),
            },
            [] => "error: an empty line".to_owned(),
        };
        println!("{answer}");
    }
    Ok(())
}
