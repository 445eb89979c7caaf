//! What a tool may do, what it costs, and how long its answer stays true.

use std::time::Duration;

use crate::caller::Effect;

/// What a caller needs to be granted to use a tool (docs/TOOLS.md lists them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Signed in, nothing more.
    AnyCaller,
    /// Reading objects of clusters.
    ClusterRead,
    /// Reading logs of pods.
    LogsRead,
    /// Sending requests to ports of pods and services.
    PodsConnect,
    /// Running commands in pods.
    PodsExec,
    /// Reading logs of nodes.
    NodesRead,
    /// Changing objects of clusters.
    ClusterWrite,
    /// Changing nodes.
    NodesWrite,
    /// Reading metrics.
    MetricsRead,
    /// Administering metric stores.
    MetricsAdmin,
    /// Reading alerts, rules, silences and routing.
    AlertsRead,
    /// Silencing and raising alerts.
    AlertsWrite,
    /// Fetching public web pages.
    WebFetch,
}

impl Permission {
    /// Whether tools that need it are off until an operator names them.
    #[must_use]
    pub fn is_guarded(self) -> bool {
        matches!(self, Self::MetricsAdmin | Self::PodsExec | Self::PodsConnect | Self::NodesRead)
    }
}

/// How much work a call makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// One small request.
    Light,
    /// A few requests.
    Normal,
    /// Many requests, or large scans.
    Heavy,
}

/// Whether a call goes on as a task (the extension `io.modelcontextprotocol/tasks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// It is answered when it is done.
    Never,
    /// It becomes a task when it is not done at once and the client can wait for one.
    May,
    /// It is always a task; clients that cannot wait for one cannot call it.
    Must,
}

/// Everything that is decided about a tool before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What it does to the systems behind.
    pub effect: Effect,
    /// What a caller needs.
    pub permission: Permission,
    /// How much work it is.
    pub cost: Cost,
    /// How long an answer may be shared with callers of the same rights, once there is a cache.
    pub fresh_for: Option<Duration>,
    /// Whether a second, equal call changes nothing more.
    pub idempotent: bool,
    /// Whether it is listed for a client that asked for no toolset.
    pub default_toolset: bool,
    /// The longest it may run; the server's default otherwise.
    pub longest: Option<Duration>,
    /// Whether it goes on as a task when the client can wait for one.
    pub task: Task,
}

impl Policy {
    /// A tool that changes nothing.
    #[must_use]
    pub const fn read(permission: Permission) -> Self {
        Self {
            effect: Effect::Read,
            permission,
            cost: Cost::Normal,
            fresh_for: None,
            idempotent: true,
            default_toolset: false,
            longest: None,
            task: Task::Never,
        }
    }

    /// A tool that changes something in a way that can be undone.
    #[must_use]
    pub const fn write(permission: Permission) -> Self {
        let mut policy = Self::read(permission);
        policy.effect = Effect::Write;
        policy.idempotent = false;
        policy
    }

    /// A tool that deletes, disrupts or runs commands.
    #[must_use]
    pub const fn destroy(permission: Permission) -> Self {
        let mut policy = Self::write(permission);
        policy.effect = Effect::Destroy;
        policy
    }

    /// An answer may be shared for this many seconds.
    #[must_use]
    pub const fn cached(mut self, seconds: u64) -> Self {
        assert!(matches!(self.effect, Effect::Read), "only reads can be cached");
        self.fresh_for = Some(Duration::from_secs(seconds));
        self
    }

    /// One small request.
    #[must_use]
    pub const fn light(mut self) -> Self {
        self.cost = Cost::Light;
        self
    }

    /// Many requests, or large scans.
    #[must_use]
    pub const fn heavy(mut self) -> Self {
        self.cost = Cost::Heavy;
        self
    }

    /// A second, equal call changes nothing more.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Listed for a client that asked for no toolset.
    #[must_use]
    pub const fn by_default(mut self) -> Self {
        assert!(matches!(self.effect, Effect::Read), "the default toolset only reads");
        self.default_toolset = true;
        self
    }

    /// May run for this many seconds.
    #[must_use]
    pub const fn longest(mut self, seconds: u64) -> Self {
        self.longest = Some(Duration::from_secs(seconds));
        self
    }

    /// May go on as a task when the client can wait for one.
    #[must_use]
    pub const fn may_be_task(mut self) -> Self {
        self.task = Task::May;
        self
    }

    /// Is always a task.
    #[must_use]
    pub const fn must_be_task(mut self) -> Self {
        self.task = Task::Must;
        self
    }
}
