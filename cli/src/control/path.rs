//! Paths that are too long for the address of a Unix domain socket.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Longest path that every system takes as a socket's address, in bytes (108 on Linux, 104
/// elsewhere, a zero among them).
const MAX_PATH: usize = 100;

/// Runs `bind` or `connect` with a form of `path` that fits. For a longer one that is the bare
/// name, with the socket's folder as working folder meanwhile: nothing else that uses a relative
/// path may run beside it, which holds for who calls this.
///
/// # Errors
/// Those of `run`, or the folder cannot be entered.
pub(super) fn with_short<T>(
    path: &Path,
    run: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if path.as_os_str().len() <= MAX_PATH {
        return run(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return run(path) };
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = std::env::current_dir()?;
    std::env::set_current_dir(folder)?;
    let done = run(Path::new(name));
    let back = std::env::set_current_dir(before);
    drop(guard);
    back.and(done)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::test_folder::TestFolder;

    #[test]
    fn a_long_path_is_bound_and_reached() {
        let folder = TestFolder::new();
        let deep = folder.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("socket");
        let before = std::env::current_dir().unwrap();
        assert!(UnixListener::bind(&path).is_err(), "the path fits by itself");
        let _listener = with_short(&path, |path| UnixListener::bind(path)).unwrap();
        assert!(path.exists());
        assert!(with_short(&path, |path| UnixStream::connect(path)).is_ok());
        assert_eq!(std::env::current_dir().unwrap(), before);
    }
}
