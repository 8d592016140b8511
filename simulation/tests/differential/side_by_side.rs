//! The same commands to both servers, and what they send.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leaselock_simulation::server::{ConnId, Micros, Server};

use crate::generator::{CONNECTIONS, OWNERS, Sequence, Step, Word};
use crate::real::{Line, Real};
use crate::scripts::{RELEASE, RENEW, WAIT};

/// A sequence that shows a difference, and in which time may be to blame, is tried so often.
const TRIES: u32 = 25;
/// A command begins within this part of a millisecond, so that it is answered before the next.
const BEGINNING: Micros = 400;

/// What differed, after all that led there.
pub(crate) struct Difference {
    pub(crate) text: String,
    /// A command took until another millisecond, or keys ran out by themselves.
    is_doubtful: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Has both carry out a sequence.
pub(crate) fn compare(real: &mut Real, sequence: &Sequence) -> Result<(), Difference> {
    let mut tries = 1;
    loop {
        match Pair::new(real, sequence).run(sequence, &mut real.steps) {
            Err(difference) if difference.is_doubtful => {
                if tries == TRIES {
                    real.set_aside += 1;
                    return Ok(());
                }
                tries += 1;
                real.retries += 1;
            }
            result => return result,
        }
    }
}

/// What this machine's clock shows.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Micros::try_from(since.expect("after 1970").as_micros()).expect("not that late")
}

/// Both servers, and what is connected to them.
pub(crate) struct Pair {
    small: Server,
    connections: Vec<(ConnId, Line)>,
    /// Where each owner was told that it is in the queue: by the small one, by the real one.
    places: [[Option<u64>; 2]; OWNERS],
    begun: Micros,
    log: String,
    /// What a real server was made something by, and is as long as that is connected.
    admin: Option<Line>,
    is_doubtful: bool,
}

impl Pair {
    pub(crate) fn new(real: &Real, sequence: &Sequence) -> Self {
        let mut small = Server::new(real.config.clone());
        let mut pair = Vec::new();
        for _ in 0..CONNECTIONS {
            pair.push((small.connect(), real.connect()));
        }
        let mut new = Self {
            small,
            connections: pair,
            places: [[None; 2]; OWNERS],
            begun: now(),
            log: String::new(),
            admin: None,
            is_doubtful: sequence.may_show_removals(),
        };
        new.begin(sequence);
        new
    }

    /// Empties the real one, and greets both: HELLO tells numbers of connections, which differ.
    fn begin(&mut self, sequence: &Sequence) {
        for (index, three) in sequence.resp3.iter().enumerate() {
            let (id, line) = &mut self.connections[index];
            let version: &[u8] = if *three { b"3" } else { b"2" };
            let hello = encoded(&[b"HELLO".to_vec(), version.to_vec()]);
            self.small.feed(*id, &hello, now());
            self.small.output(*id);
            line.send(&hello);
            let marker = encoded(&[b"ECHO".to_vec(), b"greeted".to_vec()]);
            line.send(&marker);
            let mut told = Vec::new();
            while !told.ends_with(b"$7\r\ngreeted\r\n") {
                let byte = line.read(1);
                assert!(!byte.is_empty(), "a greeting is answered");
                told.extend_from_slice(&byte);
            }
        }
    }

    fn run(mut self, sequence: &Sequence, steps: &mut u64) -> Result<(), Difference> {
        self.load(steps)?;
        self.play(&sequence.steps, steps)
    }

    /// Empties both, and has them know the scripts: those that are known already are not compiled anew, which would take long.
    fn load(&mut self, steps: &mut u64) -> Result<(), Difference> {
        self.each(&[Step::plain(0, &["FLUSHALL"])], steps)?;
        for script in [&WAIT, &RELEASE, &RENEW] {
            self.each(&[Step::plain(0, &["SCRIPT", "LOAD", &script.text])], steps)?;
        }
        Ok(())
    }

    /// The same, with both made to be something by commands and by a function.
    pub(crate) fn prepared(
        mut self,
        admin: &[&str],
        real: &Real,
        prepare: impl Fn(&mut Server),
    ) -> Self {
        let loaded = self.load(&mut 0);
        loaded.unwrap_or_else(|difference| panic!("{difference}"));
        let mut line = real.connect();
        for command in admin {
            if *command == "folder gone" {
                real.lose_folder();
                continue;
            }
            let words = command
                .split(' ')
                .map(|word| word.replace('~', " ").into_bytes());
            line.send(&encoded(&words.collect::<Vec<_>>()));
            // Some begin something that takes a moment.
            std::thread::sleep(Duration::from_millis(100));
            let told = line.rest();
            assert!(
                !told.starts_with(b"-"),
                "{command}: {}",
                told.escape_ascii()
            );
        }
        self.admin = Some(line);
        prepare(&mut self.small);
        self
    }

