//! The processes of a world, and what the clients in them have in place of the system's.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use leaselock::simulation::{Environment, Gate, Stream};

use crate::worlds::network::End;
use crate::worlds::world::World;

/// Where the clock of the clients begins: they have run for a day.
const BOOT: Duration = Duration::from_secs(24 * 60 * 60);

thread_local! {
    /// The process whose code runs.
    static RUNNING: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A process with a client in it.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) is_dead: bool,
    pub(crate) stopped_until: u64,
    pub(crate) held_back: Vec<Waker>,
    /// New connections are not answered, or refused, until then.
    pub(crate) no_connections: Option<(bool, u64)>,
    /// By then it has recovered from the last that went wrong.
    pub(crate) well_from: u64,
}

/// What the clients of a world have in place of the system's.
pub(crate) struct Here(pub(crate) Arc<World>);

impl Environment for Here {
    fn since_boot(&self) -> Duration {
        // Also where somebody has the state in hand, and looks at a lease.
        BOOT + Duration::from_micros(self.0.time.now())
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().chance.fill(bytes);
    }

    fn connect(&self, _: &str, _: u16) -> Arc<dyn Stream> {
        let process = RUNNING.get().expect("only processes connect");
        let number = self.0.with(|state| state.connect(process));
        Arc::new(End::new(self.0.clone(), number))
    }

    fn gate(&self) -> Option<Arc<dyn Gate>> {
        let gate = ProcessGate::new(&self.0, RUNNING.get()?);
        Some(Arc::new(gate))
    }
}

/// The gate of a process.
pub(crate) struct ProcessGate {
    world: Arc<World>,
    process: usize,
}

impl ProcessGate {
    pub(crate) fn new(world: &Arc<World>, process: usize) -> Self {
        Self {
            world: world.clone(),
            process,
        }
    }

    /// Runs code of the process.
    pub(crate) fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        RUNNING.set(Some(self.process));
        let result = code();
        RUNNING.set(None);
        result
    }
}

impl Gate for ProcessGate {
    fn pass(&self, context: &mut Context<'_>) -> bool {
        let mut state = self.world.lock();
        let now = state.now();
        let process = &mut state.processes[self.process];
        if process.is_dead {
            return false;
        }
        if process.stopped_until > now {
            process.held_back.push(context.waker().clone());
            return false;
        }
        let shuffled = state.shuffled;
        if state.chance.once_in(shuffled) {
            drop(state);
            context.waker().wake_by_ref();
            return false;
        }
        drop(state);
        RUNNING.set(Some(self.process));
        true
    }

    fn leave(&self) {
        RUNNING.set(None);
    }
}
