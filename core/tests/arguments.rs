//! Bad input: the typed error, before anything is sent. A listener stands where the server would be and counts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use leaselock::{AcquireOptions, Client, Error, ErrorKind, Request, Unit, blocking, duration};
use proptest::prelude::*;
use tokio::runtime::Runtime;

/// The bounds as the contract names them.
const MIN_TTL: Duration = Duration::from_millis(100);
const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where every client here would connect to, were it to send anything.
struct Trap {
    url: String,
    touched: Arc<AtomicUsize>,
    runtime: Runtime,
}

static TRAP: LazyLock<Trap> = LazyLock::new(|| {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("its address"));
    let touched = Arc::new(AtomicUsize::new(0));
    let count = touched.clone();
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, SeqCst);
        }
    });
    Trap {
        url,
        touched,
        runtime: Runtime::new().expect("a runtime"),
    }
});

impl Trap {
    fn client(&self) -> Client {
        let _inside = self.runtime.enter();
        Client::builder()
            .url(&self.url)
            .command_timeout(Duration::from_millis(200))
            .build()
            .expect("good arguments")
    }

    fn blocking(&self) -> blocking::Client {
        Client::builder()
            .url(&self.url)
            .command_timeout(Duration::from_millis(200))
            .build_blocking()
            .expect("good arguments")
    }

    fn untouched(&self) {
        assert_eq!(self.touched.load(SeqCst), 0, "something was sent");
    }
}

/// A typed error, with a text for people.
fn invalid<T>(what: &str, result: Result<T, Error>) {
    match result {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
            assert!(error.message().len() > 15, "{what}: {error}");
            assert!(
                !error.message().chars().any(char::is_control),
                "{what}: {error:?}"
            );
            assert_eq!(error.loss_reason(), None);
        }
    }
}

fn options(change: impl FnOnce(&mut AcquireOptions)) -> AcquireOptions {
    let mut options = AcquireOptions::default();
    change(&mut options);
    options
}

fn bad_name() -> impl Strategy<Value = String> {
    let control = prop_oneof![
        (0_u32..0x20).prop_map(|c| char::from_u32(c).unwrap()),
        (0x7f_u32..0xa0).prop_map(|c| char::from_u32(c).unwrap()),
    ];
    prop_oneof![
        Just(String::new()),
        "[a-zé]{513,600}",
        "[é]{257,300}",
        "[a-z]{0,8}\\|\\|[a-z]{0,8}",
        "\\|[a-z]{1,8}",
        "[a-z]{1,8}\\|",
        ("[a-z]{0,8}", control, "[a-z]{0,8}").prop_map(|(a, c, b)| format!("{a}{c}{b}")),
    ]
}

/// These are bad for owners and labels, too, less the bars.
fn bad_owner() -> impl Strategy<Value = String> {
    bad_name().prop_filter("bars are fine in an owner", |owner| {
        owner.is_empty() || owner.len() > 512 || owner.chars().any(char::is_control)
    })
}

