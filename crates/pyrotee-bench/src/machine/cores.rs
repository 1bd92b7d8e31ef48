//! Who runs where: what is measured on one core, what measures on another.

use std::{io, thread};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Measured,
    Measures,
}

/// The cores that are used, if there are enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pair: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first two that this process may use.
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

    /// Runs `start` so that the process that it starts is bound to its core.
    ///
    /// A process inherits the cores of the thread that starts it; the thread is thrown away.
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

/// Keeps this thread, and all that it starts, on a core.
pub(crate) fn bind(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Takes as many file descriptors as the system allows, for all who are started from here. How many they are.
pub(crate) fn open_more_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
