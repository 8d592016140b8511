//! The scripts of the core, as it sends them.

use std::sync::LazyLock;

/// A script: its text and its hash.
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) hash: String,
}

macro_rules! source {
    ($name:literal) => {
        include_str!(concat!(
            "../../../core/src/store/redis/scripts/",
            $name,
            ".lua"
        ))
    };
}

fn script(text: &str) -> Script {
    let text = text
        .replace("--@include hand_over.lua", source!("hand_over"))
        .replace("--@include holders.lua", source!("holders"))
        .replace("--@include holder.lua", source!("holder"))
        .replace("--@include token.lua", source!("token"));
    let hash = sha1_smol::Sha1::from(&text).digest().to_string();
    Script { text, hash }
}

pub(crate) static WAIT: LazyLock<Script> = LazyLock::new(|| script(source!("wait")));
pub(crate) static RELEASE: LazyLock<Script> = LazyLock::new(|| script(source!("release")));
pub(crate) static RENEW: LazyLock<Script> = LazyLock::new(|| script(source!("renew")));
