//! Which parts of the inlet have something to do.
//!
//! Every source of work (a connection, the listener, ...) has a token, and a waker that queues
//! it: one poll looks at what is ready, not at everything there is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Names a source of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// The outlet wants something dialled.
    Dials,
    Listener,
    /// Deadlines are to be looked at.
    Clock,
    /// The connection in this slot.
    Slot(u32),
}

#[derive(Default)]
pub(crate) struct Ready {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Token>,
    /// By place of the token: it is in the queue already, so the queue is never longer than
    /// there are tokens.
    queued: Vec<bool>,
    /// The task that polls the inlet.
    task: Option<Waker>,
}

impl Token {
    fn place(self) -> usize {
        match self {
            Self::Dials => 0,
            Self::Listener => 1,
            Self::Clock => 2,
            Self::Slot(slot) => usize::try_from(slot).unwrap_or(usize::MAX - 3) + 3,
        }
    }
}

impl Ready {
    /// Queues `token` and wakes the task.
    pub(crate) fn wake(&self, token: Token) {
        let task = {
            let mut state = self.state();
            let place = token.place();
            if state.queued.len() <= place {
                state.queued.resize(place.saturating_add(1), false);
            }
            match state.queued.get_mut(place) {
                Some(queued) if !*queued => *queued = true,
                _ => return,
            }
            state.queue.push_back(token);
            state.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The task is at work: it need not be woken.
    pub(crate) fn enter(&self) {
        self.state().task = None;
    }

    /// The next token, whose turn it is.
    pub(crate) fn pop(&self) -> Option<Token> {
        let mut state = self.state();
        let token = state.queue.pop_front()?;
        if let Some(queued) = state.queued.get_mut(token.place()) {
            *queued = false;
        }
        Some(token)
    }

    /// Has `task` woken by the next token; `false`: there is one already.
    pub(crate) fn wait(&self, task: &Waker) -> bool {
        let mut state = self.state();
        match &state.task {
            Some(known) if known.will_wake(task) => {}
            _ => state.task = Some(task.clone()),
        }
        state.queue.is_empty()
    }

    /// The waker that queues `token`.
    pub(crate) fn waker(self: &Arc<Self>, token: Token) -> Waker {
        Arc::new(TokenWaker { token, ready: Arc::clone(self) }).into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TokenWaker {
    token: Token,
    ready: Arc<Ready>,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.ready.wake(self.token);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.wake(self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_waits_once_and_they_take_turns() {
        let ready = Arc::new(Ready::default());
        let slot = ready.waker(Token::Slot(4));
        for _ in 0..3 {
            slot.wake_by_ref();
            ready.wake(Token::Listener);
        }
        assert!(!ready.wait(Waker::noop()));
        assert_eq!(ready.pop(), Some(Token::Slot(4)));
        slot.wake();
        assert_eq!(ready.pop(), Some(Token::Listener));
        assert_eq!(ready.pop(), Some(Token::Slot(4)));
        assert_eq!(ready.pop(), None);
        assert!(ready.wait(Waker::noop()));
    }
}
