//! This program again, under `valgrind --tool=callgrind`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Fallible;

/// Instructions are counted while this function runs; callgrind finds it by its name.
#[inline(never)]
pub(crate) fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
}

/// Why nothing can be counted here.
pub(crate) fn missing() -> Option<String> {
    // Budgets of one instruction set say nothing about another.
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Some("the budgets are those of x86_64 Linux".to_owned());
    }
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    match asked {
        Ok(status) if status.success() => None,
        _ => Some("valgrind is not installed (`apt-get install valgrind`)".to_owned()),
    }
}

/// Instructions that a workload takes in all.
pub(crate) fn count(workload: &str, folder: &Path) -> Fallible<u64> {
    let out = folder.join(format!("{workload}.out"));
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg("--toggle-collect=*counted_by_callgrind*");
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(std::env::current_exe()?).args(["--workload", workload]);
    let ended = command.stdin(Stdio::null()).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return Err(format!("`{workload}` failed under valgrind:\n{said}").into());
    }
    let text = std::fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.ok_or("callgrind told no total")?.trim().parse()?;
    if total == 0 {
        return Err("callgrind did not find the function to count".into());
    }
    Ok(total)
}
