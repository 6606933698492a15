//! Key files: 32 raw bytes that only their owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{MasterKey, ParseKeyError};

/// Most bytes of a key file: every form with white space fits many times.
pub const MAX_FILE: u64 = 4096;

/// The ending of a file that is not whole yet.
const UNFINISHED: &str = ".new";

/// A key file could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("cannot {what} the key file {}: {source}", path.display())]
    Io {
        /// What was tried, `read` say.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is there already, and a key is never overwritten.
    #[error("{} is there already and stays as it is; choose another name, or move that file away", .0.display())]
    Exists(PathBuf),
    /// Others than its owner may read or write it.
    #[error(
        "others may read or write the key file {path} (mode {mode:04o}), so it is not used; run `chmod 600 {path}`, and make a new key if somebody may have read this one",
        path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a pipe, a device.
    #[error("{} is no regular file; give the file that holds the key", .0.display())]
    NotAFile(PathBuf),
    /// Longer than any key.
    #[error("{} is longer than {MAX_FILE} bytes; it is no key file", .0.display())]
    TooLong(PathBuf),
    /// What it holds is no key.
    #[error("the key file {}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: ParseKeyError,
    },
}

impl MasterKey {
    /// Reads a key file: 32 raw bytes, 64 hex digits or base64. On Unix it must be readable and
    /// writable by its owner alone.
    ///
    /// # Errors
    /// [`KeyFileError`]; no message repeats what the file holds.
    pub fn read_file(path: &Path) -> Result<Self, KeyFileError> {
        // Asked before opening, because opening a pipe would wait for its writer; and again of
        // what was opened, in case it was exchanged meanwhile.
        regular(&fs::metadata(path).map_err(failed("read", path))?, path)?;
        let file = File::open(path).map_err(failed("read", path))?;
        let metadata = file.metadata().map_err(failed("read", path))?;
        regular(&metadata, path)?;
        private(&metadata, path)?;
        let mut content =
            Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE + 1).unwrap_or(0)));
        let read = file.take(MAX_FILE + 1).read_to_end(&mut content);
        if read.map_err(failed("read", path))? > usize::try_from(MAX_FILE).unwrap_or(0) {
            return Err(KeyFileError::TooLong(path.into()));
        }
        Self::from_file_content(&content)
            .map_err(|source| KeyFileError::Content { path: path.into(), source })
    }

    /// Writes a new key file of 32 raw bytes, mode 0600. It is on the disk when this returns,
    /// and nobody ever reads half of it: it is written under another name beside it, and gets its
    /// own once it is whole. What a process that was killed meanwhile has left beside it goes with
    /// the next one that is written.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] if there is anything of that name; [`KeyFileError::Io`], and then
    /// nothing is left behind.
    pub fn write_file(&self, path: &Path) -> Result<(), KeyFileError> {
        remove_leftovers(path);
        if path.symlink_metadata().is_ok() {
            return Err(KeyFileError::Exists(path.into()));
        }
        let beside = beside(path, &std::process::id().to_string());
        let file = create_new(&beside).map_err(failed("create", path))?;
        let written = self.write_to(file).and_then(|()| give_name(&beside, path));
        let _ = fs::remove_file(&beside);
        written.and_then(|()| sync_folder_of(path)).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.into()),
            _ => failed("write", path)(source),
        })
    }

    fn write_to(&self, mut file: File) -> io::Result<()> {
        // Says that it is no leftover. Where files cannot be locked none is taken for one.
        let _ = file.try_lock();
        file.write_all(self.expose())?;
        file.sync_all()
    }
}

/// The name under which a file is written.
fn beside(path: &Path, by: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{by}{UNFINISHED}"));
    path.with_file_name(name)
}

/// Gives a file its name, unless there is anything of that name.
fn give_name(beside: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(beside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
        linked => return linked,
    }
    // No file has two names here, on a FAT stick say. Renaming replaces what is there, so the name
    // is taken first.
    create_new(path)?;
    fs::rename(beside, path).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Removes what processes that were killed have left beside a file; whoever still writes has
/// locked it. What cannot be removed stays.
fn remove_leftovers(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let Ok(files) = folder_of(path).read_dir() else { return };
    for file in files.flatten() {
        let found = file.file_name();
        let by = found.to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.'));
        let by = by.and_then(|rest| rest.strip_suffix(UNFINISHED));
        let is_one = by.is_some_and(|by| !by.is_empty() && by.bytes().all(|b| b.is_ascii_digit()));
        if !is_one || !file.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let left = OpenOptions::new().write(true).open(file.path());
        if left.is_ok_and(|left| left.try_lock().is_ok()) {
            let _ = fs::remove_file(file.path());
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_path_buf();
    move |source| KeyFileError::Io { what, path, source }
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn regular(metadata: &fs::Metadata, path: &Path) -> Result<(), KeyFileError> {
    if metadata.is_file() { Ok(()) } else { Err(KeyFileError::NotAFile(path.into())) }
}

#[cfg(unix)]
fn private(metadata: &fs::Metadata, path: &Path) -> Result<(), KeyFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::Open { path: path.into(), mode }) }
}

#[cfg(not(unix))]
fn private(_: &fs::Metadata, _: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A new name is on the disk only once its folder is.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}
