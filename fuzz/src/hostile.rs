//! A world with one client and a server that answers as an input says: properly, wrongly, in halves, twice, never, without end.
//! Its time is tokio's, paused, so that a time-out takes no time.

mod answering;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leaselock::simulation::{Environment, Gate, Stream, enter};
use leaselock::{Client, ErrorKind, Lease};
use tokio::time::{Instant, Sleep, sleep, timeout};

use self::answering::{Answering, Choices};

/// The client's.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(500);
/// How long whoever may wait waits for a lock.
const WAIT: Duration = Duration::from_millis(700);
/// An operation has ended by then, many time-outs later: whoever asks again and again for ever has not.
const LIMIT: Duration = Duration::from_secs(3);
/// Every answer takes so long, so that time goes on.
const ANSWER_TAKES: Duration = Duration::from_millis(1);
/// More is asked for by no operation that comes to an end.
const MOST_COMMANDS: u64 = 200_000;
/// Steps of a listing that are looked at: a server may have any number of locks.
const MOST_LISTED: usize = 20;

/// What all connections share.
struct World {
    answering: Mutex<Answering>,
    begun: Instant,
    chance: Mutex<fastrand::Rng>,
}

impl World {
    fn answering(&self) -> MutexGuard<'_, Answering> {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

struct Here(Arc<World>);

impl Environment for Here {
    fn since_boot(&self) -> Duration {
        Duration::from_secs(86_400) + self.0.begun.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut chance = self.0.chance.lock().unwrap_or_else(PoisonError::into_inner);
        chance.fill(bytes);
    }

    fn connect(&self, _host: &str, _port: u16) -> Arc<dyn Stream> {
        Arc::new(Connection {
            world: self.0.clone(),
            state: Mutex::default(),
        })
    }

