//! The allow-list: which hosts and ports may be asked.

use std::str::FromStr;

use url::Url;

/// One entry of the allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    name: Name,
    /// Only this port; the usual ones of http and https when absent.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exactly(String),
    /// Any name that ends so, for example `.example.org`.
    Below(String),
}

impl Pattern {
    /// Whether an address is of this host and port.
    pub(super) fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = host.strip_suffix('.').unwrap_or(host);
        let named = match &self.name {
            Name::Exactly(name) => host == name,
            Name::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        };
        let port = url.port_or_known_default();
        named && self.port.map_or(matches!(port, Some(80 | 443)), |only| port == Some(only))
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a host; write docs.example.org, *.example.org or docs.example.org:8443");
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The same reading that addresses get, so that both sides compare in one spelling.
        let url = Url::parse(&format!("http://{rest}")).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let (_, port) = rest.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unzip();
        let port = port.map(str::parse).transpose().map_err(|_| wrong())?;
        let only_a_host = url.path() == "/"
            && !rest.ends_with('/')
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
        if !only_a_host || host.is_empty() || host.contains('*') || (below && !is_name) {
            return Err(wrong());
        }
        let name = if below { Name::Below(format!(".{host}")) } else { Name::Exactly(host.to_owned()) };
        Ok(Self { name, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_host_is_allowed_by_its_name_on_the_usual_ports() {
        for url in ["http://docs.example.org", "https://DOCS.example.org./a?b", "http://docs.example.org:443/"] {
            assert!(allows("Docs.Example.org", url), "{url}");
        }
        for url in [
            "http://example.org",
            "http://x.docs.example.org",
            "http://docs.example.org.evil.net",
            "http://docs.example.org:8080",
            "http://evil.net/docs.example.org",
            "http://docs.example.org@evil.net",
            "http://docs.example.org..",
            "http://xdocs.example.org",
        ] {
            assert!(!allows("docs.example.org", url), "{url}");
        }
        assert!(allows("bücher.example", "http://xn--bcher-kva.example/"));
        assert!(allows("[::1]:80", "http://[0:0:0:0:0:0:0:1]/") && allows("127.0.0.1", "http://0x7f.1/"));
    }

    #[test]
    fn a_star_stands_for_any_name_below() {
        for url in ["http://a.example.org", "https://a.b.example.org"] {
            assert!(allows("*.example.org", url), "{url}");
        }
        for url in ["http://example.org", "http://.example.org", "http://badexample.org", "http://a.example.org.net"] {
            assert!(Url::parse(url).is_err() || !allows("*.example.org", url), "{url}");
        }
    }

    #[test]
    fn a_port_is_allowed_only_when_it_is_named() {
        assert!(allows("a.example:8443", "https://a.example:8443/") && allows("*.example:80", "http://a.example/"));
        assert!(!allows("a.example:8443", "https://a.example/") && !allows("a.example:80", "https://a.example/"));
    }

    #[test]
    fn an_entry_that_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.org",
            "a.*.org",
            "http://a.example",
            "a.example/path",
            "a.example/",
            "a.example?q",
            "u@a.example",
            "a.example:",
            "a.example:http",
            "a.example:99999",
            "*.1.2.3.4",
            "a b",
            "*a.example",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
