//! Runs one scenario: its steps, its background tasks, and the judgement of each outcome.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::fresh;
use crate::face::{Face, FaceClient, FaceLease, Failed, Outcome};
use crate::file::{Op, Scenario, Step, Words, matches};
use crate::observations::observed;
use crate::place::Place;
use crate::plain::Plain;
use crate::reports::reported;

const JOIN_LIMIT: Duration = Duration::from_secs(15);
const WAITERS_LIMIT: Duration = Duration::from_secs(5);

/// Everything a step can reach; a background step shares it.
#[derive(Clone)]
struct Stage {
    clients: Arc<Mutex<HashMap<String, Arc<dyn FaceClient>>>>,
    leases: Arc<Mutex<HashMap<String, Arc<dyn FaceLease>>>>,
    words: Arc<Mutex<Words>>,
}

struct Task {
    step: Step,
    thread: JoinHandle<(Outcome, Duration)>,
}

/// Checks that every step can be read.
pub(crate) fn check(scenario: &Scenario) -> Result<(), String> {
    for (index, step) in scenario.steps.iter().enumerate() {
        let read = Step::read(step).and_then(|read| match read.op {
            Op::Start { step, .. } => Step::read(&step).map(|_| ()),
            _ => Ok(()),
        });
        read.map_err(|error| format!("step {}: {error}: {step}", index + 1))?;
    }
    Ok(())
}

/// Runs a scenario; the error says which step went otherwise than expected.
pub(crate) fn run(scenario: &Scenario, face: &dyn Face, place: &Place) -> Result<(), String> {
    let stage = Stage {
        clients: Arc::default(),
        leases: Arc::default(),
        words: Arc::new(Mutex::new(Words {
            run: fresh(),
            leases: HashMap::new(),
        })),
    };
    let mut run = Run {
        face,
        place,
        plain: Plain::new(place),
        tasks: HashMap::new(),
        stage,
    };
    let mut result = Ok(());
    for (index, raw) in scenario.steps.iter().enumerate() {
        result = run
            .step(raw)
            .map_err(|failure| format!("step {} {raw}: {failure}", index + 1));
        if result.is_err() {
            break;
        }
    }
    let left_over: Vec<_> = run.tasks.keys().cloned().collect();
    let clients: Vec<_> = run
        .stage
        .clients
        .lock()
        .unwrap()
        .values()
        .cloned()
        .collect();
    for client in clients {
        if let Err(failed) = client.close() {
            result = result.and(Err(format!("closing at the end: {failed}")));
        }
    }
    if !left_over.is_empty() {
        result = result.and(Err(format!("never joined: {left_over:?}")));
    }
    for task in run.tasks.into_values() {
        let _ = task.thread.join();
    }
    result
}

struct Run<'a> {
    face: &'a dyn Face,
    place: &'a Place,
    plain: Plain<'a>,
    tasks: HashMap<String, Task>,
    stage: Stage,
}

