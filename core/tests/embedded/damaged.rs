//! A store whose files were damaged, while it was closed or while two processes have it open: what still opens excludes, and
//! everything else is refused in words that say what to do. Nothing panics, and nothing hangs.
//!
//! `LEASELOCK_DAMAGES` says how many are tried (1,000 by default), and `LEASELOCK_DAMAGES_SEED` which: the seed of a run is printed,
//! and each of its damages has a number.

mod damages;
mod visitors;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use self::damages::{Damage, Files};
use self::visitors::{COMMAND_TIMEOUT, Visitor};
use crate::places::Folder;

pub(crate) use self::visitors::order;

/// So many at the same time: they wait for each other's answers.
const AT_ONCE: u64 = 3;
/// What comes on top of the command time-out on a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// What every refusal has one of: what to do.
const ADVICE: [&str; 8] = [
    "name another",
    "move the file away",
    "must be writable for this user",
    "this user may read and write",
    "see to the disk",
    "create its directory first",
    "choose another place",
    "use the same version everywhere",
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
    )
}

#[test]
fn whatever_is_damaged_nobody_holds_what_another_holds() {
    let seed = number("LEASELOCK_DAMAGES_SEED").unwrap_or_else(|| fastrand::u64(..));
    let count = number("LEASELOCK_DAMAGES").unwrap_or(1_000);
    println!("LEASELOCK_DAMAGES_SEED={seed}");
    let files = Files::make();
    let folder = Folder::new();
    for_everybody(folder.path());
    let program = visitors::program(&folder);
    std::thread::scope(|threads| {
        for first in 0..AT_ONCE {
            let (folder, files, mut visitors) = (&folder, &files, Visitor::some(&program));
            threads.spawn(move || {
                for number in (first..count).step_by(usize::try_from(AT_ONCE).expect("a few")) {
                    let mut chance = fastrand::Rng::with_seed(seed.wrapping_add(number));
                    let is_open = chance.bool();
                    let damage = Damage::any(&mut chance, files, is_open);
                    let place = folder.path().join(number.to_string());
                    let round = Round {
                        said: format!(
                            "damage {number} of seed {seed}, {damage:?}, open: {is_open}"
                        ),
                        visitors: &mut visitors,
                        last_token: 0,
                    };
                    round.run(&place, files, &damage, is_open);
                }
            });
        }
    });
}

/// So many processes use a store: where it is open the last of them opens it when it has been damaged.
const ALL: usize = 3;

/// One damage, and the processes that use the store then.
struct Round<'a> {
    said: String,
    visitors: &'a mut [Visitor; ALL],
    last_token: u64,
}

impl Round<'_> {
    fn run(mut self, place: &Path, files: &Files, damage: &Damage, is_open: bool) {
        std::fs::create_dir(place).expect("a directory");
        for_everybody(place);
        let path = place.join("locks.db");
        files.put(&path);
        let url = format!("file:{}", path.display());
        for who in 0..ALL {
            self.ask(who, &format!("open {url}"));
        }
        if is_open {
            for who in 0..ALL - 1 {
                self.ask(who, "try before");
            }
        }
        damage.inflict(&path, files, &mut fastrand::Rng::with_seed(1));
        self.exclude("job");
        self.exclude("held-7");
        self.wait_in_line("line");
        for order in ["inspect job", "list", "extend before"] {
            self.ask_all(order);
        }
        self.exclude("again");
        self.ask_all("shut");
        // What cannot be looked into cannot be removed.
        let _ = std::fs::set_permissions(
            path.with_file_name("locks.db-inbox"),
            Permissions::from_mode(0o700),
        );
        std::fs::remove_dir_all(place).expect("removed");
    }

    /// All try a name, in turn.
    fn exclude(&mut self, name: &str) {
        let holders: Vec<usize> = (0..ALL).filter(|who| self.has(*who, name)).collect();
        self.have_one(name, &holders);
    }

    /// One waits for what another holds.
    fn wait_in_line(&mut self, name: &str) {
        let mut holders: Vec<usize> = (0..1).filter(|who| self.has(*who, name)).collect();
        let answer = self.ask(1, &format!("wait {name}"));
        if self.is_token(&answer) {
            holders.push(1);
        }
        self.have_one(name, &holders);
    }

    fn have_one(&mut self, name: &str, holders: &[usize]) {
        assert!(holders.len() < 2, "{}: {holders:?} hold {name}", self.said);
        for holder in holders {
            self.ask(*holder, "release");
        }
    }

    fn ask_all(&mut self, order: &str) {
        for who in 0..ALL {
            self.ask(who, order);
        }
    }

    /// Whether this one has the name, having tried.
    fn has(&mut self, who: usize, name: &str) -> bool {
        let answer = self.ask(who, &format!("try {name}"));
        self.is_token(&answer)
    }

    fn is_token(&mut self, answer: &str) -> bool {
        let Ok(token) = answer.parse() else {
            return false;
        };
        assert!(
            token > self.last_token,
            "{}: token {token} after {}",
            self.said,
            self.last_token
        );
        self.last_token = token;
        true
    }

    /// An answer in time, which is a refusal in words if it is one.
    fn ask(&mut self, who: usize, order: &str) -> String {
        let began = Instant::now();
        let Some(answer) = self.visitors[who].ask(order) else {
            panic!("{}: {order:?}: the process has ended", self.said);
        };
        let took = began.elapsed();
        assert!(
            took < COMMAND_TIMEOUT + SLACK,
            "{}: {order:?} took {took:?}",
            self.said
        );
        if let Some(error) = answer.strip_prefix("error ") {
            let (code, words) = error.split_once(": ").expect("a code and words");
            assert!(
                [
                    "STORE_REFUSED",
                    "STORE_UNAVAILABLE",
                    "LOCK_TIMEOUT",
                    "LEASE_LOST"
                ]
                .contains(&code),
                "{}: {order:?}: {error}",
                self.said
            );
            let is_told = ADVICE.iter().any(|advice| words.contains(advice));
            assert!(
                is_told && words.contains("locks.db") || code != "STORE_REFUSED",
                "{}: {order:?}: {error}",
                self.said
            );
        }
        answer
    }
}

/// What the test runner may write into the folder, others may.
fn for_everybody(path: &Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).expect("set");
}
