//! Reads one log, and keeps of it what was asked for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use regex::Regex;

use super::nanoseconds;
use super::sources::Source;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{LineRedactor, Request, segment};
use crate::error::Result;
use crate::tools::{ages, patterns};

/// Bytes of one log that are read.
const MOST_READ: usize = 64 << 20;

/// Bytes of one line that are read.
const LONGEST_LINE: usize = 16 << 10;

/// Time that is left to answer with what was read so far.
const TIME_TO_ANSWER: Duration = Duration::from_secs(3);

/// Said of a log that was not read to its end in time.
const TIME_IS_UP: &str = "the time was up before its end; give `start` to read less of it.";

/// How far lines may be out of order.
const DISORDER: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// Which lines are kept.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) grep: Option<Regex>,
    pub(super) exclude: Option<Regex>,
    pub(super) context: usize,
    /// Lines, the newest ones.
    pub(super) keep: usize,
    /// Bytes of them.
    pub(super) bytes: usize,
    /// Where newer lines begin that were shown before: their time, and how many of that very time.
    pub(super) place: Option<(i64, usize)>,
}

impl Filter {
    /// For one of several logs, up to a place.
    pub(super) fn before(mut self, place: Option<(i64, usize)>, logs: usize) -> Self {
        self.bytes /= logs.max(1);
        self.place = place;
        if let Some((time, shown)) = place
            && let Ok(time) = Timestamp::from_nanosecond(time.into())
        {
            self.end = Some(time);
            self.keep += shown;
        }
        self
    }

    /// Whether the server can be asked for the last lines only.
    fn is_plain(&self) -> bool {
        self.end.is_none() && self.grep.is_none() && self.exclude.is_none()
    }
}

/// What was kept of a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) lines: VecDeque<(Timestamp, String)>,
    /// Lines that came.
    pub(super) read: u64,
    /// Those that fit.
    pub(super) matched: u64,
    /// Those that are older than the ones kept.
    pub(super) dropped: u64,
    /// The time of the last line that came.
    pub(super) last: Option<Timestamp>,
    /// Whether there may be lines before those kept.
    pub(super) has_older: bool,
    pub(super) notes: Vec<String>,
}

/// Reads a log.
pub(super) async fn read(
    source: &Source,
    filter: Filter,
    previous: bool,
    namespace: &str,
    cluster: &Kubernetes,
) -> Result<Log> {
    let path =
        format!("/api/v1/namespaces/{}/pods/{}/log", segment("namespace", namespace)?, segment("pod", &source.pod)?);
    let plain = filter.is_plain();
    let mut request = Request::get(path)
        .accept("*/*")
        .query("container", source.container.clone())
        .query("timestamps", "true")
        .query("limitBytes", MOST_READ.to_string())
        .query_some("sinceTime", filter.start.map(ages::at));
    if previous {
        request = request.query("previous", "true");
    }
    if plain {
        request = request.query("tailLines", filter.keep.to_string());
    }
    let mut stream = cluster.cluster().stream(&request, &cluster.context).await?;
    let until = cluster.context.deadline.checked_sub(TIME_TO_ANSWER).unwrap_or_else(Instant::now);
    let name = format!("{namespace}/{}/{}", source.pod, source.container);
    let mut reader = Reader::new(filter, until, cluster.line_redactor(&name));
    let mut bytes = 0;
    loop {
        let Ok(part) = tokio::time::timeout_at(until.into(), stream.next()).await else {
            reader.log.notes.push(TIME_IS_UP.into());
            break;
        };
        match part {
            Ok(Some(part)) => {
                bytes += part.len();
                if !patterns::at_length(|| reader.push(&part)) {
                    if !reader.ended {
                        reader.log.notes.push(TIME_IS_UP.into());
                    }
                    break;
                }
            }
            Ok(None) => break,
            Err(error) if reader.log.read == 0 => return Err(error),
            Err(error) => {
                reader.log.notes.push(format!("it broke off: {error}"));
                break;
            }
        }
        if bytes >= MOST_READ {
            reader.log.notes.push(format!(
                "only its first {} MiB were read, so the newest lines are missing; give `start`.",
                MOST_READ >> 20
            ));
            break;
        }
    }
    Ok(reader.finish(plain))
}

