//! Random commands, of few keys, members and owners, so that they meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::scripts::{RELEASE, RENEW, Script, WAIT};
use crate::vocabulary::{
    ON_CHANNELS, ON_KEYS, ON_OTHERS, ON_SETS, ON_TEXTS, ON_TRACKING, ON_TRANSACTIONS, SNIPPETS,
    WRONG,
};

/// How many connections there are.
pub(crate) const CONNECTIONS: usize = 3;
/// How many owners ask for locks.
pub(crate) const OWNERS: usize = 4;

/// Two with an id of leaselock's, one with a label, one of another program.
const OWNER_IDS: [&str; OWNERS] = [
    "aaaaaaaaaaaaf0000000000000000001",
    "label:bbbbbbbbbbbbf0000000000000000002",
    "ccccccccccccf0000000000000000003",
    "a program of its own",
];
/// The third listens on a sharded channel.
const INBOXES: [&str; OWNERS] = [
    "00000000000000000000000000000001",
    "00000000000000000000000000000002",
    "s00000000000000000000000000000003",
    "00000000000000000000000000000004",
];
const NAMES: [&str; 2] = ["a", "b"];
const FENCE: &str = "lock||app||||fence";

/// What both servers are told.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// Which connections speak RESP3.
    pub(crate) resp3: [bool; CONNECTIONS],
    pub(crate) steps: Vec<Step>,
}

/// What one connection sends at once.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) connection: usize,
    /// For so many ms nothing is sent before it.
    pub(crate) pause: u64,
    pub(crate) commands: Vec<Vec<Word>>,
    /// It is a wait of this owner.
    pub(crate) waits: Option<usize>,
}

/// A word of a command.
#[derive(Clone)]
pub(crate) enum Word {
    Text(String),
    /// The place that this owner was told, or nothing.
    Place(usize),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.connection)?;
        if self.pause > 0 {
            write!(f, " (after {} ms)", self.pause)?;
        }
        for command in &self.commands {
            for word in command {
                write!(f, " {word:?}")?;
            }
            write!(f, ";")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scripts = [("wait", &WAIT), ("release", &RELEASE), ("renew", &RENEW)];
        match self {
            Self::Place(owner) => write!(f, "<place of {owner}>"),
            Self::Text(text) => {
                for (name, script) in scripts {
                    if *text == script.text {
                        return write!(f, "<{name}.lua>");
                    }
                    if *text == script.hash {
                        return write!(f, "<{name}>");
                    }
                }
                write!(f, "{text:?}")
            }
        }
    }
}

impl Step {
    /// One command.
    pub(crate) fn plain(connection: usize, words: &[&str]) -> Self {
        Self {
            connection,
            pause: 0,
            commands: vec![texts(words)],
            waits: None,
        }
    }
}

fn texts(words: &[&str]) -> Vec<Word> {
    words
        .iter()
        .map(|word| Word::Text((*word).to_owned()))
        .collect()
}

/// All sequences.
pub(crate) fn sequence() -> impl Strategy<Value = Sequence> {
    let times = prop::bool::weighted(0.15);
    let whole = times.prop_flat_map(|has_ends| {
        let pause = if has_ends {
            prop_oneof![4 => Just(0_u64), 1 => 1..4_u64].boxed()
        } else {
            Just(0).boxed()
        };
        let step = (0..CONNECTIONS, pause, request(has_ends));
        let step = step.prop_map(|(connection, pause, (commands, waits))| Step {
            connection,
            pause,
            commands,
            waits,
        });
        (Just(has_ends), vec(step, 1..24))
    });
    let resp3 = prop::array::uniform3(any::<bool>());
    // Ahead of the clock, so that tokens do not depend on it.
    let counted = prop::bool::weighted(0.75);
    let begun = (resp3, counted, whole);
    begun.prop_map(|(resp3, counted, (has_ends, mut steps))| {
        if counted {
            steps.insert(0, Step::plain(0, &["SET", FENCE, "4000000000000000"]));
        }
        // Within a millisecond a key of 1 ms may run out by itself.
        if has_ends {
            steps[0].pause = 1;
        }
        Sequence { resp3, steps }
    })
}

