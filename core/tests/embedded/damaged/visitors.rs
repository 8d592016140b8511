//! Other processes, each with a client of its own, that are told which store to use and what to do there.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use leaselock::Error;
use leaselock::blocking::{Client, Lease};

use crate::children::Other;
use crate::places::{Folder, ms};

/// Short: some damages look as if another process had the store locked.
pub(super) const COMMAND_TIMEOUT: Duration = ms(500);

pub(super) struct Visitor(Other);

/// This program, where others may run it.
pub(super) fn program(folder: &Folder) -> PathBuf {
    let program = folder.path().join("program");
    // By another process: what this one writes, a child of this one may have open for a moment, and then it cannot be run.
    let copied = Command::new("cp")
        .arg(std::env::current_exe().expect("a path"))
        .arg(&program)
        .status();
    assert!(copied.expect("cp runs").success());
    super::for_everybody(&program);
    program
}

impl Visitor {
    /// Some that are not root, to whom permissions are nothing.
    pub(super) fn some<const SOME: usize>(program: &Path) -> [Self; SOME] {
        [(); SOME].map(|()| {
            let mut command = Command::new(program);
            if nix::unistd::geteuid().is_root() {
                command = Command::new("setpriv");
                command
                    .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                    .arg(program);
            }
            Self(Other::start_by(command, "memory:nothing"))
        })
    }

    /// The answer; `None`: the process has ended.
    pub(super) fn ask(&mut self, order: &str) -> Option<String> {
        self.0.tell(&format!("visit {order}"));
        self.0.hear_to_the_end()
    }
}

thread_local! {
    /// The client of this process, and what it holds.
    static VISIT: RefCell<Option<(Client, Vec<Lease>)>> = const { RefCell::new(None) };
}

/// Does what a visitor was told.
pub(crate) fn order(words: &[&str]) -> String {
    let answer = VISIT.with_borrow_mut(|visit| {
        if let ["open", url] = words {
            // Wherever one panics, it shows.
            std::panic::set_hook(Box::new(|panic| {
                eprintln!("{panic}");
                std::process::abort();
            }));
            let client = Client::builder().url(*url).command_timeout(COMMAND_TIMEOUT);
            *visit = Some((client.build_blocking()?, Vec::new()));
            return Ok("opened".to_owned());
        }
        let (client, held) = visit.as_mut().expect("a client");
        let mut keep = |lease: Lease| {
            let token = lease.token().to_string();
            held.push(lease);
            token
        };
        Ok(match words {
            ["try", name] => {
                let lease = client.try_acquire(*name).ttl(ms(60_000)).call()?;
                lease.map_or_else(|| "held".to_owned(), keep)
            }
            ["wait", name] => keep(client.acquire(*name).ttl(ms(60_000)).wait(ms(3)).call()?),
            ["release"] => held.pop().expect("a lease").release()?.to_string(),
            ["extend", name] => match held.iter().find(|lease| lease.name() == *name) {
                Some(lease) => {
                    lease.extend(None)?;
                    "extended".to_owned()
                }
                None => "not held".to_owned(),
            },
            ["inspect", name] => client.inspect(name)?.is_some().to_string(),
            ["list"] => {
                let listed: Result<Vec<_>, Error> = client.locks("*")?.collect();
                listed?.len().to_string()
            }
            ["shut"] => {
                let (client, held) = visit.take().expect("a client");
                drop(held);
                client.close()?;
                "shut".to_owned()
            }
            _ => unreachable!("{words:?}"),
        })
    });
    answer.unwrap_or_else(|error: Error| {
        let words = error.message().replace('\n', " ");
        format!("error {}: {words}", error.kind().code())
    })
}
