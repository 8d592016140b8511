//! Makes inputs out of others, the same ones for the same seed.

use fastrand::Rng;

/// No input is longer.
const LONGEST: usize = 4096;

/// What readers look for.
const WORDS: &[&str] = &[
    "\r\n",
    "*1\r\n",
    "*-1\r\n",
    "$-1\r\n",
    "_\r\n",
    "%1\r\n",
    ">3\r\n",
    "+OK\r\n",
    "-ERR ",
    ":0\r\n",
    "=8\r\ntxt:",
    ",inf\r\n",
    ",nan\r\n",
    ",1e308\r\n",
    "*1000\r\n",
    "$262144\r\n",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "65536",
    "16384",
    "-MOVED ",
    "-ASK ",
    "-NOSCRIPT ",
    "-LOADING ",
    "grant",
    "next",
    "touched",
    "reset",
    "\n",
    "\t",
    "||",
    "|",
    "{",
    "}",
    "{}",
    "*",
    "?",
    "\\",
    "%00",
    "%2f",
    "%ff",
    "@",
    ":",
    "/",
    "//",
    "?db=",
    "&",
    "#",
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "redis+cluster://",
    "unix:",
    "file:",
    "memory:",
    "[::1]",
    "prefix=",
    "replicas=",
    "\u{0}",
    "\u{202e}",
    "\u{10ffff}",
    "é",
];

/// A source of inputs.
pub struct Mutator {
    chance: Rng,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    /// Of these inputs, by a seed.
    #[must_use]
    pub fn new(corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        let chance = Rng::with_seed(seed);
        Self { chance, corpus }
    }

    /// The next input: one of the corpus with a few changes, or now and then mere noise.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = match self.chance.u32(..32) {
            0 => Vec::new(),
            _ if self.corpus.is_empty() => Vec::new(),
            _ => self.one(),
        };
        if input.is_empty() {
            let length = self.chance.usize(..200);
            input = (0..length).map(|_| self.chance.u8(..)).collect();
        }
        for _ in 0..=self.chance.usize(..6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn one(&mut self) -> Vec<u8> {
        let at = self.chance.usize(..self.corpus.len());
        self.corpus[at].clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let end = input.len();
        let at = self.chance.usize(..=end);
        let until = at + self.chance.usize(..=(end - at).min(32));
        match self.chance.u32(..9) {
            0 if at < end => input[at] ^= 1 << self.chance.u32(..8),
            1 if at < end => input[at] = self.chance.u8(..),
            2 => drop(input.drain(at..until)),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..until].to_vec();
                let times = 1 + self.chance.usize(..4);
                input.splice(at..at, piece.repeat(times));
            }
            5 => {
                let other = self.other();
                let from = self.chance.usize(..=other.len());
                let to = from + self.chance.usize(..=other.len() - from);
                input.splice(at..until, other[from..to].iter().copied());
            }
            6 => self.change_number(input),
            _ => {
                let word = WORDS[self.chance.usize(..WORDS.len())];
                let until = if self.chance.bool() { at } else { until };
                input.splice(at..until, word.bytes());
            }
        }
    }

    fn other(&mut self) -> Vec<u8> {
        if self.corpus.is_empty() {
            return Vec::new();
        }
        self.one()
    }

    /// Puts another number in place of one.
    fn change_number(&mut self, input: &mut Vec<u8>) {
        let begins = (0..input.len()).filter(|at| {
            input[*at].is_ascii_digit() && (*at == 0 || !input[at - 1].is_ascii_digit())
        });
        let begins: Vec<usize> = begins.collect();
        if begins.is_empty() {
            return;
        }
        let at = begins[self.chance.usize(..begins.len())];
        let length = input[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let until = at + length.count();
        let number = match self.chance.u32(..6) {
            0 => self.chance.u64(..).to_string(),
            1 => self.chance.i64(..).to_string(),
            2 => (1_u64 << self.chance.u32(..64)).to_string(),
            3 => ((1_u64 << self.chance.u32(..64)) - 1).to_string(),
            _ => self.chance.u32(..10).to_string(),
        };
        input.splice(at..until, number.bytes());
    }
}
