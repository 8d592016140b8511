//! The scenario file: what it may contain, its placeholders, and how a value is matched.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/scenarios/scenarios.json"
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) id: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(default)]
    pub(crate) exclusive: bool,
    /// It runs from every language on every topology.
    #[serde(default)]
    pub(crate) everywhere: bool,
    /// The kinds of store it is for; all, when none is named.
    stores: Option<Vec<String>>,
    pub(crate) steps: Vec<Value>,
}

impl Scenario {
    /// Whether it is for stores of this kind.
    pub(crate) fn is_for(&self, kind: &str) -> bool {
        let stores = self.stores.as_ref();
        stores.is_none_or(|stores| stores.iter().any(|store| store == kind))
    }
}

pub(crate) fn read() -> Vec<Scenario> {
    let text = std::fs::read_to_string(PATH).unwrap_or_else(|error| panic!("{PATH}: {error}"));
    let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{PATH}: {error}"));
    assert_eq!(file.version, 1, "this driver reads version 1");
    file.scenarios
}

/// One step, with the placeholders already replaced.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) expect: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) took: Option<(f64, f64)>,
}

/// How to take a lock; an argument that is absent is not passed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    pub(crate) client: String,
    pub(crate) name: String,
    pub(crate) ttl: Option<f64>,
    pub(crate) wait: Option<f64>,
    pub(crate) renew: Option<bool>,
    pub(crate) max_hold: Option<f64>,
    pub(crate) min_hold: Option<f64>,
    pub(crate) label: Option<String>,
    pub(crate) shared: Option<bool>,
    pub(crate) permits: Option<u32>,
    #[serde(rename = "as")]
    pub(crate) keep_as: Option<String>,
}

/// How to take several locks; an argument that is absent is not passed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeAll {
    pub(crate) client: String,
    pub(crate) names: Vec<String>,
    pub(crate) ttl: Option<f64>,
    pub(crate) wait: Option<f64>,
    pub(crate) renew: Option<bool>,
    pub(crate) max_hold: Option<f64>,
    pub(crate) min_hold: Option<f64>,
    pub(crate) label: Option<String>,
    pub(crate) shared: Option<bool>,
    pub(crate) permits: Option<u32>,
    #[serde(rename = "as")]
    pub(crate) keep_as: Option<String>,
}

/// How to lead, and what the work does each time.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leading {
    pub(crate) client: String,
    pub(crate) name: String,
    pub(crate) ttl: Option<f64>,
    pub(crate) max_hold: Option<f64>,
    pub(crate) label: Option<String>,
    pub(crate) works: Vec<Work>,
}

/// What a leader's work does.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// It returns how often it has led.
    End,
    /// It fails.
    Raise,
    /// It goes on until it is stopped.
    Stay,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Op {
    Client {
        #[serde(rename = "as")]
        keep_as: String,
        app: Option<String>,
        command_timeout: Option<f64>,
    },
    Acquire(Take),
    TryAcquire(Take),
    AcquireAll(TakeAll),
    TryAcquireAll(TakeAll),
    Lead(Leading),
    Release {
        client: String,
        name: String,
        owner: String,
    },
    ForceRelease {
        client: String,
        name: String,
    },
    ExtendByOwner {
        client: String,
        name: String,
        owner: String,
        ttl: f64,
    },
    Inspect {
        client: String,
        name: String,
    },
    Locks {
        client: String,
        pattern: String,
    },
    ReleaseLease {
        lease: String,
    },
    Lease {
        lease: String,
    },
    Newer {
        lease: String,
        than: String,
    },
    Extend {
        lease: String,
        ttl: Option<f64>,
    },
    Check {
        lease: String,
    },
    Detach {
        lease: String,
    },
    WaitLost {
        lease: String,
        timeout: f64,
    },
    Stats {
        client: String,
    },
    Close {
        client: String,
    },
    Sleep {
        ms: f64,
    },
    UntilWaiters {
        client: String,
        name: String,
        count: u64,
    },
    Observed {
        name: String,
        label: Option<String>,
        #[serde(default)]
        renewals: bool,
        count: usize,
        within: f64,
    },
    Reported {
        event: String,
        name: String,
        within: f64,
    },
    Start {
        task: String,
        step: Value,
    },
    Pending {
        task: String,
    },
    Join {
        task: String,
    },
    Redis {
        args: Vec<String>,
    },
}

impl Step {
    /// Reads a step; a field it does not know is an error, so that a slip of the pen cannot weaken a scenario.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let mut fields: Map<String, Value> = value.as_object().ok_or("not an object")?.clone();
        fields.remove("note");
        let expect = fields.remove("expect");
        let error = fields.remove("error");
        let took = match fields.remove("took") {
            None => None,
            Some(took) => Some(serde_json::from_value(took).map_err(|e| format!("took: {e}"))?),
        };
        let op = serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())?;
        Ok(Self {
            op,
            expect,
            error,
            took,
        })
    }
}

/// What placeholders stand for.
pub(crate) struct Words {
    pub(crate) run: String,
    /// `owner:L` and `token:L` of every lease so far.
    pub(crate) leases: HashMap<String, String>,
}

impl Words {
    /// Replaces the placeholders in every text of `value`.
    pub(crate) fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill_text(text)?),
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill(item))
                .collect::<Result<_, _>>()?,
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(field, value)| Ok((field.clone(), self.fill(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other.clone(),
        })
    }

    fn fill_text(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            filled.push_str(before);
            let (word, after) = after
                .split_once('>')
                .ok_or_else(|| format!("a placeholder without an end in {text:?}"))?;
            match word
                .strip_prefix("repeat:")
                .and_then(|word| word.rsplit_once(':'))
            {
                Some((part, times)) => {
                    filled.push_str(&part.repeat(times.parse().map_err(|_| times.to_owned())?));
                }
                None if word == "run" => filled.push_str(&self.run),
                None => filled.push_str(
                    self.leases
                        .get(word)
                        .ok_or_else(|| format!("no such placeholder: <{word}>"))?,
                ),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Whether `value` is as `expected` by the rules of the format.
pub(crate) fn matches(value: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(fields) => match single(fields) {
            Some(("between", Value::Array(bounds))) => {
                let within = |n: f64| Some(bounds[0].as_f64()? <= n && n <= bounds[1].as_f64()?);
                value.as_f64().and_then(within) == Some(true)
            }
            Some(("prefix", Value::String(prefix))) => {
                value.as_str().is_some_and(|text| text.starts_with(prefix))
            }
            Some(("not", other)) => !matches(value, other),
            _ => fields
                .iter()
                .all(|(field, e)| value.get(field).is_some_and(|v| matches(v, e))),
        },
        Value::Array(items) => value.as_array().is_some_and(|values| {
            values.len() == items.len() && values.iter().zip(items).all(|(v, e)| matches(v, e))
        }),
        Value::Number(_) => value.is_number() && value.as_f64() == expected.as_f64(),
        other => value == other,
    }
}

fn single(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut fields = fields.iter();
    match (fields.next(), fields.next()) {
        (Some((field, value)), None) => Some((field, value)),
        _ => None,
    }
}
