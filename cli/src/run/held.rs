//! What the command runs under: a lease, or several that are held together.

use leaselock::{Client, Error, Lease, LeaseGroup, LossReason};

pub(super) enum Held {
    One(Lease),
    /// And the name that the command is told of first.
    Several(LeaseGroup, String),
}

impl Held {
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::One(lease) => lease.check(),
            Self::Several(group, _) => group.check(),
        }
    }

    /// Completes when it is lost.
    pub(super) async fn lost(&self) {
        match self {
            Self::One(lease) => lease.lost().await,
            Self::Several(group, _) => group.lost().await,
        };
    }

    pub(super) fn lost_error(&self) -> Option<Error> {
        match self {
            Self::One(lease) => lease.lost_error(),
            Self::Several(group, _) => group.lost_error(),
        }
    }

    pub(super) fn loss_reason(&self) -> Option<LossReason> {
        match self {
            Self::One(lease) => lease.loss_reason(),
            Self::Several(group, _) => group.loss_reason(),
        }
    }

    pub(super) async fn release(&self) -> Result<bool, Error> {
        match self {
            Self::One(lease) => lease.release().await,
            Self::Several(group, _) => group.release().await,
        }
    }

    /// The names, for people.
    /// Ends what is left of `min_hold` of locks that were given back. What fails leaves them to it.
    pub(super) async fn end_min_hold(&self, client: &Client) {
        let held: Vec<(&str, &str)> = match self {
            Self::One(lease) => vec![(lease.name(), lease.owner())],
            Self::Several(group, _) => group.owners().into_iter().collect(),
        };
        for (name, owner) in held {
            let _ = client.release(name, owner).await;
        }
    }

    pub(super) fn names(&self) -> String {
        match self {
            Self::One(lease) => format!("{:?}", lease.name()),
            Self::Several(group, _) => listed(group.names()),
        }
    }

    /// What the command finds in its environment.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let (name, owner, token) = match self {
            Self::One(lease) => (lease.name(), lease.owner(), lease.token()),
            Self::Several(group, first) => {
                let name = first.as_str();
                (name, group.owners()[name], group.tokens()[name])
            }
        };
        let mut variables = vec![
            ("LEASELOCK_TOKEN", token.to_string()),
            ("LEASELOCK_NAME", name.to_owned()),
            ("LEASELOCK_OWNER", owner.to_owned()),
        ];
        if let Self::Several(group, _) = self {
            let lines = group.tokens();
            let lines = lines.iter().map(|(name, token)| format!("{token} {name}"));
            variables.push(("LEASELOCK_TOKENS", lines.collect::<Vec<_>>().join("\n")));
        }
        variables
    }
}

/// Names, for people.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("{name:?}")).collect();
    names.join(", ")
}
