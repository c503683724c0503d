//! Tenants: whose rows a session may see. It knows no accounts; log-in is the session's.

/// A tenant. The sys tenant sees every row, a user tenant its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// The sys tenant.
    Sys,
    /// A user tenant by its id, from 1001.
    User(i64),
}

impl Tenant {
    /// OceanBase numbers user tenants from 1001. None can log in yet.
    pub fn named(name: &str) -> Option<Tenant> {
        if name.eq_ignore_ascii_case("sys") {
            return Some(Tenant::Sys);
        }
        name.parse().ok().filter(|id| *id > 1000).map(Tenant::User)
    }

    /// The tenant of an [`Tenant::id`].
    pub fn numbered(id: i64) -> Tenant {
        if id == Tenant::Sys.id() { Tenant::Sys } else { Tenant::User(id) }
    }

    /// The id as rows have it; sys is 1.
    pub fn id(self) -> i64 {
        match self {
            Tenant::Sys => 1,
            Tenant::User(id) => id,
        }
    }

    /// Whether it may see rows of the tenant with this id.
    pub fn sees(self, tenant_id: i64) -> bool {
        match self {
            Tenant::Sys => true,
            Tenant::User(id) => id == tenant_id,
        }
    }
}
