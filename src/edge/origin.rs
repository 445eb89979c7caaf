//! Who may reach this server from a browser: Host and Origin checks, CORS, security headers.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Uri};
use url::Url;

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
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), &'static str> {
        let host = headers.get(HOST).map_or_else(|| uri.host(), |host| host.to_str().ok());
        if let Some(hosts) = &self.hosts {
            let name = host.map(name_of).ok_or("the request names no host")?;
            if !is_loopback(&name) && !hosts.contains(&name) {
                return Err("this server is not known under that host name; an operator can add it to `server.hosts`");
            }
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if self.is_known(origin) => Ok(()),
            Some(_) => Err("pages of that origin may not use this server; an operator can add it to `server.origins`"),
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

/// Adds what every answer carries.
pub(super) fn finish(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("Origin"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate"));
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

/// The name in a `Host` header, without port and brackets.
fn name_of(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.trim_end_matches('.').to_lowercase()
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