    /// Has both carry out these.
    pub(crate) fn play(mut self, all: &[Step], steps: &mut u64) -> Result<(), Difference> {
        self.each(all, steps)?;
        // Whatever came that should not have shows here.
        let ends = (0..CONNECTIONS).map(|index| Step::plain(index, &["PING", "end"]));
        self.each(&ends.collect::<Vec<_>>(), steps)
    }

    fn each(&mut self, all: &[Step], steps: &mut u64) -> Result<(), Difference> {
        for step in all {
            *steps += 1;
            self.step(step).map_err(|text| Difference {
                text,
                is_doubtful: self.is_doubtful,
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if step.pause > 0 {
            std::thread::sleep(Duration::from_millis(step.pause));
        }
        let requests = [0, 1].map(|side| {
            let place = |owner: usize| self.places[owner][side];
            let mut bytes = Vec::new();
            for command in &step.commands {
                let words: Vec<Vec<u8>> = command.iter().map(|it| it.text(place)).collect();
                bytes.extend(encoded(&words));
            }
            bytes
        });
        let _ = writeln!(self.log, "{step:?}");
        let mut before = now();
        while before % 1000 > BEGINNING {
            std::hint::spin_loop();
            before = now();
        }
        let (id, line) = &mut self.connections[step.connection];
        self.small.feed(*id, &requests[0], before);
        line.send(&requests[1]);
        for index in 0..CONNECTIONS {
            let (id, line) = &mut self.connections[index];
            let expected = self.small.output(*id);
            let mut got = line.read(expected.len());
            let is_same = timeless(&expected, self.begun) == timeless(&got, self.begun);
            if index == step.connection && now() / 1000 != before / 1000 {
                self.is_doubtful = true;
            }
            if !is_same {
                got.extend(line.rest());
                return Err(self.difference(index, &expected, &got));
            }
            if index == step.connection
                && let Some(owner) = step.waits
            {
                self.places[owner] = [place(&expected), place(&got)];
            }
        }
        Ok(())
    }

    fn difference(&self, index: usize, small: &[u8], real: &[u8]) -> String {
        format!(
            "\n{}on connection {index} the small one said\n  {}\nand the real one\n  {}\n",
            self.log,
            small.escape_ascii(),
            real.escape_ascii()
        )
    }
}

pub(crate) fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The place in the queue that a wait answered.
fn place(reply: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(reply.strip_prefix(b"*7\r\n:0\r\n")?).ok()?;
    let place = text.split("\r\n").nth(1)?.strip_prefix(':')?;
    place.parse().ok().filter(|place| *place > 0)
}

/// What was sent, without the microseconds of the time since `begun`.
fn timeless(sent: &[u8], begun: Micros) -> Vec<u8> {
    const MINUTE: Micros = 60_000_000;
    let mut shown = Vec::with_capacity(sent.len());
    let mut rest = sent;
    while let Some(first) = rest.first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            shown.push(*first);
            rest = &rest[1..];
            continue;
        }
        let (number, others) = rest.split_at(digits);
        let text = std::str::from_utf8(number).unwrap_or_default();
        let is_time = text
            .parse()
            .is_ok_and(|number: Micros| (begun..begun + MINUTE).contains(&number));
        shown.extend_from_slice(if is_time { b"<time>" } else { number });
        rest = others;
    }
    shown
}

impl Sequence {
    /// Whether keys end in it, and it may show when the real server removes one by itself.
    fn may_show_removals(&self) -> bool {
        let mut words = self
            .steps
            .iter()
            .flat_map(|step| step.commands.iter().flatten());
        let shows = |word: &Word| matches!(word, Word::Text(text) if matches!(text.as_str(), "TRACKING" | "WATCH" | "DBSIZE"));
        self.steps.iter().any(|step| step.pause > 0) && words.any(shows)
    }
}

impl Word {
    fn text(&self, place: impl Fn(usize) -> Option<u64>) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Place(owner) => place(*owner).map_or_else(Vec::new, |it| it.to_string().into()),
        }
    }
}
