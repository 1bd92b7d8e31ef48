//! Pull mode: finds scrape targets, scrapes their profiles, and hands them to the relay's own stack (ADR 15).
