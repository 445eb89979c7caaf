//! Public web pages, of allow-listed hosts only.

mod address;
mod hosts;

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use self::address::{Refused, Resolver};
use self::hosts::Pattern;
use super::rest::{client_builder, innermost};
use crate::call::Context;
use crate::error::{Error, Result};
use crate::telemetry::metrics;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// Seconds to connect to a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which pages may be fetched.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Hosts that may be fetched: `docs.example.org`, `*.example.org` for any name below, with `:8443` for a port other
    /// than 80 and 443. None means that nothing can be fetched.
    pub allow: Vec<String>,
    /// Networks that may be reached although they are not public, for example `10.1.0.0/16`: for intranets and tests.
    /// Addresses of cloud metadata stay refused.
    pub allow_private: Vec<String>,
    /// Bytes of one page that are read, after decompression.
    #[schemars(range(min = 1))]
    pub most_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { allow: Vec::new(), allow_private: Vec::new(), most_bytes: 2 * 1024 * 1024 }
    }
}

/// The client for all pages.
#[derive(Debug)]
pub(super) struct Fetcher {
    allow: Vec<Pattern>,
    /// The allow-list as it was written, for messages.
    names: String,
    resolver: Resolver,
    client: reqwest::Client,
    most_bytes: usize,
}

/// A handle on the public web for one call.
#[derive(Debug)]
pub struct Web {
    fetcher: Arc<Fetcher>,
    /// The circumstances of the call.
    pub context: Context,
}

/// What a host answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was found, after all redirects.
    pub url: Url,
    /// Status of the answer.
    pub status: StatusCode,
    /// Media type in lower case, without parameters; empty where the host names none.
    pub media_type: String,
    /// The page as text.
    pub text: String,
    /// Bytes that were read.
    pub bytes: usize,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Web {
    pub(super) fn new(fetcher: Arc<Fetcher>, context: Context) -> Self {
        Self { fetcher, context }
    }

    /// Fetches a page, following redirects within the allow-list.
    ///
    /// # Errors
    /// [`Error::BadArguments`] for an address that is none, and for what is not text; [`Error::Forbidden`] for a host
    /// that is not allowed or not public; [`Error::Unavailable`] and [`Error::TimedOut`] where it does not answer.
    pub async fn fetch(&self, url: &str, timeout: Duration) -> Result<Page> {
        let started = Instant::now();
        let deadline = self.context.deadline.min(started + timeout);
        let outcome = tokio::time::timeout_at(deadline.into(), self.fetcher.follow(url)).await;
        let page = outcome.unwrap_or_else(|_| {
            Err(Error::TimedOut(format!(
                "the page was not there within {} s; raise `timeout_seconds`",
                started.elapsed().as_secs_f32().round()
            )))
        });
        let label = page.as_ref().err().map_or("ok", |error| error.code().label());
        metrics::BACKEND_REQUESTS.with_label_values(&["web", label]).inc();
        metrics::BACKEND_SECONDS.with_label_values(&["web"]).observe(started.elapsed().as_secs_f64());
        page
    }
}

