//! The folder of control sockets, and what the names in it mean.
//!
//! `SESSION.node` is a node that serves, `EXE_ID.job` a call in the background. When that ends,
//! its socket is renamed, which needs no room on the disk: `EXE_ID.fetched-yes` says for a day
//! what became of it. A socket on which nobody listens belonged to a process that was killed, or
//! to one of another machine: the folder is for one machine alone.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanc::{ErrorCode, Executed};

use super::path::with_short;
use crate::failure::Failure;

/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 16_384;

/// How many ended calls are remembered, and for how long after they began: a call lasts a day at
/// most, and its result is kept for one more.
const REMEMBERED: usize = 1024;
const REMEMBERED_FOR: Duration = Duration::from_secs(72 * 3600);

/// A socket that has no name yet after this time belonged to a process that was killed.
const UNNAMED_FOR: Duration = Duration::from_secs(60);

/// A folder of control sockets: the user's, closed to all others.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Folder(PathBuf);

/// What a name in the folder stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A node that serves.
    Node,
    /// A call in the background.
    Job,
    /// A call that was in the background, and whether its function ran.
    Ended(Fate, Executed),
    /// A socket whose process has not named it yet.
    Unnamed,
}

/// How a call in the background ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Its result was fetched.
    Fetched,
    /// Nobody fetched its result in time.
    Expired,
    /// It was given up.
    Cancelled,
    /// Its process was killed.
    Lost,
}

