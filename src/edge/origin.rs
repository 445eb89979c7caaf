//! Who may reach this server from a browser: Host and Origin checks, CORS, security headers.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    HOST, ORIGIN, REFERRER_POLICY, TRANSFER_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use ipnet::IpNet;
use url::Url;

use super::address;

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
}

impl Refusal {
    fn forbidden(reason: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, reason }
    }

    fn malformed(reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason }
    }
}

/// Which hosts and origins are let in.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Host names that a request may be for; any when the server is meant to be reached from elsewhere and names none.
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
}

impl Rules {
    /// Where the server listens on loopback only, other host names are an attack (DNS rebinding), unless configured.
    pub(super) fn new(loopback: bool, hosts: &[String], origins: &[String]) -> Self {
        let hosts = (loopback || !hosts.is_empty()).then(|| hosts.iter().map(|host| host.to_lowercase()).collect());
        Self { hosts, origins: origins.iter().map(|origin| origin.trim_end_matches('/').to_lowercase()).collect() }
    }

    /// Whether a request may come in; else why not.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
        let mut given = headers.get_all(HOST).iter();
        let header = given.next();
        if given.next().is_some() {
            return Err(Refusal::malformed("the request names two hosts: send one `Host` header"));
        }
        // HTTP/2, and requests as a proxy gets them, name the host in the target; where both do, both count.
        let in_target = uri.authority().map(|authority| Some(authority.as_str()));
        let named = header.map(|host| host.to_str().ok()).into_iter().chain(in_target);
        let mut named_one = false;
        for host in named {
            let Some(name) = host.and_then(name_of) else {
                return Err(Refusal::malformed("the host of the request is not a name or address with a port"));
            };
            named_one = true;
            if self.hosts.as_ref().is_some_and(|hosts| !is_loopback(&name) && !hosts.contains(&name)) {
                return Err(Refusal::forbidden(
                    "this server is not known under that host name; an operator can add it to `server.hosts`",
                ));
            }
        }
        if self.hosts.is_some() && !named_one {
            return Err(Refusal::malformed("the request names no host: send a `Host` header"));
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if self.is_known(origin) => Ok(()),
            Some(_) => Err(Refusal::forbidden(
                "pages of that origin may not use this server; an operator can add it to `server.origins`",
            )),
        }
    }

    fn is_known(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.trim_end_matches('/').to_lowercase();
        if self.origins.iter().any(|known| *known == origin || known == "*") {
            return true;
        }
        let local = Url::parse(&origin).ok().and_then(|url| url.host_str().map(str::to_owned));
        self.hosts.is_some() && local.is_some_and(|host| is_loopback(host.trim_matches(['[', ']'])))
    }
}

/// Refuses a request that says twice, in two ways, where its body ends: a proxy before this server may have believed the
/// other one (RFC 9112 §6.3).
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(Refusal::malformed("the request has both `Content-Length` and `Transfer-Encoding`: send one"));
    }
    Ok(())
}

impl super::Config {
    /// Host names and origins that no request could ever have, as keys within `server` and sentences.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(String, String)> {
        let mut mistakes = Vec::new();
        for (place, host) in self.hosts.iter().enumerate() {
            let is_name = name_of(host).is_some_and(|name| name == host.to_lowercase());
            if !is_name && host.parse::<std::net::IpAddr>().is_err() {
                let message = format!(
                    "`{host}` is not a host name; write it without scheme, port and path, as in mcp.example.org"
                );
                mistakes.push((format!("hosts.{place}"), message));
            }
        }
        for (place, origin) in self.origins.iter().enumerate() {
            let bare = |url: &Url| matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            let is_origin =
                Url::parse(origin).is_ok_and(|url| url.has_host() && url.username().is_empty() && bare(&url));
            if origin != "*" && !is_origin {
                let message = format!(
                    "`{origin}` is not an origin; write scheme, host and port where there is one, as in \
                     https://chat.example.org"
                );
                mistakes.push((format!("origins.{place}"), message));
            }
        }
        for (place, text) in self.trusted_proxies.iter().enumerate() {
            if address::network(text).is_none() {
                let message = format!("`{text}` is not a network; write it as 10.0.0.0/8, or a single address");
                mistakes.push((format!("trusted_proxies.{place}"), message));
            }
        }
        mistakes
    }

    /// The proxies that are believed.
    pub(super) fn proxies(&self) -> Vec<IpNet> {
        self.trusted_proxies.iter().filter_map(|text| address::network(text)).collect()
    }
}

/// Adds what every answer carries.
pub(super) fn finish(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy"),
        );
    }
}

/// Answers a browser that asks before it sends the real request (Fetch standard, CORS preflight).
pub(super) fn preflight(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, \
             Mcp-Name, X-API-Key, X-MCP-Toolsets, X-MCP-Readonly, traceparent, tracestate",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

/// The name in a `Host` header, without port and brackets; none where it is no host (RFC 9110 §7.2).
fn name_of(host: &str) -> Option<String> {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let (name, port) = rest.split_once(']')?;
        name.parse::<std::net::Ipv6Addr>().ok()?;
        (name, port)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || !name.bytes().all(plain) {
            return None;
        }
        (name, port)
    };
    let port_fits =
        |port: &str| port.is_empty() || port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let fits = port.is_empty() || port.strip_prefix(':').is_some_and(port_fits);
    fits.then(|| name.strip_suffix('.').unwrap_or(name).to_lowercase())
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &Rules, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        rules.check(&headers, &Uri::from_static("/mcp")).is_ok()
    }

    #[test]
    fn a_loopback_server_lets_in_only_local_hosts_and_pages() {
        let rules = Rules::new(true, &[], &["https://ok.example".into()]);
        for (host, origin, expected) in [
            ("127.0.0.1:8080", None, true),
            ("localhost", Some("http://localhost:3000"), true),
            ("[::1]:8080", Some("http://[::1]:3000"), true),
            ("127.0.0.1", Some("https://OK.example/"), true),
            ("evil.example", None, false),
            ("[::1].evil.example", None, false),
            ("[::1", None, false),
            ("localhost:80:80", None, false),
            ("localhost:99999", None, false),
            ("localhost@evil.example", None, false),
            ("", None, false),
            ("127.0.0.1.evil.example", None, false),
            ("127.0.0.1", Some("http://evil.example"), false),
            ("127.0.0.1", Some("http://localhost.evil.example"), false),
            ("127.0.0.1", Some("null"), false),
        ] {
            assert_eq!(check(&rules, host, origin), expected, "{host} {origin:?}");
        }
    }

    #[test]
    fn a_public_server_lets_in_its_own_hosts_and_named_pages_only() {
        let rules = Rules::new(false, &["mcp.example".into()], &[]);
        assert!(check(&rules, "mcp.example:443", None));
        assert!(!check(&rules, "other.example", None));
        let open = Rules::new(false, &[], &[]);
        assert!(check(&open, "anything.example", None));
        assert!(!check(&open, "anything.example", Some("http://localhost")));
    }
}
