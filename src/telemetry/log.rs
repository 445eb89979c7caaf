//! The lines of the log: written by a thread of their own, so that no call waits for whoever reads them.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that may wait to be written; lines beyond are lost, and counted.
const MOST_WAITING: usize = 1 << 20;

/// After lines were written, the next ones are gathered for so long: one write for many lines.
const PAUSE: Duration = Duration::from_millis(5);

/// A log that is being written. What waits is written before this is gone.
#[derive(Debug)]
pub struct Log {
    waiting: Arc<Waiting>,
    writer: Option<JoinHandle<()>>,
}

/// Takes lines for a log.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: Vec<u8>,
    lost: usize,
    ended: bool,
}

impl Log {
    /// Begins a log that is written to `out`.
    ///
    /// # Errors
    /// What the operating system says where there are no more threads.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let waiting = Arc::<Waiting>::default();
        let source = waiting.clone();
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || source.write_to(out))?;
        Ok(Self { waiting, writer: Some(writer) })
    }

    /// Where lines go in.
    #[must_use]
    pub fn lines(&self) -> Lines {
        Lines(self.waiting.clone())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.waiting.state().ended = true;
        self.waiting.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Write for Lines {
    /// Takes a whole line, or none of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.text.len() + line.len() > MOST_WAITING {
            state.lost += 1;
            return Ok(line.len());
        }
        let was_empty = state.text.is_empty();
        state.text.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut text = Vec::new();
        loop {
            let mut state = self.state();
            while state.text.is_empty() && !state.ended {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            text.clear();
            std::mem::swap(&mut text, &mut state.text);
            let (lost, ended) = (std::mem::take(&mut state.lost), state.ended);
            drop(state);
            // Where nobody reads the log any more, there is nobody to tell.
            let _ = out.write_all(&text);
            if lost > 0 {
                let _ = writeln!(out, "{lost} lines of the log were lost: they came faster than they were read");
            }
            let _ = out.flush();
            if ended {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Hands on what is written, once somebody takes it.
    struct Out(SyncSender<Vec<u8>>);

    impl Write for Out {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.send(text.to_vec()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Log, Receiver<Vec<u8>>) {
        let (out, written) = sync_channel(0);
        (Log::start(Out(out)).unwrap(), written)
    }

    #[test]
    fn every_line_is_written_before_the_log_ends() {
        let (log, written) = start();
        let mut lines = log.lines();
        lines.write_all(b"one\n").unwrap();
        assert_eq!(written.recv().unwrap(), b"one\n");
        lines.write_all(b"two\n").unwrap();
        lines.write_all(b"three\n").unwrap();
        let rest = std::thread::spawn(move || written.iter().flatten().collect::<Vec<u8>>());
        drop(log);
        assert_eq!(rest.join().unwrap(), b"two\nthree\n");
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up_and_says_what_was_lost() {
        let (log, written) = start();
        let mut lines = log.lines();
        let line = vec![b'x'; MOST_WAITING / 4];
        for _ in 0..20 {
            lines.write_all(&line).unwrap();
        }
        let all = std::thread::spawn(move || written.iter().flatten().collect::<Vec<u8>>());
        drop(log);
        let all = String::from_utf8(all.join().unwrap()).unwrap();
        let last = all.trim_start_matches('x');
        assert!(last.ends_with("lines of the log were lost: they came faster than they were read\n"), "{last}");
        assert!(all.len() <= 9 * line.len() + last.len());
    }
}
