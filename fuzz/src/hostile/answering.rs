//! What a hostile server says to each command.

use super::MOST_COMMANDS;

/// The time of the server, in µs since 1970, and the first token that it gives.
const NOW: u64 = 1_790_000_000_000_000;

/// The bytes of an input, one decision each, over and over.
pub(super) struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let bytes = if bytes.is_empty() {
            vec![0]
        } else {
            bytes.to_vec()
        };
        Self { bytes, at: 0 }
    }

    pub(super) fn next(&mut self) -> u8 {
        let byte = self.bytes[self.at % self.bytes.len()];
        self.at += 1;
        byte
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[usize::from(self.next()) % all.len()]
    }
}

/// What is sent for a command.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// In units of the shortest.
    pub(super) delay: u32,
    pub(super) closes: bool,
    pub(super) endless: Option<Vec<u8>>,
}

/// The server.
pub(super) struct Answering {
    choices: Choices,
    /// The greeting is as it should be.
    greets: bool,
    is_in_transaction: bool,
    token: u64,
    /// Who has asked for what: lock, owner, and the channel to tell them by.
    asker: Option<(String, String)>,
    inbox: String,
    commands: u64,
    /// What was asked for when that was more than comes to an end.
    pub(super) too_much: Option<String>,
    /// How many answers were not as they should be.
    pub(super) hostile: u64,
}

const ERRORS: &[&str] = &[
    "-NOSCRIPT No matching script.",
    "-LOADING Redis is loading the dataset in memory",
    "-READONLY You can't write against a read only replica.",
    "-BUSY Redis is busy running a script.",
    "-MOVED 3999 192.0.2.9:7001",
    "-MOVED 99999 nowhere",
    "-ASK 3999 192.0.2.9:7001",
    "-TRYAGAIN",
    "-CLUSTERDOWN The cluster is down",
    "-NOAUTH Authentication required.",
    "-OOM command not allowed",
    "-WRONGTYPE Operation against a key holding the wrong kind of value",
    "-EXECABORT Transaction discarded because of previous errors.",
    "-NOREPLICAS Not enough good replicas to write.",
    "-ERR unknown command",
    "-",
    "-\u{1b}[31m",
];

const ATOMS: &[&str] = &[
    ":0",
    ":1",
    ":-1",
    ":-2",
    ":2",
    ":3",
    ":9223372036854775807",
    ":-9223372036854775808",
    "$-1",
    "_",
    "+OK",
    "+QUEUED",
    "$0\r\n",
    "$1\r\n1",
    "$8\r\n||shared",
    "$20\r\n18446744073709551615",
    "$5\r\n\u{1}\u{2}\u{3}\u{4}\u{5}",
    "*0",
    "*-1",
    "%0",
    ",1e308",
    ",-inf",
    ",nan",
    ",1790000099999",
    ":1790000000000001",
];

/// What asks to be asked again.
const AGAIN: &[&str] = &[
    "*1\r\n:2\r\n",
    "*2\r\n:1\r\n:1\r\n",
    "*2\r\n:0\r\n:1\r\n",
    "*2\r\n$1\r\n7\r\n*0\r\n",
    "*2\r\n$1\r\n7\r\n*1\r\n$15\r\nlock||fuzz||res\r\n",
    "*7\r\n:0\r\n:-1\r\n:5\r\n:1\r\n:3\r\n:0\r\n:1\r\n",
    "-NOSCRIPT No matching script.\r\n",
    "*7\r\n:0\r\n:0\r\n:5\r\n:3\r\n:3\r\n:0\r\n:0\r\n",
];

const GARBAGE: &[&str] = &[
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "\r\n",
    "$99999999999999999999999\r\n",
    "$-5\r\n",
    "*1000000000\r\n",
    "$1000\r\nshort",
    "*3\r\n:1\r\n",
    ">1\r\n",
    ">0\r\n",
    ">-1\r\n",
    "$262144\r\nx",
    "*16384\r\n:1\r\n",
    "?",
    "+a\rb\r\n",
];