fn bad_ttl() -> impl Strategy<Value = Duration> {
    let below = u64::try_from(MIN_TTL.as_nanos()).unwrap();
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_nanos(99_999_999)),
        Just(MAX_TTL + Duration::from_millis(1)),
        (0..below).prop_map(Duration::from_nanos),
        (MAX_TTL.as_secs() + 1..u64::MAX).prop_map(Duration::from_secs),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_name_is_refused_by_everything_that_takes_one(name in bad_name()) {
        let (trap, client, blocking) = (&*TRAP, TRAP.client(), TRAP.blocking());
        trap.runtime.block_on(async {
            invalid("acquire", client.acquire(&name).await);
            invalid("try_acquire", client.try_acquire(&name).await);
            invalid("release", client.release(&name, "owner").await);
            invalid("force_release", client.force_release(&name).await);
            invalid("inspect", client.inspect(&name).await);
        });
        invalid("acquire", blocking.acquire(&name).call());
        invalid("try_acquire", blocking.try_acquire(&name).call());
        invalid("release", blocking.release(&name, "owner"));
        invalid("force_release", blocking.force_release(&name));
        invalid("inspect", blocking.inspect(&name));
        trap.untouched();
    }

    #[test]
    fn a_bad_owner_is_refused(owner in bad_owner()) {
        let client = TRAP.client();
        invalid("owner", TRAP.runtime.block_on(client.release("res", &owner)));
        invalid("owner", TRAP.blocking().release("res", &owner));
        TRAP.untouched();
    }

    #[test]
    fn a_bad_app_id_is_refused(
        app_id in prop_oneof![
            "[a-z]{257,300}", "[é]{129,200}", "[a-z]{0,4}\\|\\|[a-z]{0,4}", "\\|[a-z]{0,4}", "[a-z]{0,4}\\|", "[a-z]{0,4}\n",
            "\u{85}[a-z]{0,4}",
        ]
    ) {
        let builder = || Client::builder().url(&TRAP.url).app_id(&app_id);
        invalid("app id", builder().build());
        invalid("app id", builder().build_blocking());
        TRAP.untouched();
    }

    #[test]
    fn a_ttl_out_of_range_is_refused(ttl in bad_ttl()) {
        let (client, blocking) = (TRAP.client(), TRAP.blocking());
        TRAP.runtime.block_on(async {
            invalid("ttl", client.acquire("res").ttl(ttl).await);
            invalid("ttl", client.try_acquire("res").ttl(ttl).await);
        });
        invalid("ttl", blocking.acquire("res").ttl(ttl).call());
        invalid("ttl", blocking.try_acquire("res").ttl(ttl).call());
        TRAP.untouched();
    }

    #[test]
    fn a_max_hold_shorter_than_the_ttl_is_refused(ttl in 100_u64..100_000, less in 1_u64..100_000) {
        let ttl = Duration::from_millis(ttl);
        let max_hold = ttl.saturating_sub(Duration::from_millis(less));
        let client = TRAP.client();
        TRAP.runtime.block_on(async {
            invalid("max_hold", client.acquire("res").ttl(ttl).max_hold(max_hold).await);
            invalid("max_hold", client.try_acquire("res").ttl(ttl).max_hold(max_hold).await);
        });
        TRAP.untouched();
    }

    #[test]
    fn a_min_hold_longer_than_max_hold_is_refused(max_hold in 100_u64..100_000, more in 1_u64..100_000) {
        let (min_hold, max_hold) = (Duration::from_millis(max_hold + more), Duration::from_millis(max_hold));
        let client = TRAP.client();
        TRAP.runtime.block_on(async {
            let request = client.acquire("res").ttl(MIN_TTL).max_hold(max_hold);
            invalid("min_hold", request.min_hold(min_hold).await);
            let past = Duration::from_secs(365 * 24 * 3600) + Duration::from_millis(more);
            invalid("min_hold", client.try_acquire("res").min_hold(past).await);
        });
        TRAP.untouched();
    }

    #[test]
    fn a_bad_label_is_refused(label in prop_oneof!["[a-z]{129,200}", "[é]{65,100}", "[a-z]{0,4}\t[a-z]{0,4}", "\u{9f}"]) {
        let client = TRAP.client();
        TRAP.runtime.block_on(async {
            invalid("label", client.acquire("res").label(&label).await);
            invalid("label", client.try_acquire("res").label(&label).await);
        });
        TRAP.untouched();
    }

    #[test]
    fn a_bad_pattern_is_refused(pattern in bad_owner()) {
        invalid("pattern", TRAP.client().locks(&pattern));
        TRAP.untouched();
    }

    /// What a user may write as a number in a language without durations.
    #[test]
    fn a_number_that_is_no_duration_is_refused(
        value in prop_oneof![
            Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-f64::MIN_POSITIVE),
            -f64::MAX..-1e-9,
        ],
        seconds: bool,
    ) {
        let unit = if seconds { Unit::Seconds } else { Unit::Milliseconds };
        invalid("a duration", duration("wait", value, unit));
    }

    #[test]
    fn a_number_becomes_a_duration_rounded_down(millis in 0_u64..1_000_000_000_000, part in 0_u32..1000) {
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let written = millis as f64 + f64::from(part) / 1000.0;
        let read = duration("ttl", written, Unit::Milliseconds).unwrap();
        // A double of this size knows about a tenth of a microsecond.
        prop_assert!(read == Duration::from_millis(millis) || (part > 998 && read == Duration::from_millis(millis + 1)));
    }

    /// Seconds are decimal to people: every whole millisecond is read as itself.
    #[test]
    fn seconds_with_three_decimals_are_read_as_written(millis in 0_u64..100_000_000) {
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let seconds = millis as f64 / 1000.0;
        prop_assert_eq!(duration("ttl", seconds, Unit::Seconds).unwrap(), Duration::from_millis(millis));
    }

    #[test]
    fn any_text_at_all_is_a_name_or_an_error_and_never_a_panic(name in "\\PC{0,40}|.{0,40}", label in ".{0,20}") {
        let options = options(|options| options.label = Some(label));
        if let Err(error) = Request::new(&name, options, Unit::Seconds) {
            prop_assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
        for url in [name.clone(), format!("redis://{name}"), format!("unix:{name}")] {
            if let Err(error) = Client::new(&url) {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            }
        }
    }
}

