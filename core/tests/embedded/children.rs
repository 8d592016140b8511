//! Other processes: this test program again, told on its input what to do, answering on its output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use leaselock::blocking::{Client, Lease};

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an answer begins with: the test runner writes to the same output.
pub(crate) const MARK: &str = "» ";

/// Another process with a client of its own.
pub(crate) struct Other {
    process: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Other {
    /// Starts a process that uses the store at `url`.
    pub(crate) fn start(url: &str) -> Self {
        Self::start_with(url, &[])
    }

    /// The same, with more environment variables.
    pub(crate) fn start_with(url: &str, environment: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.envs(environment.iter().copied());
        Self::start_by(command, url)
    }

    /// The same, by a command that ends with this program.
    pub(crate) fn start_by(mut command: Command, url: &str) -> Self {
        let mut process = command
            .args([
                "--exact",
                "children::another_process",
                "--ignored",
                "--nocapture",
            ])
            .env("LEASELOCK_TEST_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(process.stdout.take().expect("an output"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, answer)) = line.split_once(MARK)
                    && sender.send(answer.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Self {
            input: process.stdin.take(),
            process,
            answers,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to do something, without waiting for the answer.
    pub(crate) fn tell(&mut self, order: &str) {
        let input = self.input.as_mut().expect("an input");
        writeln!(input, "{order}").expect("it reads");
    }

    /// Its next answer.
    pub(crate) fn hear(&self) -> String {
        self.answers.recv_timeout(PATIENCE).expect("it answers")
    }

    /// The next answer of a process that has ended; `None` when there is none left.
    pub(crate) fn hear_to_the_end(&self) -> Option<String> {
        self.answers.recv_timeout(PATIENCE).ok()
    }

    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("its end");
    }

    /// Stops it (`STOP`) or lets it go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
        // Some of its threads may run on for a moment.
        while signal == "STOP" && !self.is_stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        threads.map_while(Result::ok).all(|thread| {
            let state = std::fs::read_to_string(thread.path().join("stat")).expect("its state");
            state
                .rsplit_once(") ")
                .is_some_and(|(_, state)| state.starts_with('T'))
        })
    }

    /// Lets it end by itself, and waits for that.
    pub(crate) fn end(mut self) {
        self.input = None;
        assert!(self.process.wait().expect("its end").success());
    }

    /// What it has used of a processor since it began.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time(self.id())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the threads of a process have used of a processor so far.
pub(crate) fn processor_time(process: u32) -> Duration {
    let mut used = Duration::ZERO;
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    for thread in threads.flatten() {
        let figures = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let nanoseconds = figures
            .split(' ')
            .next()
            .and_then(|figure| figure.parse().ok());
        used += Duration::from_nanos(nanoseconds.unwrap_or(0));
    }
    used
}

/// Nanoseconds since 1970, which all processes read from one clock.
pub(crate) fn now() -> u128 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_nanos()
}

/// The other process: does what it is told until its input ends.
#[test]
#[ignore = "run by other tests, as their other process"]
fn another_process() {
    let client = Client::new(&url()).expect("a client");
    let mut held: Vec<Lease> = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order.expect("an order");
        let words: Vec<&str> = order.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        let answer = match words[0] {
            // acquire NAME TTL: the token, and when it was there
            "acquire" => {
                let ttl = Duration::from_millis(number(2));
                let acquired = client.acquire(words[1]).ttl(ttl).call();
                let at = now();
                match acquired {
                    Ok(lease) => {
                        let token = lease.token();
                        held.push(lease);
                        format!("{token} {at}")
                    }
                    Err(error) => format!("{}: {error}", error.kind().code()),
                }
            }
            // release: the oldest lease; whether it was given back, and when it was called
            "release" => {
                let at = now();
                let released = held.remove(0).release();
                format!("{} {at}", released.expect("an answer"))
            }
            "inspect" => match client.inspect(words[1]) {
                Ok(found) => if found.is_some() { "held" } else { "free" }.to_owned(),
                Err(error) => error.to_string(),
            },
            // end NAME OWNER: by hand
            "end" => client
                .release(words[1], words[2])
                .map_or_else(|error| error.to_string(), |it| it.as_str().to_owned()),
            // break NAME
            "break" => client
                .force_release(words[1])
                .map_or_else(|error| error.to_string(), |it| it.as_str().to_owned()),
            // fill FILE: with as much as there is room for
            "fill" => {
                let mut file = std::fs::File::create(words[1]).expect("a file");
                while file.write_all(&[1; 512]).is_ok() {}
                "full".to_owned()
            }
            "remove" => {
                std::fs::remove_file(words[1]).expect("removed");
                "removed".to_owned()
            }
            // count FILE TIMES NAME: adds one to the number in the file so often, each time under the lock
            "count" => {
                count(&client, Path::new(words[1]), number(2), words[3]);
                "done".to_owned()
            }
            // visit …: with a client of a store of its own
            "visit" => crate::damaged::order(&words[1..]),
            _ => crate::forks::order(&words, &client),
        };
        if !answer.is_empty() {
            self::answer(&answer);
        }
    }
    drop(held);
    client.close().expect("closed");
}

/// The URL of the store that this process was started for.
pub(crate) fn url() -> String {
    std::env::var("LEASELOCK_TEST_URL").expect("a URL")
}

/// Adds one to the number in the file so often, each time under the lock.
pub(crate) fn count(client: &Client, file: &Path, times: u64, name: &str) {
    for _ in 0..times {
        let lease = client
            .acquire(name)
            .ttl(Duration::from_millis(700))
            .call()
            .expect("acquired");
        add_one(file);
        answer("one more");
        // Whoever was stopped for too long has lost it; then the number tells.
        let _ = lease.release();
    }
}

fn answer(answer: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{MARK}{answer}")
        .and_then(|()| output.flush())
        .expect("heard");
}

/// Reads the number in the file, and writes the next one over it.
fn add_one(path: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the file");
    let mut number = [0; 8];
    file.read_exact_at(&mut number, 0).expect("a number");
    let next = u64::from_ne_bytes(number) + 1;
    file.write_all_at(&next.to_ne_bytes(), 0).expect("written");
}

/// The number in the file.
pub(crate) fn number_in(path: &Path) -> u64 {
    let bytes = std::fs::read(path).expect("the file");
    u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
}
