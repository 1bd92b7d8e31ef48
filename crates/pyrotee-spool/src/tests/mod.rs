mod sim;
mod support;

/// The promises of every backend.
mod conformance;

/// Damaged, missing and foreign files.
mod damage;

/// Inspection of a directory without opening the spool.
mod inspect;

/// Commands on an open spool.
mod control;

/// Targets that join, leave and return.
mod registry;

/// Targets that change while a sync, an opening or a day is under way.
mod registry_times;

/// Kills between the steps of a change of the targets.
mod registry_kills;

/// Crashes and failures at any change of the disk.
mod crash;

/// Limits of disk and memory.
mod limits;

/// Accounts of lost records and of removed targets, across kills.
mod accounts;

/// Wall clocks that are set while records wait.
mod clocks;

/// Spools that open late.
mod opening;

/// Spools that are closed before they are open, or whose disk hangs.
mod closing;

/// Fewer file descriptors than segments.
mod descriptors;

/// Comparison of a spool that opens late with a set of names per target.
mod opening_model;

/// Disks that do not return what was written.
mod unreadable;

/// Disks that fail and recover, restarts and removed targets.
mod trouble;

/// Threads that panic.
mod panics;

/// Records that end the process.
mod lives;

/// Comparison with a plain list per target, across restarts and crashes.
mod model;

/// A spool that is too small for what is offered.
mod overflow;

/// Files that earlier versions of pyrotee have written.
mod versions;
