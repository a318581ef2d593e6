//! What the kernel says of processes.

use std::fs;

/// Ticks of /proc/PID/stat a second, on every Linux of today.
const TICKS: f64 = 100.0;

/// Processor time of the children that ended so far and were waited for, in seconds.
pub fn ended_children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells a process of itself");
    // After the name in parentheses the third field of the manual page comes first: cutime is the 16th, cstime the 17th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |number: usize| fields[number - 3].parse::<f64>().expect("ticks are a number");
    (ticks(16) + ticks(17)) / TICKS
}

/// Highest resident memory of a process so far, in MiB.
pub fn peak_mebibytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.expect("Linux counts resident memory") / 1024.0
}
