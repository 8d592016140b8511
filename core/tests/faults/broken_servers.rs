//! Servers that are broken or hostile: a typed error in bounded time and memory, never a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use leaselock::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::ms;
use crate::{client_with, timed};

/// What a fake server does with a connection.
#[derive(Clone)]
enum Act {
    /// Answers whatever arrives with these bytes.
    Answer(Vec<u8>),
    /// Sends these bytes for ever, asked or not.
    Flood(Vec<u8>),
    /// Closes after this many chunks from the client.
    CloseAfter(usize),
    /// Greets as a server does, then answers every command with this error.
    Error(&'static str),
    /// Greets as a server does, then answers the commands of all connections with these in turn, and then with the last.
    InTurn(&'static [&'static str], Arc<AtomicUsize>),
    /// Answers a few chunks with `+OK`, then with these bytes.
    ThenAnswer(usize, Vec<u8>),
}

/// A fake server on a free port, which counts its connections.
async fn fake(act: Act) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            tokio::spawn(serve(stream, act.clone()));
        }
    });
    (url, accepted)
}

async fn serve(mut stream: TcpStream, act: Act) {
    let mut buffer = vec![0; 65536];
    let mut chunks = 0;
    if let Act::Flood(bytes) = &act {
        while stream.write_all(bytes).await.is_ok() {}
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        chunks += 1;
        let answers = match &act {
            Act::Error(words) => Some(greeted(&buffer[..length], || format!("-{words}\r\n"))),
            Act::InTurn(answers, at) => Some(greeted(&buffer[..length], || {
                let at = at.fetch_add(1, SeqCst).min(answers.len() - 1);
                answers[at].to_owned()
            })),
            _ => None,
        };
        if let Some(answers) = answers {
            if stream.write_all(&answers).await.is_err() {
                return;
            }
            continue;
        }
        let answer: &[u8] = match &act {
            Act::CloseAfter(limit) if chunks >= *limit => return,
            Act::CloseAfter(_) => b"+OK\r\n",
            Act::ThenAnswer(limit, _) if chunks <= *limit => b"+OK\r\n",
            Act::Answer(bytes) | Act::ThenAnswer(_, bytes) => bytes,
            Act::Flood(_) | Act::Error(_) | Act::InTurn(..) => unreachable!("handled above"),
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// A reply to each command in `chunk`: the greeting is answered, everything else with `answer`.
fn greeted(chunk: &[u8], mut answer: impl FnMut() -> String) -> Vec<u8> {
    let text = String::from_utf8_lossy(chunk);
    let mut replies = Vec::new();
    for command in text.split('*').skip(1) {
        if command.contains("HELLO") {
            replies.extend(b"%1\r\n$5\r\nproto\r\n:3\r\n");
        } else if command.contains("CLIENT") {
            replies.extend(b"+OK\r\n");
        } else {
            replies.extend(answer().bytes());
        }
    }
    replies
}

/// The peak of this process's memory, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| {
            line.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<usize>()
                .ok()
        })
        .map_or(0, |kib| kib * 1024)
}

