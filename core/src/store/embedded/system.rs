//! What an embedded store needs of the system that each has in another way: files that others may not read, and know again;
//! inboxes; how a path is written in a URL.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{
    Alone, Identity, InboxReader, file_system, free, identity, inode, make_directory, make_inbox,
    mode, open_inbox, path_of_url, private,
};
#[cfg(windows)]
pub(super) use windows::{
    Alone, Identity, InboxReader, file_system, free, identity, inode, make_directory, make_inbox,
    mode, open_inbox, path_of_url, private,
};

/// Why nothing can be written into an inbox.
pub(super) enum Unreachable {
    /// Nobody reads it any more: its process has ended.
    Abandoned,
    /// There is none.
    Missing,
    /// Something that says nothing of its process.
    Failed,
}
