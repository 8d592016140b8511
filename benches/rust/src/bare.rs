//! The limit: a plain socket that sends exactly the bytes that leaselock sends, and reads as many as are answered.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde::Deserialize;

use crate::meter::Slice;
use crate::protocol::{Request, answer, requests};

/// One write and the length of its reply.
#[derive(Deserialize)]
struct Exchange {
    send: String,
    reply: usize,
}

#[derive(Deserialize)]
pub struct Options {
    pair: Vec<Exchange>,
}

pub fn run(url: &str, options: Options) -> Result<(), Box<dyn Error>> {
    let address = url.trim_start_matches("redis://");
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    answer(&serde_json::json!({ "ready": true }));
    let mut buffer = vec![0; 4096];
    for request in requests() {
        let Request::Pairs { seconds, .. } = request else {
            return Err("a bare socket only runs pairs".into());
        };
        let slice = Slice::start(seconds);
        let mut pairs = 0;
        while slice.goes_on() {
            for exchange in &options.pair {
                socket.write_all(exchange.send.as_bytes())?;
                let mut length = 0;
                while length < exchange.reply {
                    match socket.read(&mut buffer[length..])? {
                        0 => return Err("the server has gone".into()),
                        read => length += read,
                    }
                }
            }
            pairs += 1;
        }
        answer(&slice.result(pairs));
    }
    Ok(())
}
