mod sim;
mod support;

/// The promises of the seam.
mod seam;

/// Files that are not as they were left.
mod damage;

/// What is told of a directory by those who only look.
mod inspect;

/// What is done by hand to a spool that is open.
mod control;

/// Ends and failures at any change of the disk.
mod crash;

/// What the spool takes of disk and memory.
mod limits;

/// Disks that fail and come back, and the life of a spool.
mod trouble;

/// A plain list per target, whatever happens to the process.
mod model;