/// One name in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What stands before the ending: the call's id, or the node's session.
    pub(crate) id: String,
    /// What the ending says.
    pub(crate) kind: Kind,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Folder {
    /// The folder for new sockets, made if it is not there: the first that can be had of
    /// `LANC_STATE_DIR` (that or none), `$XDG_RUNTIME_DIR/lanc`, and the user's state folder.
    ///
    /// # Errors
    /// There is none, it cannot be made, or it is open to others.
    pub(crate) fn make() -> Result<Self, Failure> {
        let mut first = None;
        for path in places(&variable) {
            match Self::at(path) {
                Ok(folder) => return Ok(folder),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| {
            Failure::usage("there is no home folder to keep control sockets in", SET_ANOTHER)
        }))
    }

    /// The folders that are there: a shell that makes a call and one that asks for its result
    /// need not have the same variables.
    ///
    /// # Errors
    /// There are some, and none may be used.
    pub(crate) fn existing() -> Result<Vec<Self>, Failure> {
        let there = places(&variable).into_iter().filter(|path| path.exists());
        let (mut folders, mut first) = (Vec::new(), None);
        for path in there {
            match Self::at(path) {
                Ok(folder) => folders.push(folder),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        match first {
            Some(failure) if folders.is_empty() => Err(failure),
            _ => Ok(folders),
        }
    }

    /// A folder by its path.
    pub(crate) fn at(path: PathBuf) -> Result<Self, Failure> {
        let cannot = |what: &str, error: io::Error| {
            let text = format!("cannot {what} the folder {}: {error}", path.display());
            Failure::usage(text, SET_ANOTHER)
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| cannot("make", error))?;
        let metadata = path.metadata().map_err(|error| cannot("look at", error))?;
        if !is_private(&metadata) {
            let text = format!("the folder {} is not yours alone", path.display());
            let next = format!("chmod 700 {}, or {SET_ANOTHER}", path.display());
            return Err(Failure::usage(text, next));
        }
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What is in it, by name. Names that mean nothing here are left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Failure> {
        let listed = self.0.read_dir().map_err(|error| self.failure("read", &error))?;
        let names = listed.flatten().take(MAX_ENTRIES).filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let (id, ending) = name.rsplit_once('.')?;
            Some(Entry { id: id.to_owned(), kind: kind(ending)?, path: file.path() })
        });
        let mut entries: Vec<_> = names.collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(entries)
    }

    /// A socket that listens, and has no name yet that anybody looks for: nobody must find it
    /// before it listens, and its call has no id before it is made.
    ///
    /// # Errors
    /// The system's refusal, a full disk say.
    pub(crate) fn bind(&self) -> Result<(UnixListener, Socket), Failure> {
        let path = self.0.join(format!(".{}.{UNNAMED}", std::process::id()));
        // What another process of this number has left behind.
        let _ = std::fs::remove_file(&path);
        let bound = with_short(&path, |path| UnixListener::bind(path));
        let listener = bound.map_err(|error| self.failure("make a control socket in", &error))?;
        Ok((listener, Socket { folder: self.clone(), id: String::new(), path }))
    }

    /// Forgets what need not be remembered any more. What cannot be removed stays.
    pub(crate) fn prune(&self) {
        let Ok(entries) = self.entries() else { return };
        let mut ended = Vec::new();
        for entry in entries {
            let Some(age) = age(&entry.path) else { continue };
            match entry.kind {
                Kind::Ended(..) => ended.push((age, entry.path)),
                Kind::Unnamed if age > UNNAMED_FOR => drop(std::fs::remove_file(entry.path)),
                Kind::Unnamed | Kind::Job | Kind::Node => {}
            }
        }
        for path in surplus(ended) {
            let _ = std::fs::remove_file(path);
        }
    }

    fn failure(&self, what: &str, error: &io::Error) -> Failure {
        let text = format!("cannot {what} {}: {error}", self.0.display());
        Failure::before_call(ErrorCode::INTERNAL, text).hint(SET_ANOTHER)
    }
}

/// Endings of names.
const NODE: &str = "node";
const JOB: &str = "job";
const UNNAMED: &str = "new";

/// What can be done about a folder that does not serve.
const SET_ANOTHER: &str = "set LANC_STATE_DIR to a folder of your own on a local disk";

/// The file of a listening socket. Dropped, it is gone.
pub(crate) struct Socket {
    folder: Folder,
    id: String,
    path: PathBuf,
}

impl Socket {
    /// Gives it the name under which a call in the background is looked for.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn publish_job(&mut self, id: &str) -> Result<(), Failure> {
        self.publish(id, JOB)
    }

    /// Gives it the name under which a node that serves is looked for.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn publish_node(&mut self, session: &str) -> Result<(), Failure> {
        self.publish(session, NODE)
    }

    fn publish(&mut self, id: &str, ending: &str) -> Result<(), Failure> {
        let path = self.folder.0.join(format!("{id}.{ending}"));
        let renamed = std::fs::rename(&self.path, &path);
        renamed.map_err(|error| self.folder.failure("make a control socket in", &error))?;
        id.clone_into(&mut self.id);
        self.path = path;
        Ok(())
    }

    /// Leaves word of what became of the call.
    pub(crate) fn end(self, fate: Fate, executed: Executed) {
        let entry = Entry { id: self.id.clone(), kind: Kind::Job, path: self.path.clone() };
        entry.end(fate, executed);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Entry {
    /// Leaves word of what became of a call whose process no longer listens.
    pub(crate) fn end(&self, fate: Fate, executed: Executed) {
        let to = self.path.with_file_name(format!("{}.{}-{executed}", self.id, fate.name()));
        if std::fs::rename(&self.path, to).is_err() {
            // Nobody must take it for a call that goes on.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Fate {
    const ALL: [Self; 4] = [Self::Fetched, Self::Expired, Self::Cancelled, Self::Lost];

    fn name(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

fn kind(ending: &str) -> Option<Kind> {
    match ending {
        NODE => return Some(Kind::Node),
        JOB => return Some(Kind::Job),
        UNNAMED => return Some(Kind::Unnamed),
        _ => {}
    }
    let (fate, executed) = ending.split_once('-')?;
    let fate = Fate::ALL.into_iter().find(|known| known.name() == fate)?;
    let all = [Executed::No, Executed::Maybe, Executed::Yes];
    let executed = all.into_iter().find(|known| known.to_string() == executed)?;
    Some(Kind::Ended(fate, executed))
}

/// Of ended calls with their ages, those that are too many or too old.
fn surplus(mut ended: Vec<(Duration, PathBuf)>) -> impl Iterator<Item = PathBuf> {
    ended.sort();
    let is_surplus = |(place, (age, _)): &(usize, (Duration, PathBuf))| {
        *place >= REMEMBERED || *age > REMEMBERED_FOR
    };
    ended.into_iter().enumerate().filter(is_surplus).map(|(_, (_, path))| path)
}

/// Time since the file was made; renaming does not change it.
fn age(path: &Path) -> Option<Duration> {
    path.symlink_metadata().ok()?.modified().ok()?.elapsed().ok()
}

fn is_private(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where control sockets may be, the best place first.
fn places(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(path) = variable("LANC_STATE_DIR") {
        return vec![std::path::absolute(&path).unwrap_or(path)];
    }
    // A relative path is invalid by the XDG specification and is ignored.
    let folder = |name: &str| variable(name).filter(|path| path.is_absolute());
    let state = || Some(folder("HOME")?.join(".local/state"));
    let state = folder("XDG_STATE_HOME").or_else(state);
    let both = [folder("XDG_RUNTIME_DIR"), state];
    both.into_iter().flatten().map(|path| path.join("lanc")).collect()
}
