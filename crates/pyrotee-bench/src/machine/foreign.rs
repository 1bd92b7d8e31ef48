//! Measures how much other processes use the bench's cores during a trial.

use std::{fs, time::Instant};

use super::{Cores, Role, cpu_seconds};

const TICK: f64 = 0.01;

/// A running measurement of the use by others.
#[derive(Debug)]
pub(crate) struct Foreign {
    cores: Cores,
    /// The process ids of the bench on each of the two cores.
    ours: [Vec<u32>; 2],
    at: Instant,
    busy: [f64; 2],
    used: [f64; 2],
}

impl Foreign {
    pub(crate) fn begin(cores: Cores, measured: Vec<u32>, measures: Vec<u32>) -> Self {
        let ours = [measured, measures];
        Self {
            cores,
            at: Instant::now(),
            busy: busy(cores),
            used: used(&ours),
            ours,
        }
    }

    /// The share of each core that others used, 0 to 1: first the measured core, then the measuring one.
    pub(crate) fn end(&self) -> [f64; 2] {
        if self.cores.of(Role::Measured).is_none() {
            return [0.0; 2];
        }
        let seconds = self.at.elapsed().as_secs_f64();
        let (busy, used) = (busy(self.cores), used(&self.ours));
        std::array::from_fn(|core| {
            let busy = busy[core] - self.busy[core];
            let used = used[core] - self.used[core];
            ((busy - used) / seconds).clamp(0.0, 1.0)
        })
    }
}

fn used(ours: &[Vec<u32>; 2]) -> [f64; 2] {
    std::array::from_fn(|core| ours[core].iter().map(|pid| cpu_seconds(*pid)).sum())
}

/// Seconds in which each core worked or was stolen by the host. Interrupts do not count: the bench causes most of them.
fn busy(cores: Cores) -> [f64; 2] {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    [Role::Measured, Role::Measures].map(|role| {
        let name = format!("cpu{}", cores.of(role).unwrap_or_default());
        stat.lines()
            .find_map(|line| of_line(line, &name))
            .unwrap_or(0.0)
    })
}

/// The sum of user, nice, system and steal (the eighth field), in seconds.
fn of_line(line: &str, name: &str) -> Option<f64> {
    let mut fields = line.split_whitespace();
    (fields.next()? == name).then_some(())?;
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0.0);
    Some((at(0) + at(1) + at(2) + at(7)) * TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_and_interrupts_are_nobodys_work() {
        let line = "cpu1 100 10 50 9999 7 8 9 40 0 0";
        assert_eq!(of_line(line, "cpu1"), Some(2.0));
        assert_eq!(of_line(line, "cpu"), None);
    }
}
