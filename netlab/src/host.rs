//! Hosts in network namespaces of their own. No interface of the machine is touched: wires are
//! made between the namespaces, and go with them.

use std::fmt::Display;
use std::fs::File;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::process::now;

/// How long the system may take with what it was asked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the namespaces' names begin with; the id of the process that made them follows.
const PREFIX: &str = "lanc-";

/// A namespace, gone when this is dropped. Processes inside are dropped before it.
pub struct Host {
    name: String,
}

impl Host {
    /// `None`, with the reason printed, where namespaces cannot be made; a failure in CI.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static FIRST: Once = Once::new();
        FIRST.call_once(clear_away);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        must("a network namespace", ip(&format!("netns add {name}")))?;
        let host = Self { name };
        host.ip("link set lo up");
        Some(host)
    }

    /// As many hosts as asked for, or none.
    pub fn some<const N: usize>() -> Option<[Self; N]> {
        let hosts: Option<Vec<Self>> = (0..N).map(|_| Self::new()).collect();
        hosts?.try_into().ok()
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` inside; what it refuses is a failure.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        self.told(arguments);
    }

    /// What `ip` tells inside.
    #[track_caller]
    pub fn told(&self, arguments: &str) -> String {
        match ip(&format!("-n {} {arguments}", self.name)) {
            Ok(text) => text,
            Err(why) => panic!("ip {arguments}: {why}"),
        }
    }

    /// Waits until the system reports the wire as working, which it does some time after both
    /// ends are up. A node opened before that would not see the interface.
    pub(crate) fn wait_for(&self, wire: &str) {
        let began = now();
        // A TAP device is never more than "unknown".
        let works = |told: &str| ["state UP", "state UNKNOWN"].iter().any(|up| told.contains(up));
        while !works(&self.told(&format!("link show {wire} up"))) {
            assert!(began.elapsed() < PATIENCE, "{wire} does not come up");
        }
    }

    /// Draws a wire named `wire` at both ends, and gives each end its address.
    pub fn wire(&self, wire: &str, address: &str, far: &Self, far_address: &str) {
        self.ip(&format!("link add {wire} type veth peer name {wire} netns {}", far.name));
        for (host, address) in [(self, address), (far, far_address)] {
            host.ip(&format!("addr add {address} brd + dev {wire}"));
            host.ip(&format!("link set {wire} up"));
        }
        self.wait_for(wire);
        far.wait_for(wire);
    }

    /// Lets the host send so many megabits in a second by a wire.
    pub fn slow_down(&self, wire: &str, megabits: u32) {
        let limit =
            format!("qdisc add dev {wire} root tbf rate {megabits}mbit burst 64kb latency 1s");
        let words: Vec<&str> = limit.split(' ').collect();
        let done = self.command("tc", &words).status();
        assert!(done.unwrap().success(), "the wire could not be slowed down");
    }

    /// Waits until the host has sent so many bytes by a wire.
    #[track_caller]
    pub fn sends(&self, wire: &str, bytes: u64) {
        let began = now();
        let path = format!("/sys/class/net/{wire}/statistics/tx_bytes");
        loop {
            let output = self.command("cat", &[&path]).output().unwrap();
            let sent: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            if sent >= bytes {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{sent} bytes only");
        }
    }

    /// Passes on what is not for this host.
    pub fn forward(&self) {
        // The namespace's own switch, not the machine's.
        let done = self.command("sysctl", &["-qw", "net.ipv4.ip_forward=1"]).status();
        assert!(done.unwrap().success(), "forwarding could not be switched on");
    }

    /// Works inside: sockets made there stay there, whoever uses them. A panic goes on here.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let there = File::open(format!("/run/netns/{}", self.name)).unwrap();
        // The thread that goes there ends there.
        let go = || {
            setns(there, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(go).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A program that will run inside, with a clean environment.
    pub fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(std::env::temp_dir());
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What runs inside has been ended before: processes are dropped ahead of their hosts.
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<String, String> {
    match Command::new("ip").args(arguments.split(' ')).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("ip: {error}")),
    }
}

/// What a test needs, or `None` with the reason printed; in CI a failure.
pub(crate) fn must<T, E: Display>(what: &str, made: Result<T, E>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(why) => {
            let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!in_ci, "CI must be able to make {what}: {why}");
            eprintln!("skipped: {what} cannot be made here: {why}");
            None
        }
    }
}

/// Removes the namespaces of tests that were killed.
fn clear_away() {
    let listed = ip("netns list").unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        let of = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(Ok(process)) = of.map(str::parse::<u32>) else { continue };
        if !std::path::Path::new(&format!("/proc/{process}")).exists() {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
