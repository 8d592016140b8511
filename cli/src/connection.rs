//! Where the locks are: the options that every command has.

use std::env;

use leaselock::Client;

use crate::exit::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where the locks are")]
pub(crate) struct Connection {
    /// The store: redis://HOST:PORT, rediss://… for TLS, unix:/PATH, file:PATH.db; without it, what LEASELOCK_URL says
    ///
    /// A password is better kept in LEASELOCK_URL: every user of the machine can read command lines.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,

    /// The application whose locks these are; without it, what LEASELOCK_APP_ID says, or none
    #[arg(long, global = true, value_name = "ID")]
    app_id: Option<String>,

    /// Where the server is reached that sentinels or a cluster announce under another address; may be repeated
    ///
    /// For servers behind NAT or in containers: --address-map 10.0.0.7:6379=localhost:7001
    #[arg(long, global = true, value_name = "ADDRESS=REACHABLE", value_parser = pair)]
    address_map: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (announced, reachable) = text
        .split_once('=')
        .ok_or("it is to be two addresses, as in 10.0.0.7:6379=localhost:7001")?;
    Ok((announced.to_owned(), reachable.to_owned()))
}

impl Connection {
    /// A client of that store. Nothing is connected yet.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let mut builder = Client::builder();
        match &self.url {
            Some(url) => builder = builder.url(url),
            None if env::var_os("LEASELOCK_URL").is_none_or(|url| url.is_empty()) => {
                return Err(Failure::new(
                    Exit::USAGE,
                    "no URL: give one by --url, such as --url redis://localhost:6379, \
                     or set the environment variable LEASELOCK_URL to one",
                ));
            }
            None => {}
        }
        if let Some(app_id) = &self.app_id {
            builder = builder.app_id(app_id);
        }
        let pairs = self.address_map.iter().cloned();
        Ok(builder.address_map(pairs).build()?)
    }
}
