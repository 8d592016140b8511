//! The arguments of an acquire, and their checks. Nothing is sent before these pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::limit::{Limit, MAX_PERMITS};
use crate::name::{self, LockId, Name};
use crate::observe::Context;

/// The lease when none is named.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// Below this a lease could end within an ordinary round trip or scheduling delay.
pub const MIN_TTL: Duration = Duration::from_millis(100);
/// Far past any use, and far below where milliseconds would overflow.
pub const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a command may go unanswered before the server counts as unreachable.
pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// The unit in which the caller writes durations, and in which error texts give them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, as in Python.
    #[default]
    Seconds,
    /// Milliseconds, as in Node.
    Milliseconds,
}

impl Unit {
    /// A field's name as the caller writes it: `max_hold`, or `maxHold` where durations are milliseconds.
    fn field(self, name: &'static str) -> std::borrow::Cow<'static, str> {
        match self {
            Self::Seconds => name.into(),
            Self::Milliseconds => {
                let mut camel = String::new();
                for (at, word) in name.split('_').enumerate() {
                    let (first, rest) = word.split_at(usize::from(!word.is_empty()));
                    if at == 0 {
                        camel.push_str(first);
                    } else {
                        camel.push_str(&first.to_uppercase());
                    }
                    camel.push_str(rest);
                }
                camel.into()
            }
        }
    }

    /// A client's option as the caller writes it; where durations are milliseconds, those of TLS are in an object `tls`.
    pub(crate) fn option(self, name: &'static str) -> std::borrow::Cow<'static, str> {
        match (self, name) {
            (Self::Milliseconds, "tls_ca") => "tls.ca".into(),
            (Self::Milliseconds, "tls_cert") => "tls.cert".into(),
            (Self::Milliseconds, "tls_key") => "tls.key".into(),
            (Self::Milliseconds, "tls_insecure_skip_verify") => "tls.insecureSkipVerify".into(),
            _ => self.field(name),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
        }
    }

    fn show(self, duration: Duration) -> String {
        match self {
            Self::Seconds => format!("{} s", duration.as_secs_f64()),
            Self::Milliseconds => format!("{} ms", duration.as_millis()),
        }
    }
}

/// A duration from a number in `unit`, rounded down to the millisecond.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when it is negative, infinite or not a number.
pub fn duration(field: &'static str, value: f64, unit: Unit) -> Result<Duration> {
    if !value.is_finite() || value < 0.0 {
        return Err(Error::invalid(format!(
            "{} is {value}; it must be a finite number of {}, zero or more",
            unit.field(field),
            unit.name()
        )));
    }
    let millis = match unit {
        // Half a microsecond of grace: 0.29 s is 289.99999999999997 ms, and means 290.
        Unit::Seconds => value * 1000.0 + 0.0005,
        Unit::Milliseconds => value,
    };
    // Past the largest TTL every value is refused or means "for ever long"; `as` saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Duration::from_millis(millis as u64))
}

/// A number that is whole, and none other.
fn whole(value: f64) -> Option<u32> {
    // Both ends are whole numbers that a float can say.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value as u32;
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(whole)
}

/// A number of replicas from any number.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when it is negative or not whole.
pub fn replicas(value: f64) -> Result<u32> {
    whole(value).ok_or_else(|| {
        Error::invalid(format!(
        "replicas is {value}; it must be a whole number, zero or more: how many replicas have to have a lock"
    ))})
}

/// A number of permits from any number; its range is checked with the request.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when it is negative or not whole, or far too large.
pub fn permits(value: f64) -> Result<u32> {
    whole(value).ok_or_else(|| {
        Error::invalid(format!(
        "permits is {value}; it must be a whole number from 1 to {MAX_PERMITS}: how many may hold the name at the same time"
    ))})
}

/// How to take a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquireOptions {
    /// The lease: how long the name stays taken when nothing more is heard of the holder. 100 ms to 365 days.
    pub ttl: Duration,
    /// How long to wait for the name: `None` for ever, zero tries once.
    pub wait: Option<Duration>,
    /// Whether the lease is renewed in the background at a third of its TTL.
    pub renew: bool,
    /// How long the name may be held in all, renewals included. At least `ttl`.
    pub max_hold: Option<Duration>,
    /// How long the name stays taken at the least, counted from when it was acquired, also where it is given back sooner. At
    /// most `max_hold`, and 365 days.
    pub min_hold: Option<Duration>,
    /// For people: leads the owner string. At most 128 bytes.
    pub label: Option<String>,
    /// Whether others may hold the name at the same time who ask for it shared, too, or with `permits`.
    pub shared: bool,
    /// How many may hold the name at the same time, this one included. 1 to 10,000, where 1 is an exclusive lock, as `None`
    /// is. Not together with `shared`.
    pub permits: Option<u32>,
}

impl Default for AcquireOptions {
    fn default() -> Self {
        Self {
            ttl: DEFAULT_TTL,
            wait: None,
            renew: true,
            max_hold: None,
            min_hold: None,
            label: None,
            shared: false,
            permits: None,
        }
    }
}

/// Collects the options of an acquire that `client` is asked for.
#[derive(Clone, Debug)]
pub(crate) struct AcquireBuilder<C> {
    pub(crate) client: C,
    name: String,
    pub(crate) options: AcquireOptions,
}

impl<C: Clone> AcquireBuilder<C> {
    pub(crate) fn new(client: &C, name: String) -> Self {
        Self {
            client: client.clone(),
            name,
            options: AcquireOptions::default(),
        }
    }

