//! The five profiles that the job scrapes.

/// A profile of the job; its name is the one in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Cpu,
    Mem,
    Goroutines,
    Mutex,
    Block,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Mem,
        Self::Goroutines,
        Self::Mutex,
        Self::Block,
    ];

    /// The path at which an application serves the profile.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Cpu => "/debug/pprof/profile",
            Self::Mem => "/debug/pprof/heap",
            Self::Goroutines => "/debug/pprof/goroutine",
            Self::Mutex => "/debug/pprof/mutex",
            Self::Block => "/debug/pprof/block",
        }
    }

    /// The profile that is served at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.path() == path)
    }

    /// The profile in the body of a request to `/ingest`, by a text in its last part, `sample_type_config`.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        let tail = String::from_utf8_lossy(&body[body.len().saturating_sub(1024)..]).into_owned();
        let marks = [
            ("alloc_space", Self::Mem),
            ("mutex_count", Self::Mutex),
            ("block_count", Self::Block),
            ("goroutine", Self::Goroutines),
            ("samples", Self::Cpu),
        ];
        let found = marks.into_iter().find(|(mark, _)| tail.contains(mark));
        found
            .unwrap_or_else(|| panic!("which profile has the types {tail:?}?"))
            .1
    }

    /// Types and units of the values.
    pub(crate) fn types(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Cpu => &[("samples", "count"), ("cpu", "nanoseconds")],
            Self::Mem => &[
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ],
            Self::Goroutines => &[("goroutine", "count")],
            Self::Mutex | Self::Block => &[("contentions", "count"), ("delay", "nanoseconds")],
        }
    }

    /// Stacks of the first profile of an application of middle size.
    pub(crate) fn stacks(self) -> usize {
        match self {
            Self::Cpu => 400,
            Self::Mem => 3_500,
            Self::Goroutines => 150,
            Self::Mutex => 2_000,
            Self::Block => 2_500,
        }
    }

    /// Whether the values count since the start of the application.
    pub(crate) fn is_cumulative(self) -> bool {
        matches!(self, Self::Mem | Self::Mutex | Self::Block)
    }
}
