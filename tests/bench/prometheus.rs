//! A Prometheus that answers one query with twenty series, at once, and knows nothing else.

use std::io::Result;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::calls::Endpoint;

/// The query: its unit is in its name, so that nothing else is asked for.
pub(crate) const QUERY: &str = "process_resident_memory_bytes";

/// A client that asks it directly.
pub(crate) const REQUEST: &str =
    "GET /api/v1/query?query=process_resident_memory_bytes HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A running one, on a thread of its own; it ends with the process.
#[derive(Debug)]
pub(crate) struct Prometheus {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
}

impl Prometheus {
    pub(crate) fn start() -> std::result::Result<Self, String> {
        let listen = || -> Result<_> {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let address = listener.local_addr()?;
            std::thread::spawn(move || runtime.block_on(serve(listener)));
            Ok(address)
        };
        let address = listen().map_err(|error| format!("the fake Prometheus: {error}"))?;
        Ok(Self { endpoint: Endpoint::new(&format!("http://{address}"), None)? })
    }

    /// Our configuration for it.
    pub(crate) fn configuration(&self) -> String {
        format!(
            "backends:\n  prometheus:\n    instances:\n      main:\n        url: http://{}\n",
            self.endpoint.address
        )
    }
}

async fn serve(listener: std::net::TcpListener) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answer = reply("200 OK", &vector());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move { converse(stream, &answer).await });
    }
}

async fn converse(mut stream: TcpStream, answer: &[u8]) -> Result<()> {
    let mut read = Vec::with_capacity(8 << 10);
    loop {
        let (head, length) = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                if read.len() >= end + 4 + length.unwrap_or(0) {
                    break (head, end + 4 + length.unwrap_or(0));
                }
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        read.drain(..length);
        let known = ["get /api/v1/query?", "post /api/v1/query "].iter().any(|start| head.starts_with(start));
        if known {
            stream.write_all(answer).await?;
        } else {
            stream.write_all(&reply("404 Not Found", "{}")).await?;
        }
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn vector() -> String {
    let series: Vec<String> = (0..20)
        .map(|place| {
            format!(
                r#"{{"metric":{{"__name__":"{QUERY}","instance":"10.0.0.{place}:9100","job":"node","zone":"eu-{}"}},"value":[1767225600.5,"{}"]}}"#,
                place % 3,
                104_857_600 + place * 1_234_567
            )
        })
        .collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
}
