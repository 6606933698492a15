//! Running one program: bounded output, killed when nobody waits for it any more.

use std::io;
use std::process::{ExitStatus, Stdio};

use lanc::{Config, ErrorCode, Executed, Fault};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::group::Group;
use crate::values::{self, Unsent};

/// Most bytes a program may print as its result.
const MAX_OUTPUT: usize = 1 << 20;

/// Most bytes that Linux gives a program in one argument: `MAX_ARG_STRLEN` without the zero at
/// the end.
const LINUX_ARGUMENT: usize = (128 << 10) - 1;

/// How many of the last characters on standard error an error tells.
const STDERR_CHARS: usize = 500;

/// Runs `words` (program and arguments) without a shell and returns what it prints: JSON if it
/// parses, else text without the last line feed; see [`values::printed`] for numbers. The program is killed once `cancelled` is
/// ready or this future is dropped, with the processes it has started (Unix).
///
/// # Errors
/// `execution_error` when it cannot be started, fails, or prints no UTF-8; `too_large` when it
/// prints too much, or JSON of more than `depth` levels, and when its arguments are more than the
/// system gives a program; `cancelled`.
pub(super) async fn run(
    words: &[String],
    depth: u32,
    cancelled: impl Future<Output = ()>,
) -> Result<Value, Fault> {
    tokio::select! {
        result = finish(words, depth) => result,
        () = cancelled => {
            let fault = Fault::new(ErrorCode::CANCELLED, "the program was killed: nobody waits for it");
            Err(Fault { executed: Executed::Maybe, ..fault })
        }
    }
}

async fn finish(words: &[String], depth: u32) -> Result<Value, Fault> {
    let [program, arguments @ ..] = words else {
        return Err(Fault::new(ErrorCode::INTERNAL, "there is no program to run"));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group =
        Group::spawn(&mut command).map_err(|error| unstarted(program, arguments, &error))?;
    let broken = |error: io::Error| failed(format!("`{program}`: {error}"));
    let child = group.child();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = async { read_bounded(stdout).await.map_err(broken)?.ok_or_else(too_large) };
    let errors = async { last_chars(stderr).await.map_err(broken) };
    let (output, errors) = tokio::try_join!(output, errors)?;
    let status = group.wait().await.map_err(broken)?;
    if status.success() {
        result(output, depth)
    } else {
        Err(unsuccessful(program, status, &errors))
    }
}

fn unstarted(program: &str, arguments: &[String], error: &io::Error) -> Fault {
    let text = format!("cannot start `{program}`: ");
    let fault = match error.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            Fault::new(ErrorCode::TOO_LARGE, text + &too_long(arguments))
        }
        _ => failed(format!("{text}{error}")),
    };
    Fault { executed: Executed::No, ..fault }
}

/// Why arguments are more than the system gives a program, and what can be done.
fn too_long(arguments: &[String]) -> String {
    let longest = arguments.iter().map(String::len).max().unwrap_or_default();
    let what = if cfg!(target_os = "linux") && longest > LINUX_ARGUMENT {
        format!(
            "an argument has {longest} bytes, and Linux gives a program {LINUX_ARGUMENT} in one"
        )
    } else {
        let all: usize = arguments.iter().map(String::len).sum();
        format!("its arguments have {all} bytes, more than the system gives a program")
    };
    let most = Config::default().max_message() >> 20;
    format!("{what}; send it in parts, or offer a function in Rust, which takes {most} MiB")
}

fn result(output: Vec<u8>, depth: u32) -> Result<Value, Fault> {
    let text = String::from_utf8(output)
        .map_err(|_| failed("the program's output is not UTF-8".to_owned()))?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    values::printed(line.unwrap_or(&text), depth).map_err(|unsent| {
        let text = format!("the program printed {unsent}");
        match unsent {
            Unsent::TooDeep { .. } => unsendable(text),
            Unsent::TooLong(_) | Unsent::Infinite(_) => Fault::new(ErrorCode::UNENCODABLE, text),
        }
    })
}

fn unsuccessful(program: &str, status: ExitStatus, errors: &str) -> Fault {
    let colon = if errors.is_empty() { "" } else { ": " };
    failed(format!("`{program}` ended with {status}{colon}{errors}"))
}

fn failed(text: String) -> Fault {
    Fault::new(ErrorCode::EXECUTION_ERROR, text)
}

fn too_large() -> Fault {
    unsendable(format!("the program printed more than {MAX_OUTPUT} bytes"))
}

/// The program ran, and its output is no result.
fn unsendable(text: String) -> Fault {
    Fault { executed: Executed::Yes, ..Fault::new(ErrorCode::TOO_LARGE, text) }
}

/// All bytes, or `None` when they are more than [`MAX_OUTPUT`].
async fn read_bounded(source: Option<impl AsyncRead + Unpin>) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        let most = u64::try_from(MAX_OUTPUT).unwrap_or(u64::MAX).saturating_add(1);
        source.take(most).read_to_end(&mut bytes).await?;
    }
    Ok((bytes.len() <= MAX_OUTPUT).then_some(bytes))
}

