"""Shared by the tests of several parts: the real binary on loopback, and the commands of a README."""
