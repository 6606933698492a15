//! Whether a program is there, looked for as the system will look for it.

#[cfg(unix)]
use std::path::{Path, PathBuf};

/// Checks that `program` can be started as things are now: by its path if there is a slash in
/// it, else by the folders of PATH.
///
/// # Errors
/// What is wrong, and what to do, for a person.
#[cfg(unix)]
pub(super) fn check(program: &str) -> Result<(), (String, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        std::env::split_paths(&path).map(|folder| folder.join(program)).collect()
    };
    // Where PATH leads to more than one, the system takes the first that can be run.
    if places.iter().any(|place| can_run(place)) {
        return Ok(());
    }
    if let Some(place) = places.iter().find(|place| place.is_file()) {
        let place = place.display();
        let text = format!("{place} cannot be executed");
        return Err((text, format!("allow it: chmod +x {place}; or name another program")));
    }
    if places.iter().any(|place| place.is_dir()) && program.contains('/') {
        return Err((format!("{program} is a folder"), "name a program".to_owned()));
    }
    let next =
        "check how it is spelt, install it, or write where it is: NAME='/path/to/program {0}'";
    let text = if program.contains('/') {
        format!("there is no program {program}")
    } else {
        format!("there is no program `{program}` in the folders of PATH")
    };
    Err((text, next.to_owned()))
}

#[cfg(unix)]
fn can_run(place: &Path) -> bool {
    place.is_file() && rustix::fs::access(place, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Elsewhere the system has rules of its own, which show at the first call.
#[cfg(not(unix))]
pub(super) fn check(_: &str) -> Result<(), (String, String)> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::test_folder::TestFolder;

    #[test]
    fn what_is_there_can_be_run_and_the_rest_is_explained() {
        let folder = TestFolder::new();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, mode) in [("tool", 0o755), ("notes", 0o644)] {
            std::fs::write(path(name), "#!/bin/sh\n").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path(name), mode).unwrap();
        }
        for program in ["sh", "/bin/sh", &path("tool")] {
            assert_eq!(check(program), Ok(()), "{program}");
        }
        for (program, what, next) in [
            ("no-such-program-at-all", "in the folders of PATH", "install it"),
            (&path("missing"), "there is no program /", "/path/to/program"),
            (&path("notes"), "cannot be executed", "chmod +x"),
            (&path(""), "is a folder", "name a program"),
        ] {
            let (text, advice) = check(program).unwrap_err();
            assert!(text.contains(what) && advice.contains(next), "{program}: {text}; {advice}");
        }
    }
}
