//! One HTTP/1.1 connection that is kept open: no more than the load needs, so that the load costs little itself.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::calls::Endpoint;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes to and fro, in the clear or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Stream for S {}

/// A connection, with what was read and not yet used.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    used: usize,
    head: Vec<u8>,
    body: Vec<u8>,
    length: Length,
}

/// How long a body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
    /// The whole body, or the events of a stream that ended.
    pub(crate) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self> {
        let stream = TcpStream::connect(&endpoint.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &endpoint.tls {
            Some(config) => {
                let host = endpoint.address.split(':').next().unwrap_or_default().to_owned();
                let name = ServerName::try_from(host).map_err(Error::other)?;
                Box::new(TlsConnector::from(config.clone()).connect(name, stream).await?)
            }
            None => Box::new(stream),
        };
        Ok(Self {
            stream,
            read: Vec::with_capacity(64 << 10),
            used: 0,
            head: Vec::new(),
            body: Vec::new(),
            length: Length::Known(0),
        })
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        let exchange = async {
            let status = self.begin(request).await?;
            while self.more().await? {}
            Ok::<_, Error>(status)
        };
        let status = tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| ErrorKind::TimedOut)??;
        Ok(Reply { status, head: &self.head, body: &self.body })
    }

    /// Sends a request, and reads the head of the answer.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.body.clear();
        let end = loop {
            let unused = &self.read[self.used..];
            if let Some(end) = unused.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        self.head.clear();
        self.head.extend_from_slice(&self.read[self.used..self.used + end]);
        self.used += end;
        let status = self.head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status = status.ok_or_else(|| broken("no status"))?;
        let chunked = header(&self.head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        self.length = match header(&self.head, "content-length").map(str::parse) {
            _ if chunked => Length::Chunked,
            Some(Ok(length)) => Length::Known(length),
            Some(Err(_)) => return Err(broken("no length")),
            None if matches!(status, 204 | 304) => Length::Known(0),
            None => return Err(broken("neither a length nor chunks")),
        };
        Ok(status)
    }

    /// Reads on in the body, and says whether there may be more of it.
    pub(crate) async fn more(&mut self) -> Result<bool> {
        match self.length {
            Length::Known(0) => Ok(false),
            Length::Known(left) => {
                if self.used == self.read.len() {
                    self.fill().await?;
                }
                let taken = left.min(self.read.len() - self.used);
                self.take(taken);
                self.length = Length::Known(left - taken);
                Ok(left > taken)
            }
            Length::Chunked => {
                let size = usize::from_str_radix(self.line().await?.trim(), 16).map_err(|_| broken("no chunk size"))?;
                while self.read.len() - self.used < size + 2 {
                    self.fill().await?;
                }
                self.take(size);
                self.used += 2;
                if size == 0 {
                    self.length = Length::Known(0);
                }
                Ok(size > 0)
            }
        }
    }

    /// What was read of the body so far.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    fn take(&mut self, size: usize) {
        self.body.extend_from_slice(&self.read[self.used..self.used + size]);
        self.used += size;
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            let unused = &self.read[self.used..];
            if let Some(end) = unused.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&unused[..end]).into_owned();
                self.used += end + 2;
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.used == self.read.len() {
            self.read.clear();
            self.used = 0;
        }
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (given, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":").filter(|_| given.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(value.trim_ascii()).ok()
    })
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the answer has {what}"))
}