#[test]
fn field_bug_30_the_error_says_which_unit_it_reads() {
    let options = |ttl| options(|options| options.ttl = ttl);
    // Thirty was meant as seconds, and read as milliseconds.
    let ttl = duration("ttl", 30.0, Unit::Milliseconds).unwrap();
    let error = Request::new("res", options(ttl), Unit::Milliseconds).expect_err("too short");
    assert!(error.message().contains("30 ms"), "{error}");
    assert!(error.message().contains("milliseconds"), "{error}");
    // 30 000 000 000 was meant as nanoseconds or some such, and read as seconds.
    let ttl = duration("ttl", 3e10, Unit::Seconds).unwrap();
    let error = Request::new("res", options(ttl), Unit::Seconds).expect_err("too long");
    assert!(error.message().contains("in seconds"), "{error}");
    let error = duration("wait", -1.0, Unit::Seconds).expect_err("negative");
    assert!(error.message().contains("seconds"), "{error}");
    assert!(error.message().contains("wait"), "{error}");
}

#[test]
fn a_client_with_bad_arguments_is_not_made() {
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let builder = || Client::builder().url(&TRAP.url).command_timeout(timeout);
        invalid("command_timeout", builder().build());
        invalid("command_timeout", builder().build_blocking());
    }
    for url in [
        "",
        " ",
        "localhost",
        "localhost:6379",
        "http://localhost",
        "redis",
        "redis:",
        "redis://",
        "redis://host:99999",
        "redis://host:port",
        "redis://host/x",
        "redis://host/-1",
        "memcached://x",
        "rediss://host#insecure",
        "redis://[::1",
        "\0",
        "redis://ho st",
    ] {
        for result in [
            Client::new(url).map(drop),
            blocking::Client::new(url).map(drop),
        ] {
            if let Err(error) = &result {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url:?}: {error}");
            } else {
                // The only ones that can mean something: the local default host, spelled out by the user.
                assert!(url.starts_with("redis:"), "{url:?} was accepted");
            }
        }
    }
    TRAP.untouched();
}

#[test]
fn without_any_url_the_error_shows_both_ways() {
    // Tests run without LEASELOCK_URL; were it set, there would be nothing to show.
    if std::env::var_os("LEASELOCK_URL").is_none() {
        let error = Client::from_env().map(drop).expect_err("no URL");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("LEASELOCK_URL"), "{error}");
        assert!(error.message().contains("redis://"), "{error}");
    }
}

#[test]
fn the_bounds_themselves_are_fine() {
    let fine = |change: fn(&mut AcquireOptions)| {
        Request::new("res", options(change), Unit::Seconds).expect("within the bounds")
    };
    fine(|options| options.ttl = MIN_TTL);
    fine(|options| options.ttl = MAX_TTL);
    fine(|options| options.wait = Some(Duration::ZERO));
    fine(|options| options.wait = Some(Duration::MAX));
    fine(|options| options.max_hold = Some(options.ttl));
    fine(|options| options.max_hold = Some(Duration::MAX));
    fine(|options| options.min_hold = Some(MAX_TTL));
    fine(|options| options.min_hold = Some(Duration::ZERO));
    fine(|options| (options.max_hold, options.min_hold) = (Some(MAX_TTL), Some(MAX_TTL)));
    fine(|options| options.label = Some("é".repeat(64)));
    for name in [
        "a".repeat(512),
        "é".repeat(256),
        "a|b".into(),
        "{a}".into(),
        "x{a}{}".into(),
        "task:{}".into(),
        "{".into(),
        "}{".into(),
        " ".into(),
    ] {
        Request::new(&name, AcquireOptions::default(), Unit::Seconds).expect("a name");
    }
}