impl Run<'_> {
    fn step(&mut self, raw: &Value) -> Result<(), String> {
        let step = self.read(raw)?;
        let start = Instant::now();
        let outcome = match &step.op {
            Op::Client {
                keep_as,
                app,
                command_timeout,
            } => self
                .face
                .client(&self.place.url(), app.as_deref(), *command_timeout)
                .map(|client| {
                    self.stage
                        .clients
                        .lock()
                        .unwrap()
                        .insert(keep_as.clone(), client);
                    Value::Null
                }),
            Op::Start { task, step } => {
                let step = self.read(step)?;
                let (stage, op) = (self.stage.clone(), step.op.clone());
                let thread = std::thread::spawn(move || {
                    let start = Instant::now();
                    let outcome = stage
                        .act(&op)
                        .unwrap_or_else(|error| Err(Failed::driver(error)));
                    (outcome, start.elapsed())
                });
                self.tasks.insert(task.clone(), Task { step, thread });
                Ok(Value::Null)
            }
            Op::Pending { task } => {
                let task = self.tasks.get(task).ok_or("no such task")?;
                Ok(json!(!task.thread.is_finished()))
            }
            Op::Join { task } => {
                let task = self.tasks.remove(task).ok_or("no such task")?;
                while !task.thread.is_finished() {
                    if start.elapsed() > JOIN_LIMIT {
                        return Err(format!("not ended after {JOIN_LIMIT:?}"));
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                let (outcome, took) = task.thread.join().map_err(|_| "it panicked")?;
                judge(&task.step, outcome, took)?;
                Ok(Value::Null)
            }
            Op::Redis { args } => match self.redis(args) {
                Some(outcome) => outcome,
                None => return Ok(()),
            },
            op => self.stage.act(op)?,
        };
        judge(&step, outcome, start.elapsed())
    }

    fn read(&self, raw: &Value) -> Result<Step, String> {
        // The step inside a `start` is filled in when it starts, with what is known then: now.
        Step::read(&self.stage.words.lock().unwrap().fill(raw)?)
    }

    /// Nothing, where there is no server.
    fn redis(&mut self, args: &[String]) -> Option<Outcome> {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let reply = self.plain.command(&words)?;
        Some(reply.map(plain_value).map_err(|error| Failed {
            name: "redis".to_owned(),
            code: error.code().unwrap_or_default().to_owned(),
            reason: None,
            message: error.to_string(),
        }))
    }
}

impl Stage {
    /// Does what a step says; the outer error is a mistake in the scenario.
    fn act(&self, op: &Op) -> Result<Outcome, String> {
        Ok(match op {
            Op::Acquire(take) => match self.client(&take.client)?.acquire(take) {
                Ok(lease) => {
                    self.keep(take.keep_as.as_deref(), lease);
                    Ok(Value::Null)
                }
                Err(failed) => Err(failed),
            },
            Op::TryAcquire(take) => match self.client(&take.client)?.try_acquire(take) {
                Ok(None) => Ok(json!(false)),
                Ok(Some(lease)) => {
                    self.keep(take.keep_as.as_deref(), lease);
                    Ok(json!(true))
                }
                Err(failed) => Err(failed),
            },
            Op::AcquireAll(take) => match self.client(&take.client)?.acquire_all(take) {
                Ok(group) => {
                    self.keep(take.keep_as.as_deref(), group);
                    Ok(Value::Null)
                }
                Err(failed) => Err(failed),
            },
            Op::TryAcquireAll(take) => match self.client(&take.client)?.try_acquire_all(take) {
                Ok(None) => Ok(json!(false)),
                Ok(Some(group)) => {
                    self.keep(take.keep_as.as_deref(), group);
                    Ok(json!(true))
                }
                Err(failed) => Err(failed),
            },
            Op::Lead(leading) => self.client(&leading.client)?.lead(leading),
            Op::Release {
                client,
                name,
                owner,
            } => self.client(client)?.release(name, owner),
            Op::ForceRelease { client, name } => self.client(client)?.force_release(name),
            Op::ExtendByOwner {
                client,
                name,
                owner,
                ttl,
            } => self.client(client)?.extend(name, owner, *ttl),
            Op::Inspect { client, name } => self.client(client)?.inspect(name),
            Op::Locks { client, pattern } => self.client(client)?.locks(pattern),
            Op::Stats { client } => Ok(self.client(client)?.stats()),
            Op::Close { client } => self.client(client)?.close().map(|()| Value::Null),
            Op::ReleaseLease { lease } => self.lease(lease)?.release().map(Value::Bool),
            Op::Lease { lease } => Ok(self.lease(lease)?.look()),
            Op::Newer { lease, than } => {
                let token = |lease| Ok::<_, String>(self.lease(lease)?.look()["token"].as_u64());
                Ok(json!(token(lease)? > token(than)?))
            }
            Op::Extend { lease, ttl } => self.lease(lease)?.extend(*ttl).map(|()| Value::Null),
            Op::Check { lease } => self.lease(lease)?.check().map(|()| Value::Null),
            Op::Detach { lease } => {
                self.lease(lease)?.detach();
                Ok(Value::Null)
            }
            Op::WaitLost { lease, timeout } => {
                self.lease(lease)?.wait_lost(*timeout).map(Value::from)
            }
            Op::Sleep { ms } => {
                std::thread::sleep(Duration::from_secs_f64(ms / 1000.0));
                Ok(Value::Null)
            }
            Op::Observed {
                name,
                label,
                renewals,
                count,
                within,
            } => Ok(observed(name, label.as_deref(), *renewals, *count, *within)),
            Op::Reported {
                event,
                name,
                within,
            } => Ok(reported(event, name, *within)),
            Op::UntilWaiters {
                client,
                name,
                count,
            } => self.until_waiters(client, name, *count)?,
            Op::Client { .. }
            | Op::Start { .. }
            | Op::Pending { .. }
            | Op::Join { .. }
            | Op::Redis { .. } => {
                return Err("this step cannot run in the background".to_owned());
            }
        })
    }

    fn until_waiters(&self, client: &str, name: &str, count: u64) -> Result<Outcome, String> {
        let client = self.client(client)?;
        let start = Instant::now();
        loop {
            let found = match client.inspect(name) {
                Ok(found) => found,
                Err(failed) => return Ok(Err(failed)),
            };
            if found["waiters"].as_u64().unwrap_or(0) == count {
                return Ok(Ok(Value::Null));
            }
            if start.elapsed() > WAITERS_LIMIT {
                return Err(format!("still {found} after {WAITERS_LIMIT:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn keep(&self, keep_as: Option<&str>, lease: Arc<dyn FaceLease>) {
        let mut leases = self.leases.lock().unwrap();
        let unnamed = format!("unnamed {}", leases.len());
        let keep_as = keep_as.unwrap_or(&unnamed).to_owned();
        let look = lease.look();
        // Several have several of them.
        if let Some(owner) = look["owner"].as_str() {
            let words = &mut self.words.lock().unwrap().leases;
            words.insert(format!("owner:{keep_as}"), owner.to_owned());
            words.insert(format!("token:{keep_as}"), look["token"].to_string());
        }
        leases.insert(keep_as, lease);
    }

    fn client(&self, name: &str) -> Result<Arc<dyn FaceClient>, String> {
        let clients = self.clients.lock().unwrap();
        clients
            .get(name)
            .cloned()
            .ok_or_else(|| format!("no client {name}"))
    }

    fn lease(&self, name: &str) -> Result<Arc<dyn FaceLease>, String> {
        let leases = self.leases.lock().unwrap();
        leases
            .get(name)
            .cloned()
            .ok_or_else(|| format!("no lease {name}"))
    }
}

fn judge(step: &Step, outcome: Outcome, took: Duration) -> Result<(), String> {
    match (outcome, &step.error, &step.expect) {
        (Err(failed), None, _) => Err(format!("failed: {failed}"))?,
        (Err(failed), Some(error), _) if !matches(&failed.value(), error) => {
            Err(format!("failed otherwise: {failed}"))?;
        }
        (Ok(value), Some(_), _) => Err(format!("did not fail: {value}"))?,
        (Ok(value), None, Some(expect)) if !matches(&value, expect) => {
            Err(format!("gave {value}, not {expect}"))?;
        }
        _ => {}
    }
    let took = took.as_secs_f64() * 1000.0;
    match step.took {
        Some((least, most)) if took < least || took > most => Err(format!("took {took:.0} ms")),
        _ => Ok(()),
    }
}

fn plain_value(reply: redis::Value) -> Value {
    match reply {
        redis::Value::Int(number) => json!(number),
        redis::Value::BulkString(bytes) => json!(String::from_utf8_lossy(&bytes)),
        redis::Value::SimpleString(text) => json!(text),
        redis::Value::Okay => json!("OK"),
        redis::Value::Array(items) => items.into_iter().map(plain_value).collect(),
        redis::Value::Nil => Value::Null,
        other => panic!("a plain reply, not {other:?}"),
    }
}