type Request = (Vec<Vec<Word>>, Option<usize>);

/// What is sent at once: a command, several of them, a whole transaction.
fn request(has_ends: bool) -> impl Strategy<Value = Request> {
    let one = command(has_ends).prop_map(|command| (vec![command], None));
    let several = vec(command(has_ends), 2..4).prop_map(|commands| (commands, None));
    let transaction = (
        vec(command(has_ends), 0..4),
        select(vec!["EXEC", "EXEC", "EXEC", "DISCARD"]),
    );
    let transaction = transaction.prop_map(|(commands, end)| {
        let mut all = vec![texts(&["MULTI"])];
        all.extend(commands);
        all.push(texts(&[end]));
        (all, None)
    });
    let watched = (any::<bool>(), script(has_ends)).prop_map(|(is_script, (command, _))| {
        let caching = texts(&["CLIENT", "CACHING", "YES"]);
        let read = if is_script {
            command
        } else {
            texts(&["EXISTS", &lock("a")])
        };
        (vec![caching, read], None)
    });
    prop_oneof![
        10 => one,
        1 => several,
        2 => transaction,
        1 => watched,
        1 => take(has_ends),
        8 => script(has_ends).prop_map(|(command, waits)| (vec![command], waits)),
    ]
}

fn take(has_ends: bool) -> impl Strategy<Value = Request> {
    (select(&NAMES[..]), 0..OWNERS, ttl(has_ends)).prop_map(|(name, owner, ttl)| {
        let set = ["SET", &lock(name), OWNER_IDS[owner], "NX", "PX", ttl];
        let commands = [&["MULTI"][..], &set, &["INCR", FENCE], &["EXEC"]];
        (commands.map(texts).to_vec(), None)
    })
}

fn lock(name: &str) -> String {
    format!("lock||app||{name}")
}

fn ttl(has_ends: bool) -> impl Strategy<Value = &'static str> {
    let long = &["100000", "60000"][..];
    select(if has_ends {
        &["1", "2", "4", "60000"][..]
    } else {
        long
    })
}

/// A script of the core, and whose wait it is.
fn script(has_ends: bool) -> impl Strategy<Value = (Vec<Word>, Option<usize>)> {
    let limit = select(vec!["", "", "0", "2"]);
    let common = (
        select(&NAMES[..]),
        0..OWNERS,
        ttl(has_ends),
        limit,
        prop::bool::weighted(0.7),
    );
    let by_text = prop::bool::weighted(0.7);
    (common, 0..10_u8, any::<[bool; 4]>(), by_text).prop_map(
        |(
            (name, owner, ttl, limit, queues),
            kind,
            [names_place, cuts, by_hand, forces],
            by_text,
        )| {
            let lock = lock(name);
            let keys = [
                lock.clone(),
                format!("{{{lock}}}||||queue"),
                FENCE.to_owned(),
            ];
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let id = OWNER_IDS[owner];
            if kind < 5 {
                let mut words = called(&WAIT, by_text, &keys);
                words.extend(texts(&[id, ttl, INBOXES[owner]]));
                words.push(if names_place {
                    Word::Place(owner)
                } else {
                    Word::Text(String::new())
                });
                words.extend(texts(&[
                    if queues { "1" } else { "0" },
                    if cuts { "1" } else { "" },
                ]));
                if !limit.is_empty() {
                    words.extend(texts(&[limit]));
                }
                return (words, Some(owner));
            }
            if kind < 8 {
                let mut words = called(&RELEASE, by_text, &keys);
                words.extend(texts(&[id, if by_hand { "" } else { INBOXES[owner] }]));
                if by_hand && forces {
                    words.extend(texts(&["", OWNER_IDS[(owner + 1) % OWNERS]]));
                } else if !limit.is_empty() {
                    words.extend(texts(&[limit]));
                }
                return (words, None);
            }
            let holders = format!("{{{lock}}}||||holders");
            let keys = if limit.is_empty() {
                vec![keys[0]]
            } else {
                vec![keys[0], &holders]
            };
            let mut words = called(&RENEW, by_text, &keys);
            words.extend(texts(&[id, ttl, if cuts { "1" } else { "" }]));
            (words, None)
        },
    )
}

