//! Listing the held locks of an application, page by page.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock_info::LockInfo;
use crate::name;
use crate::shared::ClientCore;
use crate::store::Cursor;

/// The locks that match a pattern. Made by [`Client::locks`](crate::Client::locks).
pub struct Locks {
    client: Arc<ClientCore>,
    pattern: String,
    /// Where to go on; `None` at the end.
    cursor: Option<Cursor>,
    page: VecDeque<LockInfo>,
    /// A scan may name a key twice.
    seen: HashSet<String>,
}

impl Locks {
    pub(crate) fn new(client: Arc<ClientCore>, pattern: &str) -> Result<Self> {
        name::check_pattern(pattern)?;
        if client.is_closed() {
            return Err(Error::closed());
        }
        Ok(Self {
            client,
            pattern: pattern.to_owned(),
            cursor: Some(Cursor::default()),
            page: VecDeque::new(),
            seen: HashSet::new(),
        })
    }

    /// The next lock; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<LockInfo>> {
        loop {
            while let Some(found) = self.page.pop_front() {
                if self.seen.insert(found.name.clone()) {
                    return Some(Ok(found));
                }
            }
            let cursor = self.cursor.as_ref()?;
            let (client, pattern) = (&self.client, &self.pattern);
            let page = client
                .retrying(|| client.store.list(&client.app_id, pattern, cursor))
                .await;
            match page {
                Ok((page, _)) => {
                    self.cursor = page.next;
                    self.page = page.locks.into();
                }
                Err(error) => {
                    self.cursor = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
