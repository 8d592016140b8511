//! Which server is played.

/// The server that is played: they differ in some texts, and in when they send what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Redis 7.0.
    #[default]
    Redis7,
    /// Valkey 9.
    Valkey9,
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server that is played.
    pub flavour: Flavour,
    /// The version that it tells of itself, such as `7.0.15`.
    pub version: String,
    /// The password of the default user; none: everybody is let in.
    pub password: Option<String>,
    /// How many databases there are.
    pub databases: usize,
    /// Where its random numbers begin: they choose what `ZRANDMEMBER` answers.
    pub seed: u64,
}

impl Config {
    /// A server of this flavour, in a usual version, that lets everybody in.
    #[must_use]
    pub fn new(flavour: Flavour) -> Self {
        let version = match flavour {
            Flavour::Redis7 => "7.0.15",
            Flavour::Valkey9 => "9.1.2",
        };
        Self {
            flavour,
            version: version.to_owned(),
            password: None,
            databases: 16,
            seed: 0,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(Flavour::default())
    }
}

impl Flavour {
    /// As it names itself in its messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redis7 => "Redis",
            Self::Valkey9 => "Valkey",
        }
    }

    pub(super) fn is_valkey(self) -> bool {
        self == Self::Valkey9
    }
}