/// The beginning of a call.
fn called(script: &Script, by_text: bool, keys: &[&str]) -> Vec<Word> {
    let count = keys.len().to_string();
    let mut words = if by_text {
        texts(&["EVAL", &script.text, &count])
    } else {
        texts(&["EVALSHA", &script.hash, &count])
    };
    words.extend(texts(keys));
    words
}

/// One command of clients, or one that is none.
fn command(has_ends: bool) -> impl Strategy<Value = Vec<Word>> {
    prop_oneof![
        4 => templates(ON_TEXTS, has_ends),
        4 => templates(ON_SETS, has_ends),
        3 => templates(ON_KEYS, has_ends),
        3 => templates(ON_CHANNELS, has_ends),
        3 => templates(ON_TRACKING, has_ends),
        2 => templates(ON_TRANSACTIONS, has_ends),
        2 => templates(ON_OTHERS, has_ends),
        1 => templates(WRONG, has_ends),
        2 => snippets(),
    ]
}

fn snippets() -> impl Strategy<Value = Vec<Word>> {
    (select(SNIPPETS), key(), value())
        .prop_map(|(text, key, value)| texts(&["EVAL", text, "1", key, value]))
}

fn key() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "k",
            "k",
            "z",
            "z",
            "y",
            "lock||app||a",
            "{lock||app||a}||||queue",
        ][..],
    )
}

fn value() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "v",
            "",
            "1",
            "41",
            "9223372036854775807",
            "01",
            "a longer text",
        ][..],
    )
}

fn templates(all: &'static [&'static str], has_ends: bool) -> impl Strategy<Value = Vec<Word>> {
    select(all).prop_flat_map(move |template| {
        let mut words: Vec<BoxedStrategy<Vec<String>>> = Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            let (part, others, is_optional) = if let Some(inner) = rest.strip_prefix('[') {
                let (part, others) = inner.split_once(']').expect("a bracket");
                (part, others, true)
            } else {
                let end = rest.find(' ').unwrap_or(rest.len());
                (&rest[..end], &rest[end..], false)
            };
            let each: Vec<_> = part.split(' ').map(|word| filled(word, has_ends)).collect();
            words.push(if is_optional {
                option::of(each).prop_map(Option::unwrap_or_default).boxed()
            } else {
                each.boxed()
            });
            rest = others.trim_start();
        }
        words.prop_map(|words| {
            let words = words.into_iter().flatten();
            words.map(Word::Text).collect::<Vec<Word>>()
        })
    })
}

fn filled(word: &'static str, has_ends: bool) -> BoxedStrategy<String> {
    let strategy = match word {
        "K" => key().boxed(),
        "V" => value().boxed(),
        "S" => select(&["0", "1", "2", "-1", "1.5", "2.25", "1e15", "inf"][..]).boxed(),
        "(S" => select(&["(0", "(1", "(2", "1", "(-inf"][..]).boxed(),
        "M" => select(&["m", "n", "", "o"][..]).boxed(),
        "N" => select(&["0", "1", "-1", "2", "-2", "7", "-7"][..]).boxed(),
        "C" => select(
            &[
                "lock||inbox||00000000000000000000000000000001",
                "lock||inbox||00000000000000000000000000000002",
                "lock||inbox||00000000000000000000000000000003",
                "lock||inbox||x",
            ][..],
        )
        .boxed(),
        "T" => ttl(has_ends).boxed(),
        "#1" => Just("return 1").boxed(),
        "#2" => Just("two words").boxed(),
        word => Just(word).boxed(),
    };
    strategy.prop_map(str::to_owned).boxed()
}