/// The last characters of a stream of any length.
async fn last_chars(source: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    // Four bytes make the longest character.
    let keep = STDERR_CHARS * 4;
    let (mut tail, mut chunk) = (Vec::new(), vec![0; 4096]);
    let Some(mut source) = source else { return Ok(String::new()) };
    loop {
        let count = source.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        tail.extend_from_slice(chunk.get(..count).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(keep));
    }
    let text = String::from_utf8_lossy(&tail);
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(STDERR_CHARS);
    Ok(text.chars().skip(skip).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use std::future::{pending, ready};

    use serde_json::json;

    use super::*;

    const DEPTH: u32 = 3;

    async fn sh(script: &str) -> Result<Value, Fault> {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], DEPTH, pending()).await
    }

    #[tokio::test]
    async fn output_is_the_result() {
        for (script, value) in [
            ("echo 3", json!(3)),
            ("echo 1.10", json!("1.10")),
            ("echo 14e5", json!("14e5")),
            ("printf '{\"a\":[1]}'", json!({ "a": [1] })),
            ("echo hello", json!("hello")),
            ("printf 'two\\nlines\\n\\n'", json!("two\nlines\n")),
            ("true", json!("")),
        ] {
            assert_eq!(sh(script).await.unwrap(), value, "{script}");
        }
    }

    #[tokio::test]
    async fn failures_tell_the_end_of_standard_error() {
        let fault = sh("echo broken >&2; exit 3").await.unwrap_err();
        assert_eq!((fault.code, fault.executed), (ErrorCode::EXECUTION_ERROR, Executed::Yes));
        assert!(fault.message.contains("exit status: 3: broken"), "{}", fault.message);
        let fault = sh("head -c 100000 /dev/zero | tr '\\0' x >&2; echo END >&2; exit 1").await;
        let message = fault.unwrap_err().message;
        assert!(message.ends_with(&format!(": {}END", "x".repeat(STDERR_CHARS - 3))), "{message}");
    }

    #[tokio::test]
    async fn output_is_bounded_and_text() {
        let print = |count: usize| format!("head -c {count} /dev/zero | tr '\\0' x");
        assert!(sh(&print(MAX_OUTPUT)).await.is_ok());
        let fault = sh(&print(MAX_OUTPUT + 1)).await.unwrap_err();
        assert_eq!((fault.code, fault.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
        let fault = sh("printf '\\377'").await.unwrap_err();
        assert_eq!(fault.code, ErrorCode::EXECUTION_ERROR);
    }

    #[tokio::test]
    async fn json_that_nests_deeper_than_a_result_is_refused_and_no_text() {
        assert_eq!(sh("echo '[[[]]]'").await, Ok(json!([[[]]])));
        let far = format!("echo '{}{}'", "[".repeat(200), "]".repeat(200));
        for (script, levels) in [("echo '[[[{}]]]'", 4), (&far, 200)] {
            let fault = sh(script).await.unwrap_err();
            assert_eq!((fault.code, fault.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
            let told = format!("printed JSON that nests {levels} levels deep, and at most 3");
            assert!(fault.message.contains(&told), "{}", fault.message);
        }
    }

    #[tokio::test]
    async fn numbers_that_would_become_others_are_no_result() {
        let fault = sh("echo '[18446744073709551616]'").await.unwrap_err();
        assert_eq!((fault.code, fault.executed), (ErrorCode::UNENCODABLE, Executed::Yes));
        let told = "the program printed JSON with the whole number 18446744073709551616";
        assert!(fault.message.starts_with(told), "{}", fault.message);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn arguments_that_the_system_does_not_take_are_told_with_its_bound() {
        let long = "x".repeat(LINUX_ARGUMENT);
        let start = async |arguments: &[&str]| {
            let words: Vec<_> = ["true"].iter().chain(arguments).map(|w| (*w).to_owned()).collect();
            run(&words, DEPTH, pending()).await
        };
        assert_eq!(start(&[&long]).await, Ok(json!("")));
        let one = format!("{long}x");
        for (arguments, part) in [
            (&[&*one][..], "an argument has 131072 bytes, and Linux gives a program 131071 in one"),
            // A quarter of any stack that tests are run with is less.
            (&[&*long; 100], "its arguments have 13107100 bytes, more than the system gives"),
        ] {
            let fault = start(arguments).await.unwrap_err();
            assert_eq!((fault.code, fault.executed), (ErrorCode::TOO_LARGE, Executed::No));
            for part in ["cannot start `true`", part, "in parts", "in Rust", "16 MiB"] {
                assert!(fault.message.contains(part), "{}", fault.message);
            }
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_did_not_run() {
        let fault = run(&["/no/such/program".to_owned()], DEPTH, pending()).await.unwrap_err();
        assert_eq!((fault.code, fault.executed), (ErrorCode::EXECUTION_ERROR, Executed::No));
    }

    #[tokio::test]
    async fn what_a_cancelled_program_has_started_ends_with_it() {
        let path = std::env::temp_dir().join(format!("lanc-group-{}", std::process::id()));
        // The inner program goes on writing until it is killed.
        let script =
            format!("sh -c 'while echo x >> {}; do sleep 0.01; done' & wait", path.display());
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        let runs = async {
            while !path.exists() {
                tokio::task::yield_now().await;
            }
        };
        let fault = run(&words, DEPTH, runs).await.unwrap_err();
        assert_eq!(fault.code, ErrorCode::CANCELLED);
        // Killed processes still finish the system call they are in.
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut before = u64::MAX;
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if size() == before {
                break;
            }
            before = size();
        }
        assert_eq!(size(), before, "it goes on");
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_program_is_given_up_at_once() {
        let words = ["sleep".to_owned(), "1000".to_owned()];
        let fault = run(&words, DEPTH, ready(())).await.unwrap_err();
        assert_eq!((fault.code, fault.executed), (ErrorCode::CANCELLED, Executed::Maybe));
    }
}
