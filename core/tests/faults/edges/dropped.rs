//! A client that is dropped while news comes in.

use crate::client_at;
use crate::common::{Server, ms, until};

/// Tells a client, many times over, that one is next who does not wait there.
const NEWS: &str = "for _ = 1, 6000 do redis.call('PUBLISH', ARGV[1], ARGV[2]) end";

/// Whoever reads the news may be the last to have the client then.
#[test]
fn a_client_that_is_dropped_while_news_comes_in_closes_its_connection() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let over = runtime.block_on(async { tokio::spawn(drop_clients()).await });
    // A thread that hangs is not waited for.
    runtime.shutdown_background();
    over.unwrap();
}

async fn drop_clients() {
    for server in Server::each(&[]) {
        let holder = client_at(&server.url());
        let held = holder.acquire("res").ttl(ms(600_000)).await.unwrap();
        let before = server.connections();
        for round in 0..150 {
            let client = client_at(&server.url());
            // Listening.
            client.acquire("res").wait(ms(1)).await.unwrap_err();
            client.settled().await;
            let inbox = format!("lock||inbox||{}", client.id());
            let next = format!("1\nnext\nlock||res\n{:032x}\n1000", 0);
            server.run(&["EVAL", NEWS, "0", &inbox, &next]);
            // While they are being read.
            std::thread::sleep(ms(1 + round % 10));
            drop(client);
            let closed = async || server.connections() <= before;
            until("its connection is closed", ms(10_000), closed).await;
        }
        assert!(held.release().await.unwrap());
    }
}