    pub(crate) fn request(&self) -> Result<Request> {
        Request::new(&self.name, self.options.clone(), Unit::Seconds)
    }
}

/// Declares the types that collect an acquire's options, with a setter each.
macro_rules! setters {
    ($($(#[$meta:meta])* pub struct $name:ident($inner:ty);)+) => {$(
        $(#[$meta])*
        pub struct $name($inner);

        impl $name {
            /// How long the lock stays taken when nothing more is heard of its holder; 30 s without it.
            pub fn ttl(mut self, ttl: std::time::Duration) -> Self {
                self.0.options.ttl = ttl;
                self
            }

            /// Whether the lease is renewed in the background; it is without this.
            pub fn renew(mut self, renew: bool) -> Self {
                self.0.options.renew = renew;
                self
            }

            /// How long the lock may be held in all, counted from the command that took it.
            pub fn max_hold(mut self, max_hold: std::time::Duration) -> Self {
                self.0.options.max_hold = Some(max_hold);
                self
            }

            /// How long the lock stays taken at the least, counted from when it was acquired: given back sooner, it is free only
            /// then. For jobs that clocks start a moment apart. Whoever dies while holding it has it for the TTL and no
            /// longer.
            pub fn min_hold(mut self, min_hold: std::time::Duration) -> Self {
                self.0.options.min_hold = Some(min_hold);
                self
            }

            /// For people: leads the owner string. At most 128 bytes.
            pub fn label(mut self, label: impl Into<String>) -> Self {
                self.0.options.label = Some(label.into());
                self
            }

            /// Shares the lock with whoever asks for it so, too: any number of readers, or one writer, who asks without this.
            pub fn shared(mut self) -> Self {
                self.0.options.shared = true;
                self
            }

            /// Has at most so many hold the lock at the same time, this one included: 1 to 10,000, where 1 is an exclusive
            /// lock. Each request keeps to its own number.
            pub fn permits(mut self, permits: u32) -> Self {
                self.0.options.permits = Some(permits);
                self
            }
        }
    )+};
}
pub(crate) use setters;

/// A checked request for a lock, ready to be sent.
#[derive(Clone)]
pub struct Request {
    name: Name,
    options: AcquireOptions,
    unit: Unit,
    context: Option<Context>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// Checks everything.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn new(name: &str, mut options: AcquireOptions, unit: Unit) -> Result<Self> {
        let name = Name::new(name)?;
        options.ttl = floor(options.ttl);
        options.wait = options.wait.map(floor);
        options.max_hold = options.max_hold.map(floor);
        options.min_hold = options.min_hold.map(floor);
        check_ttl(options.ttl, unit)?;
        if let Some(max_hold) = options.max_hold
            && max_hold < options.ttl
        {
            return Err(Error::invalid(format!(
                "{} is {}, shorter than the ttl of {}; it bounds the whole time a lock is held, \
                 so it must be at least the ttl",
                unit.field("max_hold"),
                unit.show(max_hold),
                unit.show(options.ttl)
            )));
        }
        if let Some(min_hold) = options.min_hold {
            check_min_hold(min_hold, options.max_hold, unit)?;
        }
        if let Some(label) = &options.label {
            name::check_label(label)?;
        }
        Limit::new(options.shared, options.permits)?;
        Ok(Self {
            name,
            options,
            unit,
            context: None,
        })
    }

    /// Leaves its `min_hold` to whoever asks for several locks.
    pub(crate) fn take_min_hold(&mut self) -> Option<Duration> {
        self.options.min_hold.take()
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lock that is requested, within `app_id`.
    pub(crate) fn lock(&self, app_id: &Arc<str>) -> LockId {
        LockId::new(app_id, self.name.clone())
    }

    /// How many may hold the lock while this one does.
    pub(crate) fn limit(&self) -> Limit {
        Limit::checked(self.options.shared, self.options.permits)
    }

    /// The options, with durations rounded down to the millisecond.
    #[must_use]
    pub fn options(&self) -> &AcquireOptions {
        &self.options
    }

    /// This request, with something that comes back with each [`LockEvent`](crate::LockEvent) of its acquire and its lease.
    #[doc(hidden)]
    #[must_use]
    pub fn in_context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    pub(crate) fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// This request, to be tried once.
    #[must_use]
    pub(crate) fn without_wait(mut self) -> Self {
        self.options.wait = Some(Duration::ZERO);
        self
    }

    /// This request, to be waited for so long.
    #[must_use]
    pub(crate) fn with_wait(mut self, wait: Option<Duration>) -> Self {
        self.options.wait = wait;
        self
    }

    /// This request, to be waited for as long as it takes.
    #[must_use]
    pub(crate) fn without_limit(mut self) -> Self {
        self.options.wait = None;
        self
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }
}

/// Checks a TTL; the error says which unit it was read in.
pub(crate) fn check_ttl(ttl: Duration, unit: Unit) -> Result<()> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "ttl is {}; it must be between {} and 365 days ({}), and it is read in {}",
        unit.show(ttl),
        unit.show(MIN_TTL),
        unit.show(MAX_TTL),
        unit.name()
    )))
}