impl Answering {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut choices = Choices::new(bytes);
        Self {
            greets: choices.next() < 232,
            choices,
            is_in_transaction: false,
            token: NOW,
            asker: None,
            inbox: "lock||inbox||x".to_owned(),
            commands: 0,
            too_much: None,
            hostile: 0,
        }
    }

    pub(super) fn answer(&mut self, words: &[String]) -> Answer {
        self.commands += 1;
        if self.commands > MOST_COMMANDS {
            self.too_much.get_or_insert_with(|| words.join(" "));
            return Answer::default();
        }
        let proper = self.proper(words);
        let mut answer = Answer {
            bytes: proper,
            delay: 1,
            ..Answer::default()
        };
        let name = words[0].as_str();
        if self.greets && matches!(name, "HELLO" | "CLIENT" | "AUTH") {
            return answer;
        }
        let choice = self.choices.next();
        if choice < 110 {
            return answer;
        }
        self.hostile += 1;
        match choice {
            110..150 => answer.bytes = self.choices.one_of(AGAIN).into(),
            150..160 => answer.bytes = format!("{}\r\n", self.choices.one_of(ERRORS)).into(),
            160..170 => answer.bytes = self.value(3),
            170..176 => answer.bytes = self.choices.one_of(GARBAGE).into(),
            176..186 => {
                let keep = usize::from(self.choices.next()) % answer.bytes.len();
                answer.bytes.truncate(keep);
            }
            186..196 => {
                let at = usize::from(self.choices.next()) % answer.bytes.len();
                answer.bytes[at] ^= 1 << (self.choices.next() % 8);
            }
            196..200 => answer.bytes.clear(),
            200..206 => answer.closes = true,
            206..212 => answer.bytes.extend(self.value(2)),
            212..220 => {
                let push = self.push();
                answer.bytes.splice(0..0, push);
            }
            220..226 => answer.bytes = answer.bytes.repeat(2),
            226..228 => answer.bytes = b"*1\r\n".repeat(2_000),
            228..230 => {
                let length = 1_000 * (1 + usize::from(self.choices.next()));
                answer.bytes = format!("${length}\r\n{}\r\n", "x".repeat(length)).into();
            }
            230..233 => answer.endless = Some(self.push()),
            233..236 => answer.endless = Some(b"+OK\r\n".repeat(200)),
            236..238 => answer.endless = Some(vec![b'x'; 5_000]),
            238..242 => answer.delay = 400,
            _ => {
                let length = usize::from(self.choices.next() % 40);
                answer.bytes = (0..length).map(|_| self.choices.next()).collect();
            }
        }
        answer
    }

    /// Any value, nested so deep at most.
    fn value(&mut self, depth: u8) -> Vec<u8> {
        if depth == 0 || self.choices.next().is_multiple_of(3) {
            return format!("{}\r\n", self.choices.one_of(ATOMS)).into();
        }
        let count = self.choices.next() % 9;
        let kind = self.choices.one_of(&["*", "*", "*", "%", ">"]);
        let mut bytes = format!("{kind}{count}\r\n").into_bytes();
        for _ in 0..count * if kind == "%" { 2 } else { 1 } {
            bytes.extend(self.value(depth - 1));
        }
        bytes
    }

    /// A message that nobody asked for.
    fn push(&mut self) -> Vec<u8> {
        let (lock, owner) = self.asker.clone().unwrap_or_default();
        let inbox = self.inbox.clone();
        self.token += 1;
        let payload = match self.choices.next() % 8 {
            0 => format!("1\ngrant\n{lock}\n{owner}\n{}\n2000", self.token),
            1 => format!("1\ngrant\n{lock}\n{owner}\n1\n-1"),
            2 => format!("1\ngrant\n{lock}\n{owner}\n{}\n{}", u64::MAX, i64::MAX),
            3 => format!("1\nnext\n{lock}\n{owner}\n0"),
            4 => format!("1\nnext\n{lock}\n{owner}\n{}", i64::MAX),
            5 => format!("2\ngrant\n{lock}\n{owner}"),
            6 => "1\ngrant\n\n\n".to_owned(),
            _ => "\n".repeat(200),
        };
        match self.choices.next() % 6 {
            0 => array('>', &["invalidate"], "_\r\n"),
            1 => array('>', &["invalidate"], &format!("*1\r\n{}", bulk(&lock))),
            2 => array('>', &["sunsubscribe", &inbox], ":0\r\n"),
            3 => array('>', &["subscribe", &inbox], ":1\r\n"),
            _ => array('>', &["message", &inbox, &payload], ""),
        }
    }

    /// What a server could say.
    fn proper(&mut self, words: &[String]) -> Vec<u8> {
        let second = words.get(1).map_or("", String::as_str);
        let name = words[0].as_str();
        if self.is_in_transaction && name != "EXEC" {
            return b"+QUEUED\r\n".to_vec();
        }
        self.token += 1;
        let token = self.token;
        let text = match name {
            "HELLO" => "%2\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".to_owned(),
            "MULTI" => {
                self.is_in_transaction = true;
                "+OK\r\n".to_owned()
            }
            "EXEC" => {
                self.is_in_transaction = false;
                match self.choices.next() % 4 {
                    0 => "*2\r\n_\r\n:5\r\n".to_owned(),
                    1 => "*2\r\n+OK\r\n:5\r\n".to_owned(),
                    _ => format!("*2\r\n+OK\r\n:{token}\r\n"),
                }
            }
            "EVALSHA" | "EVAL" => return self.script(words),
            "GET" => match self.choices.next() % 4 {
                0 => "_\r\n".to_owned(),
                1 => bulk("owner"),
                _ => bulk("||shared"),
            },
            "PTTL" => ":900\r\n".to_owned(),
            "ZCARD" | "WAIT" => format!(":{}\r\n", self.choices.next() % 4),
            "EXISTS" => format!(":{}\r\n", self.choices.next() % 2),
            "TIME" => return array('*', &[&(NOW / 1_000_000).to_string(), "17"], ""),
            "ZRANGE" if words.len() > 4 => {
                format!("*1\r\n*2\r\n{},{}\r\n", bulk("owner"), NOW / 1_000 + 5_000)
            }
            "ZRANGE" => {
                let count = if self.choices.next().is_multiple_of(4) {
                    1_000
                } else {
                    1
                };
                return array('*', &["owner"; 1_000][..count], "");
            }
            "SCAN" => format!("*2\r\n{}*1\r\n{}", bulk("0"), bulk("lock||fuzz||res")),
            "SUBSCRIBE" | "SSUBSCRIBE" => {
                second.clone_into(&mut self.inbox);
                let mut bytes = Vec::new();
                for (at, channel) in words[1..].iter().enumerate() {
                    let kind = if name == "SUBSCRIBE" {
                        "subscribe"
                    } else {
                        "ssubscribe"
                    };
                    bytes.extend(array('>', &[kind, channel], &format!(":{}\r\n", at + 1)));
                }
                return bytes;
            }
            "CLUSTER" => {
                let node = format!("*2\r\n{}:7000\r\n", bulk("192.0.2.1"));
                format!("*1\r\n*3\r\n:0\r\n:16383\r\n{node}")
            }
            "SENTINEL" => return sentinel(second),
            _ => "+OK\r\n".to_owned(),
        };
        text.into_bytes()
    }

    /// What a script could say, told apart by the number of its arguments.
    fn script(&mut self, words: &[String]) -> Vec<u8> {
        let keys: usize = words.get(2).and_then(|keys| keys.parse().ok()).unwrap_or(0);
        let further = words.len().saturating_sub(3 + keys);
        let token = self.token;
        if keys == 3 && further >= 6 {
            if let (Some(lock), Some(owner)) = (words.get(3), words.get(3 + keys)) {
                self.asker = Some((lock.clone(), owner.clone()));
            }
            return match self.choices.next() % 3 {
                0 => format!(
                    "*7\r\n:0\r\n:900\r\n:{token}\r\n:1\r\n:2\r\n:{}\r\n:0\r\n",
                    token - 9
                ),
                1 => format!("*7\r\n:0\r\n:50\r\n:{token}\r\n:3\r\n:1\r\n:{token}\r\n:1\r\n"),
                _ => format!("*3\r\n:1\r\n:{token}\r\n:0\r\n"),
            }
            .into_bytes();
        }
        if keys == 3 {
            return b"*2\r\n:1\r\n:0\r\n".to_vec();
        }
        format!(
            ":{}\r\n",
            self.choices.one_of(&["1", "1", "1", "2", "0", "-1"])
        )
        .into_bytes()
    }
}