    fn gate(&self) -> Option<Arc<dyn Gate>> {
        None
    }
}

/// The client's end of a connection.
struct Connection {
    world: Arc<World>,
    state: Mutex<Wire>,
}

#[derive(Default)]
struct Wire {
    /// What was asked and is not answered, as it came.
    asked: Vec<u8>,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    is_closed: bool,
    /// What is sent for ever, and how much of it was.
    endless: Option<Vec<u8>>,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

impl Wire {
    fn has_arrived(&self) -> bool {
        let first = self.arriving.front();
        first.is_some_and(|(at, _)| *at <= Instant::now())
    }
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, Wire> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Connection {
    fn poll_connected(&self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.state();
        if !wire.has_arrived() {
            return if wire.is_closed && wire.arriving.is_empty() {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let Some((_, bytes)) = wire.arriving.front_mut() else {
            return Ok(0);
        };
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        bytes.drain(..count);
        if bytes.is_empty() {
            wire.arriving.pop_front();
            if wire.arriving.is_empty()
                && let Some(endless) = wire.endless.clone()
            {
                let at = Instant::now() + ANSWER_TAKES;
                wire.arriving.push_back((at, endless));
            }
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.state();
        if wire.is_closed {
            // As a system takes what is sent to a peer that has gone.
            return Ok(bytes.len());
        }
        wire.asked.extend_from_slice(bytes);
        let mut answering = self.world.answering();
        while let Some(words) = answering::command(&mut wire.asked) {
            let answer = answering.answer(&words);
            if !answer.bytes.is_empty() {
                let at = Instant::now() + ANSWER_TAKES * answer.delay;
                let last = wire.arriving.back().map_or(at, |(last, _)| at.max(*last));
                wire.arriving.push_back((last, answer.bytes));
            }
            wire.endless = wire.endless.take().or(answer.endless);
            wire.is_closed |= answer.closes;
        }
        drop(answering);
        wire.timer = None;
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
        Ok(bytes.len())
    }

    fn poll_ready(&self, wants_write: bool, context: &mut Context<'_>) -> Poll<()> {
        let mut wire = self.state();
        loop {
            if wants_write || wire.has_arrived() || wire.is_closed && wire.arriving.is_empty() {
                return Poll::Ready(());
            }
            wire.waker = Some(context.waker().clone());
            let Some((at, _)) = wire.arriving.front() else {
                return Poll::Pending;
            };
            let at = *at;
            let timer = wire
                .timer
                .get_or_insert_with(|| Box::pin(sleep(at - Instant::now())));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            wire.timer = None;
        }
    }
}

/// Lives through the world of an input; how many hostile answers there were.
pub(crate) fn run(bytes: &[u8]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let world = {
        let _context = runtime.enter();
        Arc::new(World {
            answering: Mutex::new(Answering::new(bytes)),
            begun: Instant::now(),
            chance: Mutex::new(fastrand::Rng::with_seed(7)),
        })
    };
    let _here = enter(Rc::new(Here(world.clone())));
    runtime.block_on(live(bytes));
    drop(runtime);
    let answering = world.answering();
    if let Some(words) = &answering.too_much {
        panic!("it asks without end: {words}");
    }
    answering.hostile
}

async fn live(bytes: &[u8]) {
    // From the other end: the beginning is the server's.
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut choices = Choices::new(&reversed);
    let url = match choices.next() % 8 {
        0 => "redis+cluster://192.0.2.1:7000",
        1 => "redis+sentinel://192.0.2.1:26379,192.0.2.2:26379/service",
        2 => "redis://192.0.2.1?replicas=1",
        _ => "redis://192.0.2.1",
    };
    let client = Client::builder()
        .url(url)
        .app_id("fuzz")
        .command_timeout(COMMAND_TIMEOUT)
        .build()
        .expect("a client");
    let mut leases = Vec::new();
    for _ in 0..2 + choices.next() % 4 {
        step(&client, &mut leases, &mut choices).await;
    }
    bounded("close", client.close()).await;
    drop(leases);
    sleep(2 * COMMAND_TIMEOUT).await;
}

/// Asks for one thing.
async fn step(client: &Client, leases: &mut Vec<Lease>, choices: &mut Choices) {
    let second = Duration::from_secs(1);
    match choices.next() % 14 {
        0 | 1 => leases.extend(
            bounded("try", client.try_acquire("res").into_future())
                .await
                .flatten(),
        ),
        2 | 3 => {
            leases.extend(bounded("wait", client.acquire("res").wait(WAIT).into_future()).await);
        }
        4 => {
            let shared = client.acquire("res").shared().wait(WAIT);
            leases.extend(bounded("share", shared.into_future()).await);
        }
        5 => {
            let several = client.acquire_all(["a", "res"]).wait(WAIT);
            drop(bounded("several", several.into_future()).await);
        }
        6 | 7 => {
            if let Some(lease) = leases.pop() {
                bounded("release", lease.release()).await;
            }
        }
        8 => {
            if let Some(lease) = leases.last() {
                bounded("extend", lease.extend(Some(3 * second))).await;
            }
        }
        9 => drop(bounded("inspect", client.inspect("res")).await),
        10 => {
            let mut locks = client.locks("*").expect("a pattern");
            for _ in 0..MOST_LISTED {
                // Every step of a listing is a command of its own, and one that finds none may be followed by any number.
                let Ok(next) = timeout(LIMIT, locks.next()).await else {
                    break;
                };
                match next {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        judge("list", &error);
                        break;
                    }
                    None => break,
                }
            }
        }
        11 => drop(bounded("force", client.force_release("res")).await),
        12 => drop(bounded("by hand", client.extend("res", "owner", second)).await),
        _ => sleep(Duration::from_millis(300)).await,
    }
}

/// The end of an operation, which comes in time and is a result or an error of its kind.
async fn bounded<T>(what: &str, ending: impl Future<Output = leaselock::Result<T>>) -> Option<T> {
    let ended = timeout(LIMIT, ending).await;
    assert!(ended.is_ok(), "{what} takes more than {LIMIT:?}");
    match ended {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            judge(what, &error);
            None
        }
        Err(_) => None,
    }
}

fn judge(what: &str, error: &leaselock::Error) {
    let is_of_a_kind = matches!(
        error.kind(),
        ErrorKind::StoreUnavailable
            | ErrorKind::StoreRefused
            | ErrorKind::LockTimeout
            | ErrorKind::LeaseLost
            | ErrorKind::ClientClosed
    );
    assert!(is_of_a_kind, "{what}: {:?}: {error}", error.kind());
    let length = error.message().len();
    assert!(length < 4_096, "{what}: a message of {length} bytes");
}