async fn survives(what: &'static str, act: Act) {
    let (url, accepted) = fake(act).await;
    let client = client_with(&url, ms(500));
    for attempt in 0..2 {
        let (taken, took) = timed(client.try_acquire("res").into_future()).await;
        let error = match taken {
            Err(error) => error,
            Ok(taken) => panic!("{what}, attempt {attempt}: {:?}", taken.map(|l| l.token())),
        };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
            ),
            "{what}: {error:?}"
        );
        assert!(took < ms(3_000), "{what}: {took:?}");
        assert!(
            error.message().len() < 2_000,
            "{what}: a message of {} bytes",
            error.message().len()
        );
    }
    for done in [
        timed(async { client.inspect("res").await.map(drop) }).await,
        timed(async { client.release("res", "someone").await.map(drop) }).await,
        timed(async { client.acquire("res").wait(ms(600)).await.map(drop) }).await,
        timed(async {
            client
                .locks("*")
                .unwrap()
                .next()
                .await
                .transpose()
                .map(drop)
        })
        .await,
    ] {
        let (result, took) = done;
        if let Err(error) = result {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::StoreUnavailable | ErrorKind::StoreRefused
                ),
                "{what}: {error:?}"
            );
        }
        assert!(took < ms(3_000), "{what}: {took:?}");
    }
    assert!(
        accepted.load(SeqCst) < 200,
        "{what}: {} connections",
        accepted.load(SeqCst)
    );
    let (_, took) = timed(client.close()).await;
    assert!(took < ms(1_500), "{what}: close took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_make_no_sense() {
    let before = peak_memory();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"\x00\xff\xfe\x01 not redis at all\r\n".to_vec()),
        (
            "another protocol",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        ("an empty line", b"\r\n".to_vec()),
        ("a number for everything", b":5\r\n".to_vec()),
        ("a status for everything", b"+OK\r\n".to_vec()),
        ("queued for everything", b"+QUEUED\r\n".to_vec()),
        ("null for everything", b"$-1\r\n".to_vec()),
        ("an empty list for everything", b"*0\r\n".to_vec()),
        ("a null list for everything", b"*-1\r\n".to_vec()),
        (
            "a list of the wrong types",
            b"*3\r\n$1\r\nx\r\n*0\r\n$-1\r\n".to_vec(),
        ),
        (
            "numbers out of range",
            b"*4\r\n:-9223372036854775808\r\n:-1\r\n:-1\r\n:-1\r\n".to_vec(),
        ),
        (
            "text that is not UTF-8",
            b"$4\r\n\xff\xfe\xfd\xfc\r\n".to_vec(),
        ),
        ("an error without words", b"-\r\n".to_vec()),
        (
            "a very long error",
            [b"-ERR ", &b"x".repeat(1 << 20)[..], b"\r\n"].concat(),
        ),
        ("a length that never comes", b"$1000\r\nshort".to_vec()),
        ("a huge length", b"$536870912\r\nx".to_vec()),
        (
            "a length past 64 bits",
            b"$99999999999999999999999\r\n".to_vec(),
        ),
        ("a negative length", b"$-5\r\n".to_vec()),
        ("a huge list", b"*1000000000\r\n".to_vec()),
        ("deep nesting", b"*1\r\n".repeat(200_000)),
        ("a line that never ends", vec![b'+'; 1 << 20]),
        (
            "a push message",
            b">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n".to_vec(),
        ),
    ];
    let mut trials = tokio::task::JoinSet::new();
    for (what, bytes) in cases {
        trials.spawn(survives(what, Act::Answer(bytes.clone())));
        trials.spawn(survives(what, Act::ThenAnswer(2, bytes)));
    }
    trials.join_all().await;
    let more = peak_memory().saturating_sub(before);
    assert!(more < 256 << 20, "{} MiB more", more >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_close_or_flood() {
    let before = peak_memory();
    for chunks in 1..5 {
        survives("closes", Act::CloseAfter(chunks)).await;
    }
    survives("floods with replies", Act::Flood(b"+OK\r\n".repeat(10_000))).await;
    survives("floods with one line", Act::Flood(vec![b'x'; 1 << 16])).await;
    let nested = Act::Flood(b"*1\r\n".repeat(10_000));
    survives("floods with nesting", nested).await;
    let more = peak_memory().saturating_sub(before);
    assert!(more < 512 << 20, "{} MiB more", more >> 20);
}

/// What passes by itself is retried and ends as unavailable; what does not is refused at once, in the server's own words.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_a_server_is_of_its_kind() {
    let passing = [
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script.",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "NOREPLICAS Not enough good replicas to write.",
    ];
    let lasting = [
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR something nobody has heard of",
    ];
    for (words, kind) in passing
        .map(|words| (words, ErrorKind::StoreUnavailable))
        .into_iter()
        .chain(lasting.map(|words| (words, ErrorKind::StoreRefused)))
    {
        // Past the connection's own greeting, every command meets this error.
        let (url, _) = fake(Act::Error(words)).await;
        let client = client_with(&url, ms(600));
        let (taken, took) = timed(client.acquire("res").into_future()).await;
        let error = taken.expect_err(words);
        assert_eq!(error.kind(), kind, "{words}: {error}");
        let code = words.split(' ').next().unwrap();
        assert!(error.message().contains(code), "{words}: {error}");
        if kind == ErrorKind::StoreRefused {
            assert!(took < ms(400), "{words}: {took:?}");
        } else {
            assert!(
                took > ms(150) && took < ms(1_500),
                "retried: {words}: {took:?}"
            );
        }
    }
}

/// A release that has begun to pass a name on past waiters that are gone, and is answered with an error on the way, has given
/// the name back all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_meets_an_error_past_many_dead_waiters_gave_the_lock_back() {
    let answers: &[&str] = &[
        "*3\r\n:1\r\n:1700000000000000\r\n:0\r\n",
        "*2\r\n:1\r\n:1\r\n",
        "-BUSY Redis is busy running a script.\r\n",
        "*2\r\n:0\r\n:0\r\n",
    ];
    let (url, _) = fake(Act::InTurn(answers, Arc::default())).await;
    let client = client_with(&url, ms(5_000));
    let lease = client.acquire("res").await.unwrap();
    assert!(lease.release().await.unwrap());
}