fn sentinel(word: &str) -> Vec<u8> {
    let fields = ["ip", "192.0.2.1", "port", "6379", "config-epoch", "3"];
    match word {
        "GET-MASTER-ADDR-BY-NAME" => array('*', &["192.0.2.1", "6379"], ""),
        "MASTER" => array('*', &fields, ""),
        "SENTINELS" => [b"*1\r\n".to_vec(), array('*', &fields, "")].concat(),
        _ => b"+OK\r\n".to_vec(),
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// A list of texts, with one thing behind them where there is one.
fn array(kind: char, texts: &[&str], last: &str) -> Vec<u8> {
    let count = texts.len() + usize::from(!last.is_empty());
    let items: String = texts.iter().map(|text| bulk(text)).collect();
    format!("{kind}{count}\r\n{items}{last}").into_bytes()
}

/// Takes a whole command off what was sent.
pub(super) fn command(asked: &mut Vec<u8>) -> Option<Vec<String>> {
    let mut at = 0;
    let line = |from: &mut usize| {
        let rest = asked.get(*from..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let text = String::from_utf8_lossy(&rest[1..end]).into_owned();
        *from += end + 2;
        Some(text)
    };
    let count: usize = line(&mut at)?.parse().ok()?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let length: usize = line(&mut at)?.parse().ok()?;
        let word = asked.get(at..at + length)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at += length + 2;
    }
    asked.drain(..at);
    Some(words)
}
