//! Connections beside the shared one, which end with it, and all of them where the server has moved.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Connections, Link};
use crate::error::Error;
use crate::store::redis::config::Address;
use crate::store::redis::socket::Socket;
use crate::store::{Event, Failure};
use crate::sync::lock;

impl Link {
    /// Whether a connection to `address` that was made beside the shared one, under the number `epoch`, may be used. It ends with
    /// the shared one.
    pub(in crate::store::redis) fn admits(
        &self,
        epoch: u64,
        address: &Arc<Address>,
        socket: &Arc<Socket>,
    ) -> bool {
        let mut connections = lock(&self.connections);
        if self.epoch() != epoch || !self.server.locator.is_current(address) {
            return false;
        }
        let beside = &mut connections.beside;
        beside.retain(|(_, socket)| socket.strong_count() > 0);
        beside.push((address.clone(), Arc::downgrade(socket)));
        true
    }

    /// The connection numbered `epoch` has ended. Where that was the newest one, those beside it end, too: the next one may
    /// lead to another server.
    pub(super) fn end_beside(&self, connections: &mut Connections, epoch: u64) {
        if self.epoch.load(Ordering::Acquire) == epoch && !connections.closed {
            self.epoch.store(epoch + 1, Ordering::Release);
            connections.end_beside(|_| true);
        }
    }

    /// The server is at `address` now. Whatever leads elsewhere ends, and what is in flight there stays unanswered.
    pub(in crate::store::redis) fn move_to(&self, address: &Address) {
        let mut has_left = false;
        self.change(true, |connections| {
            let leaves = |there: &Address| there != address;
            connections.failed = None;
            connections.failures = 0;
            let was_tried = connections.tried.take_if(|tried| leaves(tried)).is_some();
            if was_tried && let Some(connecting) = connections.connecting.take() {
                // A connection to a server that has vanished takes its time to fail.
                let error = Error::unavailable(format!("the server has moved to {address}"));
                connecting.tell(Err(Failure::unsent(error)));
            }
            let live = connections.live.take_if(|live| leaves(&live.address));
            let suspect = connections.suspect.drain(..).filter_map(|it| it.upgrade());
            let (gone, stay): (Vec<_>, Vec<_>) = suspect.partition(|it| leaves(&it.address));
            connections.suspect = stay.iter().map(Arc::downgrade).collect();
            live.iter().chain(&gone).for_each(|it| it.end());
            let is_left = connections.end_beside(leaves) || live.is_some() || !gone.is_empty();
            if is_left {
                self.epoch.fetch_add(1, Ordering::AcqRel);
            }
            has_left = is_left || was_tried;
            has_left
        });
        if has_left {
            let scope = self.scope.clone();
            (self.host.listener)(Event::Succeeded { scope });
        }
    }
}

impl Connections {
    /// Ends those beside the shared one that lead where `leaves` says; whether there were any.
    fn end_beside(&mut self, leaves: impl Fn(&Address) -> bool) -> bool {
        let mut is_any = false;
        self.beside.retain(|(address, socket)| {
            let Some(socket) = socket.upgrade() else {
                return false;
            };
            let is_left = leaves(address);
            if is_left {
                // Whoever reads there finds its end.
                let _ = socket.shutdown(Shutdown::Both);
                is_any = true;
            }
            !is_left
        });
        is_any
    }
}