impl Fetcher {
    /// # Errors
    /// Every mistake, as path of the key and a sentence.
    pub(super) fn new(config: &Config) -> Result<Self, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let mut mistake = |key: &str, what: String| mistakes.push((format!("backends.web.{key}"), what));
        let mut allow = Vec::new();
        for (place, text) in config.allow.iter().enumerate() {
            match text.parse() {
                Ok(pattern) => allow.push(pattern),
                Err(what) => mistake(&format!("allow.{place}"), what),
            }
        }
        let mut allowed = Vec::new();
        for (place, text) in config.allow_private.iter().enumerate() {
            match text.parse() {
                Ok(network) => allowed.push(network),
                Err(_) => mistake(
                    &format!("allow_private.{place}"),
                    format!("`{text}` is not a network; write it as 10.1.0.0/16"),
                ),
            }
        }
        let resolver = Resolver { allowed };
        let client = client_builder(CONNECT_TIMEOUT).dns_resolver(resolver.clone()).build();
        match client.map_err(|error| mistake("allow", format!("no client can be made: {}", innermost(&error)))) {
            Ok(client) if mistakes.is_empty() => {
                Ok(Self { allow, names: config.allow.join(", "), resolver, client, most_bytes: config.most_bytes })
            }
            _ => Err(mistakes),
        }
    }

    pub(super) fn allows_any(&self) -> bool {
        !self.allow.is_empty()
    }

    async fn follow(&self, text: &str) -> Result<Page> {
        let mut url = parse(text)?;
        for redirects in 0..=MOST_REDIRECTS {
            self.admit(&url).map_err(|error| if redirects > 0 { redirected(error, &url) } else { error })?;
            let response = self.get(&url).await?;
            let Some(next) = next_url(&url, &response)? else { return self.read(url, response).await };
            url = next;
        }
        Err(Error::BadArguments(format!("url: it redirects more than {MOST_REDIRECTS} times, at last to {url}")))
    }

    /// Whether this address may be asked, as far as one can tell without resolving its name.
    fn admit(&self, url: &Url) -> Result<()> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::BadArguments(format!("url: `{}` is not http or https", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::BadArguments("url: leave user name and password out of it".into()));
        }
        let host = url.host_str().unwrap_or_default();
        if !self.allow.iter().any(|pattern| pattern.allows(url)) {
            let port = url.port().map(|port| format!(" at port {port}")).unwrap_or_default();
            return Err(Error::Forbidden(format!(
                "`{host}`{port} is not among the hosts that may be fetched: {}; an operator adds it under \
                 `backends.web.allow`",
                self.names
            )));
        }
        // A connection to a literal address never comes by the resolver.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        match literal.map(|address| self.resolver.check(address)) {
            Some(Err(refused)) => Err(forbidden(host, &refused)),
            _ => Ok(()),
        }
    }

    async fn get(&self, url: &Url) -> Result<reqwest::Response> {
        let request =
            self.client.get(url.clone()).header(ACCEPT, "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.5");
        request.send().await.map_err(|error| unreachable(url, &error))
    }

    async fn read(&self, url: Url, mut response: reqwest::Response) -> Result<Page> {
        let content_type = header(&response, &CONTENT_TYPE).to_ascii_lowercase();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_owned();
        if !is_text(&media_type) {
            return Err(Error::BadArguments(format!("url: the page is `{media_type}`, and only text can be shown")));
        }
        let mut body = BytesMut::new();
        let mut whole = true;
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&url, &error))? {
            let room = self.most_bytes - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                whole = false;
                break;
            }
        }
        let text = decode(&body, &content_type)
            .ok_or_else(|| Error::BadArguments("url: the page holds binary data, and only text can be shown".into()))?;
        Ok(Page { url, status: response.status(), media_type, text, bytes: body.len(), whole })
    }
}

fn parse(text: &str) -> Result<Url> {
    let mut url = Url::parse(text.trim())
        .map_err(|error| Error::BadArguments(format!("url: not an address ({error}); it begins with https://")))?;
    url.set_fragment(None);
    Ok(url)
}

/// Where the answer sends us, if it does.
fn next_url(url: &Url, response: &reqwest::Response) -> Result<Option<Url>> {
    let location = header(response, &LOCATION);
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) || location.is_empty() {
        return Ok(None);
    }
    let mut next = url.join(location).map_err(|_| {
        Error::BadArguments(format!(
            "url: {} redirects to something that is no address",
            url.host_str().unwrap_or_default()
        ))
    })?;
    next.set_fragment(None);
    Ok(Some(next))
}

fn header<'a>(response: &'a reqwest::Response, name: &http::HeaderName) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn redirected(error: Error, url: &Url) -> Error {
    let to = url.host_str().unwrap_or(url.scheme());
    match error {
        Error::Forbidden(message) => Error::Forbidden(format!("it redirects to {to}: {message}")),
        Error::BadArguments(message) => Error::BadArguments(format!("it redirects to {to}: {message}")),
        other => other,
    }
}

