//! CPU time and memory of a process and its children, read from `/proc`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A clock tick of `/proc`, in seconds: the same on every Linux.
const TICK: f64 = 0.01;

/// CPU seconds of a process, its threads and its children, in user and kernel mode.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    family(pid).into_iter().map(cpu_of).sum()
}

/// Resident bytes of a process and its children now.
pub(crate) fn rss(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// Peak of resident bytes since [`forget_peak`].
pub(crate) fn rss_peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// Resets the peak of resident bytes. Where this is not allowed, the peak is that of the process's whole life.
pub(crate) fn forget_peak(pid: u32) {
    for pid in family(pid) {
        drop(fs::write(proc(pid, "clear_refs"), "5"));
    }
}

/// A process and its living descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let parents: Vec<_> = processes()
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut next = 0;
    while let Some(of) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, parent)| *parent == of);
        family.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

fn processes() -> impl Iterator<Item = u32> {
    entries("/proc").filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The entries of a directory; none if it cannot be read.
fn entries(path: impl AsRef<Path>) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(path).into_iter().flatten().flatten()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `stat` after the name, which may hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(proc(pid, "stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// CPU seconds of one process, from nanoseconds where the kernel counts them. Only the ticks include threads that have
/// ended, so ticks that are clearly larger count instead.
fn cpu_of(pid: u32) -> f64 {
    let ticks = |field: usize| -> Option<f64> { stat(pid)?.get(field)?.parse().ok() };
    let ticks = ticks(11)
        .zip(ticks(12))
        .map_or(0.0, |(user, system)| user + system);
    let nanos = entries(proc(pid, "task")).filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    let exact = nanos.sum::<f64>() / 1e9;
    let coarse = ticks * TICK;
    // Without ended threads, the coarse time is at most a tick or two ahead, so more than five count as ended threads.
    if coarse > exact + 5.0 * TICK {
        coarse
    } else {
        exact
    }
}

/// The sum of a field of `status`, in bytes, over a process and its children.
fn status(pid: u32, field: &str) -> u64 {
    let bytes = family(pid).into_iter().filter_map(|pid| {
        let text = fs::read_to_string(proc(pid, "status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    });
    bytes.sum()
}

fn proc(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_its_time() {
        // A process of its own, because the forks of other tests belong to this process's family for a moment.
        let mut busy = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        let grows = || {
            let before = cpu_seconds(busy.id());
            while cpu_seconds(busy.id()) <= before {
                if started.elapsed().as_secs() > 10 {
                    return false;
                }
            }
            true
        };
        // In the second call the process is a shell for certain, and no longer a fork of this process.
        let grew = grows() && grows();
        let (now, peak) = (rss(busy.id()), rss_peak(busy.id()));
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(grew);
        assert!(now > 0 && peak >= now, "{now} {peak}");
    }

    #[test]
    fn a_child_belongs_to_the_family_of_its_parent() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let family = family(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()), "{family:?}");
    }
}
