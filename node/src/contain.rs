//! Foreign code at places where nothing may come of its panics: what it panics with may panic
//! again when it is dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs foreign code; `None`: it has panicked.
pub(crate) fn run<T>(code: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(code)).map_err(discard).ok()
}

/// Drops something foreign. What its own panic leaves is forgotten: this must end somewhere.
pub(crate) fn discard<T>(value: T) {
    let panic: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| drop(value)));
    if let Err(panic) = panic {
        std::mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Again;

    impl Drop for Again {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn what_panics_whenever_it_is_dropped_harms_nobody() {
        discard(Again);
        assert_eq!(run(|| std::panic::panic_any(Again)), None::<()>);
        assert_eq!(run(|| 1), Some(1));
    }

    #[test]
    fn it_is_held_while_another_panic_is_on_its_way_too() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                discard(Again);
                assert_eq!(run(|| std::panic::panic_any(Again)), None::<()>);
            }
        }
        let ran = run(|| {
            let _last = Last;
            std::panic::panic_any("first");
        });
        assert_eq!(ran, None::<()>);
    }
}