fn forbidden(host: &str, refused: &Refused) -> Error {
    Error::Forbidden(format!("`{host}` cannot be fetched: {refused}, and only public ones may be reached"))
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Error {
    let host = url.host_str().unwrap_or_default();
    if let Some(refused) = find_refused(error) {
        return forbidden(host, refused);
    }
    let reason = if error.is_timeout() { "no connection in time".to_owned() } else { innermost(error) };
    Error::Unavailable(format!("`{host}` cannot be reached: {reason}"))
}

/// The resolver's own reason, wherever the client put it.
fn find_refused<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refused> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

/// Whether a media type is one that people read. Where none is named, the bytes decide.
fn is_text(media_type: &str) -> bool {
    let Some((kind, name)) = media_type.split_once('/') else { return media_type.is_empty() };
    let readable = [
        "json",
        "xml",
        "yaml",
        "toml",
        "javascript",
        "ecmascript",
        "ndjson",
        "jsonl",
        "json-seq",
        "sql",
        "graphql",
        "x-yaml",
        "x-toml",
        "x-javascript",
        "x-ndjson",
        "x-sh",
    ];
    match kind {
        "text" => true,
        "application" => {
            readable.contains(&name) || name.ends_with("+json") || name.ends_with("+xml") || name.ends_with("+yaml")
        }
        _ => false,
    }
}

/// The text of a body; none where it is binary. What is neither UTF-8 nor Latin-1 keeps its ASCII.
fn decode(body: &[u8], content_type: &str) -> Option<String> {
    if body.contains(&0) {
        return None;
    }
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let charset = content_type.split("charset=").nth(1).unwrap_or_default().trim_matches(|c: char| "\"' ;".contains(c));
    let latin = charset.starts_with("iso-8859-1") || charset == "latin1" || charset == "windows-1252";
    if latin && std::str::from_utf8(body).is_err() {
        return Some(body.iter().map(|byte| char::from(*byte)).collect());
    }
    Some(String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(allow: &[&str], allow_private: &[&str]) -> Fetcher {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Fetcher::new(&Config { allow: owned(allow), allow_private: owned(allow_private), ..Config::default() }).unwrap()
    }

    fn admit(fetcher: &Fetcher, url: &str) -> Result<()> {
        fetcher.admit(&parse(url)?)
    }

    /// Every host is on the list, so that only the address decides.
    const EVIL: [&str; 27] = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://①②⑦.⓪.⓪.①/",
        "http://１２７.0.0.1/",
        "http://127%2e0%2e0%2e1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://10.1/",
        "http://0xa9fea9fe/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://[::]/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[2002:7f00:1::]/",
    ];

    #[test]
    fn an_address_in_any_notation_is_known_for_what_it_is() {
        for url in EVIL {
            let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
            let error = admit(&fetcher(&[&host], &[]), url).unwrap_err();
            assert!(matches!(error, Error::Forbidden(_)), "{url}: {error}");
            assert!(error.to_string().contains("its address is"), "{url}: {error}");
        }
    }

    #[test]
    fn only_web_addresses_without_credentials_are_taken() {
        let fetcher = fetcher(&["a.example", "*.b.example"], &[]);
        for url in
            ["http://a.example", "https://a.example:80/x", "https://x.b.example/?q=1&r=2#f", " https://a.example\n"]
        {
            admit(&fetcher, url).unwrap();
        }
        for url in [
            "",
            "a.example",
            "//a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "gopher://a.example",
            "data:text/html,x",
            "javascript:alert(1)",
            "http://",
            "http://u@a.example",
            "http://u:p@a.example",
            "http://:p@a.example",
            "http://a.example:99999",
            "http://1.2.3.4.5",
            "http://[::1",
            "http://0x100000000",
            "http://256.1.1.1",
        ] {
            assert!(matches!(admit(&fetcher, url), Err(Error::BadArguments(_))), "{url}");
        }
        for url in [
            "http://c.example",
            "http://a.example:8080",
            "http://b.example",
            "http://a.example.c.example",
            "http://localhost",
            "http://a.example\\@c.example\\",
            "http://c.example#@a.example",
            "http://c.example?a.example",
        ] {
            assert!(admit(&fetcher, url).is_err() || Url::parse(url).unwrap().host_str() == Some("a.example"), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_by_the_address_behind_it() {
        let loopback = fetcher(&["localhost"], &[]);
        let error = loopback.follow("http://localhost/").await.unwrap_err();
        assert!(error.to_string().contains("its address is loopback"), "{error}");
    }

    #[test]
    fn every_mistake_of_the_configuration_is_told() {
        let config = Config { allow: vec!["*".into()], allow_private: vec!["10.0.0.1/99".into()], ..Config::default() };
        let mistakes = Fetcher::new(&config).unwrap_err();
        let keys: Vec<_> = mistakes.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["backends.web.allow.0", "backends.web.allow_private.0"]);
    }

    #[test]
    fn text_is_told_from_what_is_not() {
        for media_type in
            ["", "text/html", "text/x-anything", "application/json", "application/atom+xml", "application/yaml"]
        {
            assert!(is_text(media_type), "{media_type}");
        }
        for media_type in
            ["image/png", "image/svg+xml", "application/octet-stream", "application/pdf", "video/mp4", "x"]
        {
            assert!(!is_text(media_type), "{media_type}");
        }
    }

    #[test]
    fn bodies_become_text_by_their_charset() {
        assert_eq!(decode(b"gr\xC3\xBC\xC3\x9F", "text/html; charset=utf-8").unwrap(), "grüß");
        assert_eq!(decode(b"gr\xFC\xDF", "text/html; charset=\"iso-8859-1\"").unwrap(), "grüß");
        assert_eq!(decode(b"\xEF\xBB\xBFa\xFFb", "text/html").unwrap(), "a\u{FFFD}b");
        assert_eq!(decode(b"PK\x03\x04\x00", ""), None);
    }
}
