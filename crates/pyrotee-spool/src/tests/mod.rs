mod sim;
mod support;

/// The promises of the seam.
mod seam;

/// Files that are not as they were left.
mod damage;

/// Ends and failures at any change of the disk.
mod crash;