struct Reader<'a> {
    filter: Filter,
    redactor: LineRedactor<'a>,
    log: Log,
    bytes: usize,
    /// The beginning of a line whose end did not come yet.
    begun: Vec<u8>,
    /// Lines before a match, in case one comes.
    before: VecDeque<(Timestamp, String)>,
    /// Lines after a match that are still wanted.
    after: usize,
    ended: bool,
    /// When no more lines are looked at.
    until: Instant,
}

impl<'a> Reader<'a> {
    fn new(filter: Filter, until: Instant, redactor: LineRedactor<'a>) -> Self {
        Self {
            filter,
            redactor,
            log: Log::default(),
            bytes: 0,
            begun: Vec::new(),
            before: VecDeque::new(),
            after: 0,
            ended: false,
            until,
        }
    }

    /// Takes the next bytes; false where no more are wanted.
    fn push(&mut self, part: &[u8]) -> bool {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            let (piece, is_end) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            let room = LONGEST_LINE.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if is_end {
                self.end_line();
                if self.ended || Instant::now() > self.until {
                    return false;
                }
            }
        }
        true
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.begun);
        let line = String::from_utf8_lossy(&bytes);
        let timed = line.split_once(' ').and_then(|(time, text)| Some((time.parse::<Timestamp>().ok()?, text)));
        let (at, text) = match timed {
            Some((at, text)) => (at, text),
            None => (self.log.last.unwrap_or(Timestamp::MIN), &*line),
        };
        // Keys span lines, so each is looked at before any is left out. And nobody may find out by matching what is
        // not shown.
        let text = self.redactor.redact(text.trim_end_matches('\r')).into_owned();
        self.begun = bytes;
        self.begun.clear();
        if let Some(end) = self.filter.end
            && at > end
        {
            self.ended |= at.duration_since(end) > DISORDER;
            return;
        }
        self.log.read += 1;
        self.log.last = Some(at);
        if self.filter.start.is_some_and(|start| at < start) {
            return;
        }
        self.choose(at, text);
    }

    fn choose(&mut self, at: Timestamp, text: String) {
        if self.filter.exclude.as_ref().is_some_and(|exclude| exclude.is_match(&text)) {
            return;
        }
        let matches = self.filter.grep.as_ref().is_none_or(|grep| grep.is_match(&text));
        if matches {
            self.log.matched += 1;
            for (at, text) in std::mem::take(&mut self.before) {
                self.keep(at, text);
            }
            self.keep(at, text);
            self.after = self.filter.context;
        } else if self.after > 0 {
            self.after -= 1;
            self.keep(at, text);
        } else if self.filter.context > 0 {
            if self.before.len() == self.filter.context {
                self.before.pop_front();
            }
            self.before.push_back((at, text));
        }
    }

    fn keep(&mut self, at: Timestamp, text: String) {
        self.bytes += text.len() + 32;
        self.log.lines.push_back((at, text));
        while self.log.lines.len() > self.filter.keep || (self.bytes > self.filter.bytes && self.log.lines.len() > 1) {
            let Some((_, text)) = self.log.lines.pop_front() else { break };
            self.bytes -= text.len() + 32;
            self.log.dropped += 1;
        }
    }

    fn finish(mut self, plain: bool) -> Log {
        if !self.begun.is_empty() {
            self.end_line();
        }
        let asked = self.filter.keep as u64;
        if let Some((time, shown)) = self.filter.place {
            for _ in 0..shown {
                if self.log.lines.back().is_some_and(|(at, _)| nanoseconds(*at) == time) {
                    self.log.lines.pop_back();
                    self.log.matched = self.log.matched.saturating_sub(1);
                }
            }
        }
        self.log.has_older = self.log.dropped > 0 || (plain && self.log.read >= asked);
        self.log
    }
}
