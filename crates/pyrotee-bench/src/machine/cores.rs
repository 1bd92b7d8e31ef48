//! Places processes on cores: measured processes on one core, measuring processes on another.

use std::{io, thread};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// The role of a process, which determines its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Measured,
    Measures,
}

/// The cores of measured and measuring processes; none if this process may use fewer than two cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pair: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first two cores that this process may use.
    pub(crate) fn find() -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_default();
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let pair = allowed.next().zip(allowed.next());
        Self { pair }
    }

    pub(crate) fn of(self, role: Role) -> Option<usize> {
        self.pair.map(|(measured, measures)| match role {
            Role::Measured => measured,
            Role::Measures => measures,
        })
    }

    /// Runs `start`, so that the process that it starts is bound to the core of its role.
    ///
    /// A process inherits the cores of the thread that starts it, so `start` runs on a thread that ends afterwards.
    pub(crate) fn bound<T: Send>(
        self,
        role: Role,
        start: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let Some(core) = self.of(role) else {
            return start();
        };
        let bind = || {
            bind(core)?;
            start()
        };
        thread::scope(|scope| scope.spawn(bind).join().expect("starting does not panic"))
    }
}

/// Binds this thread, and every thread and process that it starts, to a core.
pub(crate) fn bind(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit of file descriptors to the system's limit, also for started processes. Returns the new limit.
pub(crate) fn open_more_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
