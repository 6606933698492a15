//! The file of remembered peers, `peers` beside the stored keys: a line for each, with its
//! endpoint, its name and when it was last seen verified, in seconds since 1970.
//!
//! Processes of this user share it: each merges what it has seen into what stands there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanc::Endpoint;

use crate::settings::endpoint;
use crate::{escape, keys};

/// Most peers; those seen last stay.
const MOST: usize = 64;
/// How long a peer is remembered that is not seen.
const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Only a time that has changed by this much is worth writing: an entry lasts for days.
const WORTH_WRITING: Duration = Duration::from_secs(3600);
/// What is read of the file.
const MAX_BYTES: u64 = 64 * 1024;

const NAME: &str = "peers";

/// A peer that was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) endpoint: Endpoint,
    pub(crate) name: String,
    /// In seconds since 1970.
    pub(crate) at: u64,
}

/// Where peers are remembered. The file need not be there.
#[derive(Clone, Debug)]
pub(crate) struct File(PathBuf);

impl File {
    /// This user's. `None`: there is no place for one.
    pub(crate) fn of_user() -> Option<Self> {
        keys::ring::folder().map(Self)
    }

    #[cfg(test)]
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join(NAME)
    }

    /// The peers that are remembered, the one seen last first. What is no peer is left out.
    ///
    /// # Errors
    /// The system's refusal; that there is no file is none.
    pub(crate) fn read(&self, now: u64) -> io::Result<Vec<Seen>> {
        Ok(newest(self.lines()?, now))
    }

    /// Merges `seen` into the file. What would say little more than what stands there is written
    /// only if `all` is wanted.
    ///
    /// # Errors
    /// The system's refusal; the file is as it was.
    pub(crate) fn add(&self, seen: &[Seen], now: u64, all: bool) -> io::Result<()> {
        let _others_wait = lock(&self.0);
        let known = self.lines()?;
        let merged = newest(known.iter().chain(seen).cloned(), now);
        let is_said = |new: &Seen| {
            known.iter().any(|old| {
                let since = if all { 0 } else { WORTH_WRITING.as_secs() };
                let is_same = old.endpoint == new.endpoint && old.name == new.name;
                is_same && new.at.saturating_sub(old.at) <= since
            })
        };
        if merged.len() == known.len() && merged.iter().all(is_said) {
            return Ok(());
        }
        self.write(&merged)
    }

    /// Forgets all.
    ///
    /// # Errors
    /// The system's refusal; that there is no file is none.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lines(&self) -> io::Result<Vec<Seen>> {
        // Asked before opening, because opening a pipe would wait for its writer.
        match fs::metadata(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
            Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("it is no file")),
            Ok(_) => {}
        }
        let file = fs::File::open(self.path())?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect())
    }

    fn write(&self, peers: &[Seen]) -> io::Result<()> {
        let beside = self.0.join(format!("{NAME}.{}.new", std::process::id()));
        let written = write_new(&beside, peers).and_then(|()| fs::rename(&beside, self.path()));
        if written.is_err() {
            // Half a file is of use to nobody.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// The time, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "what outlives a restart has no other clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// One entry for each endpoint, the latest; of these those seen last, and none that is too old.
/// What was seen in the future was seen by a clock that is right again, or this one is not yet.
pub(super) fn newest(all: impl IntoIterator<Item = Seen>, now: u64) -> Vec<Seen> {
    let mut latest = BTreeMap::<Endpoint, Seen>::new();
    for seen in all {
        let is_older = latest.get(&seen.endpoint).is_some_and(|known| known.at > seen.at);
        if !is_older && now.saturating_sub(seen.at) <= REMEMBERED_FOR.as_secs() {
            latest.insert(seen.endpoint.clone(), seen);
        }
    }
    let mut newest: Vec<_> = latest.into_values().collect();
    newest.sort_by_key(|seen| std::cmp::Reverse(seen.at));
    newest.truncate(MOST);
    newest
}

fn parse(line: &str) -> Option<Seen> {
    let (address, rest) = line.split_once(' ')?;
    let (name, at) = rest.rsplit_once(' ')?;
    Some(Seen { endpoint: endpoint(address).ok()?, name: name.to_owned(), at: at.parse().ok()? })
}

/// Readable by this user alone, whatever a process that was killed has left in its place.
fn write_new(path: &Path, peers: &[Seen]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let line =
        |seen: &Seen| format!("{} {} {}\n", seen.endpoint, escape::line(&seen.name), seen.at);
    file.write_all(peers.iter().map(line).collect::<String>().as_bytes())?;
    file.sync_all()
}

/// Two processes that end together must not write over each other. Where the system cannot lock
/// a folder, who comes last wins, and the other's peers are written when it looks again.
fn lock(folder: &Path) -> Option<fs::File> {
    let folder = fs::File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::test_folder::TestFolder;

    const NOW: u64 = 1_800_000_000;
    const DAYS_30: u64 = 2_592_000;

    fn seen(number: u64, at: u64) -> Seen {
        let endpoint = endpoint(&format!("10.0.0.{number}:40112")).unwrap();
        Seen { endpoint, name: format!("n{number}"), at }
    }

    fn text(file: &File) -> String {
        fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn a_line_says_where_who_and_when() {
        let place = TestFolder::new();
        let file = File::in_folder(place.path());
        assert_eq!(file.read(NOW).unwrap(), []);
        let [mut odd, far] = [seen(1, NOW), seen(2, NOW - 5)];
        odd.name = "two words".to_owned();
        let sixth = Seen { endpoint: endpoint("[fd00::1]:7").unwrap(), ..seen(3, NOW - 9) };
        let all = [odd, far, sixth];
        file.add(&all, NOW, false).unwrap();
        assert_eq!(
            text(&file),
            format!(
                "udp://10.0.0.1:40112 two words {NOW}\nudp://10.0.0.2:40112 n2 {}\n\
                 udp://[fd00::1]:7 n3 {}\n",
                NOW - 5,
                NOW - 9
            )
        );
        assert_eq!(file.read(NOW).unwrap(), all);
        assert_eq!(file.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(place.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
        file.forget().unwrap();
        file.forget().unwrap();
        assert_eq!(file.read(NOW).unwrap(), []);
    }

    #[test]
    fn sixty_four_are_remembered() {
        let place = TestFolder::new();
        let file = File::in_folder(place.path());
        let all: Vec<_> = (1..=64).map(|number| seen(number, NOW - number)).collect();
        file.add(&all, NOW, false).unwrap();
        assert_eq!(file.read(NOW).unwrap(), all);
        file.add(&[seen(65, NOW)], NOW, false).unwrap();
        let now: Vec<_> = [seen(65, NOW)].iter().chain(&all[..63]).cloned().collect();
        assert_eq!(file.read(NOW).unwrap(), now, "the one seen first has gone");
    }

    #[test]
    fn thirty_days_are_remembered() {
        let place = TestFolder::new();
        let file = File::in_folder(place.path());
        let (last, over) = (seen(1, NOW - DAYS_30), seen(2, NOW - DAYS_30 - 1));
        file.add(&[last.clone(), over], NOW, false).unwrap();
        assert_eq!(file.read(NOW).unwrap(), [last]);
        assert_eq!(file.read(NOW + 1).unwrap(), []);
        // A clock that was ahead.
        file.add(&[seen(3, NOW + 9)], NOW + 1, false).unwrap();
        assert_eq!(file.read(NOW).unwrap(), [seen(3, NOW + 9)]);
    }

    #[test]
    fn what_is_no_peer_is_left_out() {
        let place = TestFolder::new();
        let file = File::in_folder(place.path());
        let good = format!("udp://10.0.0.1:40112 n1 {NOW}\n");
        for bad in [
            "",
            "udp",
            "udp://10.0.0.2:40112",
            "udp://10.0.0.2:40112 1",
            "udp://10.0.0.2:40112 n2 -1",
            "udp://10.0.0.2:40112 n2 99999999999999999999",
            "udp://10.0.0.2:0 n2 1800000000",
            "tcp://10.0.0.2:40112 n2 1800000000",
            "udp://host:40112 n2 1800000000",
            "\u{0}\u{1b}[2J",
        ] {
            fs::write(file.path(), format!("{bad}\n{good}{bad}")).unwrap();
            assert_eq!(file.read(NOW).unwrap(), [seen(1, NOW)], "{bad:?}");
        }
        fs::write(file.path(), [b"\xff\xfe \xff 3\n", good.as_bytes()].concat()).unwrap();
        assert_eq!(file.read(NOW).unwrap(), [seen(1, NOW)]);
        // A file without end is read in part.
        fs::write(file.path(), good.clone() + &"x".repeat(1 << 20)).unwrap();
        assert_eq!(file.read(NOW).unwrap(), [seen(1, NOW)]);
    }

    #[test]
    fn what_others_have_written_stays() {
        let place = TestFolder::new();
        let (one, other) = (File::in_folder(place.path()), File::in_folder(place.path()));
        one.add(&[seen(1, NOW), seen(2, NOW - 1)], NOW, false).unwrap();
        let renamed = Seen { name: "new".to_owned(), ..seen(2, NOW) };
        other.add(&[renamed.clone(), seen(3, NOW - 3), seen(1, NOW - 9)], NOW, false).unwrap();
        assert_eq!(one.read(NOW).unwrap(), [seen(1, NOW), renamed, seen(3, NOW - 3)]);

        // Two that write at once lose nothing of each other.
        let add = |from: u64| {
            let file = File::in_folder(place.path());
            (from..from + 20).for_each(|n| file.add(&[seen(n, NOW)], NOW, false).unwrap());
        };
        std::thread::scope(|scope| {
            scope.spawn(|| add(100));
            scope.spawn(|| add(120));
        });
        assert_eq!(one.read(NOW).unwrap().len(), 43);
    }

    #[test]
    fn a_disk_is_not_written_to_for_a_minute_more() {
        let place = TestFolder::new();
        let file = File::in_folder(place.path());
        file.add(&[seen(1, NOW)], NOW, false).unwrap();
        let before = text(&file);
        file.add(&[seen(1, NOW + 3600)], NOW + 3600, false).unwrap();
        assert_eq!(text(&file), before);
        file.add(&[seen(1, NOW + 3600)], NOW + 3600, true).unwrap();
        file.add(&[seen(1, NOW + 7201)], NOW + 7201, false).unwrap();
        assert_eq!(file.read(NOW).unwrap(), [seen(1, NOW + 7201)]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_no_more() {
        let place = TestFolder::new();
        let gone = File::in_folder(&place.path().join("gone"));
        assert!(gone.add(&[seen(1, NOW)], NOW, true).is_err());
        assert_eq!(gone.read(NOW).unwrap(), []);
        // The rename fails, for whoever may do anything too; what was written goes.
        let full = File::in_folder(place.path());
        fs::create_dir(full.path()).unwrap();
        assert!(full.write(&[seen(1, NOW)]).is_err() && full.read(NOW).is_err());
        assert_eq!(place.path().read_dir().unwrap().count(), 1);
    }
}
