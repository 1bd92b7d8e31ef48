"""What the tests of several parts share: the real binary on loopback, and the commands of a README."""
