//! The command that runs under the lock: how it is started, watched and told to end.
//!
//! It is in a job, and so is whatever it starts; they end when the job is closed, by whom ever, this program's end included.

use std::ffi::OsString;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::thread;

use tokio::sync::oneshot;
use win32job::{ExtendedLimitInfo, Job, JobError};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};

use super::signals::Caught;
use crate::exit::{Exit, Failure};
use crate::system::{Change, cannot_run};

/// By what the command is asked to end.
pub(crate) const ASKED_BY: &str = "Ctrl-Break";

/// The command can be told Ctrl-Break by its number, without everybody else at the console.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;

/// The command, from its start on.
pub(crate) struct Running {
    pid: u32,
    /// Closed, it ends the command and what that has started.
    job: Option<Job>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    status: Option<io::Result<ExitStatus>>,
}

impl Running {
    /// Starts the command, with these variables added to its environment.
    pub(crate) fn start(
        words: &[OsString],
        variables: Vec<(&str, String)>,
    ) -> Result<Self, Failure> {
        let (program, arguments) = words.split_first().expect("clap asks for a command");
        let cannot_watch = |error: &dyn std::fmt::Display| {
            let message = format!("cannot watch the command, which was not run or killed: {error}");
            Failure::new(Exit::OS_ERROR, message)
        };
        guard_descendants().map_err(|error| cannot_watch(&error))?;
        let job = job().map_err(|error| cannot_watch(&error))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(variables)
            .creation_flags(CREATE_NEW_PROCESS_GROUP);
        let mut child = command
            .spawn()
            .map_err(|error| cannot_run(program, &error))?;
        let pid = child.id();
        if let Err(error) = job.assign_process(child.as_raw_handle() as isize)
            // One that has ended by now is in no need of it.
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            let _ = child.kill();
            return Err(cannot_watch(&error));
        }
        let (sender, ended) = oneshot::channel();
        let watching = thread::Builder::new()
            .name("leaselock-child".to_owned())
            .spawn(move || watch(child, sender));
        // Where there is no thread the job ends the command.
        watching.map_err(|error| cannot_watch(&error))?;
        Ok(Self {
            pid,
            job: Some(job),
            ended,
            status: None,
        })
    }

    /// The next change.
    pub(crate) async fn changed(&mut self) -> Change {
        if self.status.is_none() {
            let gone = |_| Err(io::Error::other("nobody watched it"));
            self.status = Some((&mut self.ended).await.unwrap_or_else(gone));
        }
        Change::Ended
    }

    /// Asks it to end; whether it was told, which cannot be without a console.
    #[expect(
        unsafe_code,
        reason = "there is no safe way to tell a process group Ctrl-Break"
    )]
    pub(crate) fn ask_to_end(&self) -> bool {
        // SAFETY: it takes two numbers. The watching thread keeps the process's handle until it has ended, so that its number
        // cannot have become another's.
        unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.pid) != 0 }
    }

    /// Ends it, with what it has started.
    pub(crate) fn kill(&mut self) {
        self.job = None;
    }

    /// Tells it what we were told.
    pub(crate) fn pass_on(&self, caught: Caught) {
        if caught.is_for_us_alone() {
            self.ask_to_end();
        }
    }

    /// Its exit status, after it has ended. What it has left behind is ended.
    pub(crate) fn status(self) -> Result<Exit, Failure> {
        match self.status {
            Some(Ok(status)) => Ok(status.code().map_or(Exit::SOFTWARE, Exit::new)),
            Some(Err(error)) => {
                let message = format!("the command's exit status cannot be had: {error}");
                Err(Failure::new(Exit::OS_ERROR, message))
            }
            None => Err(Failure::new(Exit::SOFTWARE, "the command still runs")),
        }
    }
}

fn watch(mut child: Child, ended: oneshot::Sender<io::Result<ExitStatus>>) {
    let _ = ended.send(child.wait());
}

/// A job whose processes end when it is closed.
fn job() -> Result<Job, JobError> {
    let mut limits = ExtendedLimitInfo::new();
    limits.limit_kill_on_job_close();
    Job::create_with_limit_info(&limits)
}

/// Puts this program into a job for its whole life: what it starts is in it from the first instant, also what the command
/// starts before it is in its own.
fn guard_descendants() -> Result<(), JobError> {
    static GUARD: OnceLock<isize> = OnceLock::new();
    if GUARD.get().is_none() {
        let job = job()?;
        job.assign_current_process()?;
        // Closed by the system when this program ends.
        let _ = GUARD.set(job.into_handle());
    }
    Ok(())
}