/// Checks how long a name is to stay taken at the least.
fn check_min_hold(min_hold: Duration, max_hold: Option<Duration>, unit: Unit) -> Result<()> {
    let field = unit.field("min_hold");
    if min_hold > MAX_TTL {
        return Err(Error::invalid(format!(
            "{field} is {}; it must be at most 365 days, and it is read in {}",
            unit.show(min_hold),
            unit.name()
        )));
    }
    match max_hold {
        Some(max_hold) if max_hold < min_hold => Err(Error::invalid(format!(
            "{field} is {}, longer than {}, which ends the lease after {}",
            unit.show(min_hold),
            unit.field("max_hold"),
            unit.show(max_hold)
        ))),
        _ => Ok(()),
    }
}

/// Checks a command time-out.
pub(crate) fn check_command_timeout(timeout: Duration, unit: Unit) -> Result<()> {
    if timeout >= Duration::from_millis(1) && timeout <= MAX_TTL {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} is {}; it must be more than zero and at most 365 days, and it is read in {}",
        unit.field("command_timeout"),
        unit.show(timeout),
        unit.name()
    )))
}

/// Rounds down to whole milliseconds, in which the stores count.
pub(crate) fn floor(duration: Duration) -> Duration {
    Duration::new(duration.as_secs(), duration.subsec_millis() * 1_000_000)
}
