//! What this process has used. `bench/peers` has this file too.

use std::time::Duration;

/// CPU time of all threads; zero where the system does not say.
pub(crate) fn cpu() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Resident memory in MiB; `None` where there is no `/proc`.
pub(crate) fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn work_costs_cpu_time_and_memory() {
        let before = super::cpu();
        let mut sum = 0_u64;
        while super::cpu() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(super::resident().unwrap() > 0.1);
    }
}
