//! What an operator permits beside reading and changing objects: commands in containers, requests to ports.

use super::Config;
use crate::error::{Error, Result};

/// The permitted commands and ports.
#[derive(Debug, Default)]
pub struct Permitted {
    commands: Vec<Vec<String>>,
    ports: Vec<Port>,
}

/// A port that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// `pod` or `service`.
    pub kind: &'a str,
    /// The name of the object.
    pub name: &'a str,
    /// Number or name of the port.
    pub port: &'a str,
    /// The path, without query.
    pub path: &'a str,
}

#[derive(Debug)]
struct Port {
    namespace: String,
    kind: String,
    name: String,
    port: String,
    path: String,
}

impl Permitted {
    /// What a configuration permits.
    ///
    /// # Errors
    /// Every mistake in it, as key within it and a sentence.
    pub fn new(config: &Config) -> Result<Self, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        for (place, command) in config.commands.iter().enumerate() {
            let last = command.len().saturating_sub(1);
            let mistake = match command.first().map(String::as_str) {
                None => "is empty; give the program and its arguments",
                Some(program) if program.contains('*') => "must name its program in full",
                _ if command[..last].iter().any(|word| word == "**") => "may have `**` as its last word only",
                _ => continue,
            };
            mistakes.push((format!("commands.{place}"), mistake.to_owned()));
        }
        let mut ports = Vec::new();
        for (place, text) in config.ports.iter().enumerate() {
            match Port::parse(text) {
                Some(port) => ports.push(port),
                None => mistakes.push((
                    format!("ports.{place}"),
                    format!("`{text}` is not namespace/pod/name:port/path or namespace/service/name:port/path"),
                )),
            }
        }
        if mistakes.is_empty() { Ok(Self { commands: config.commands.clone(), ports }) } else { Err(mistakes) }
    }

    /// Refuses a command that is not permitted.
    ///
    /// # Errors
    /// [`Error::Forbidden`], with what is permitted instead.
    pub fn check_command(&self, command: &[String]) -> Result<()> {
        if self.commands.iter().any(|pattern| fits_command(pattern, command)) {
            return Ok(());
        }
        if self.commands.is_empty() {
            return Err(Error::Forbidden(
                "no command may be run here; an operator permits some in `backends.kubernetes.commands`".into(),
            ));
        }
        let permitted: Vec<_> = self.commands.iter().map(|command| format!("`{}`", command.join(" "))).collect();
        Err(Error::Forbidden(format!(
            "command: this one may not be run; permitted are {}. An operator adds others in \
             `backends.kubernetes.commands`",
            permitted.join(", ")
        )))
    }

    /// Refuses a port and path that are not permitted.
    ///
    /// # Errors
    /// [`Error::Forbidden`], with what is permitted instead.
    pub fn check_port(&self, target: Target<'_>) -> Result<()> {
        if self.ports.iter().any(|port| port.permits(target)) {
            return Ok(());
        }
        if self.ports.is_empty() {
            return Err(Error::Forbidden(
                "no port may be sent a request here; an operator permits some in `backends.kubernetes.ports`".into(),
            ));
        }
        let Target { namespace, kind, name, port, path } = target;
        let permitted: Vec<_> = self.ports.iter().map(Port::text).collect();
        Err(Error::Forbidden(format!(
            "{namespace}/{kind}/{name}:{port}{path} may not be sent requests; permitted are {}. An operator adds others in \
             `backends.kubernetes.ports`",
            permitted.join(", ")
        )))
    }
}

impl Port {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let (namespace, kind, address) = (parts.next()?, parts.next()?, parts.next()?);
        let (name, port) = address.split_once(':')?;
        let path = format!("/{}", parts.next()?);
        let is_whole = ![namespace, name, port].contains(&"") && matches!(kind, "pod" | "service");
        is_whole.then(|| Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            port: port.to_owned(),
            path,
        })
    }

    /// Each part for itself, so that no name can reach into the part after it.
    fn permits(&self, target: Target<'_>) -> bool {
        self.kind == target.kind
            && fits(&self.namespace, target.namespace)
            && fits(&self.name, target.name)
            && fits(&self.port, target.port)
            && fits(&self.path, target.path)
    }

    fn text(&self) -> String {
        format!("{}/{}/{}:{}{}", self.namespace, self.kind, self.name, self.port, self.path)
    }
}

fn fits_command(pattern: &[String], command: &[String]) -> bool {
    let (pattern, is_open) = match pattern.split_last() {
        Some((last, pattern)) if last == "**" => (pattern, true),
        _ => (pattern, false),
    };
    let is_long_enough = if is_open { command.len() >= pattern.len() } else { command.len() == pattern.len() };
    // What stands for any text must not lead out of the folder before it.
    let fits_word =
        |(pattern, word): (&String, &String)| fits(pattern, word) && (!pattern.contains('*') || !word.contains(".."));
    is_long_enough && pattern.iter().zip(command).all(fits_word)
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(found) => text = &text[found + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(commands: &[&str], ports: &[&str]) -> Result<Permitted, Vec<(String, String)>> {
        Permitted::new(&Config {
            commands: commands.iter().map(|command| words(command)).collect(),
            ports: ports.iter().map(|port| (*port).to_owned()).collect(),
            ..Config::default()
        })
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn commands_fit_word_by_word() {
        let permitted = permitted(&["ls -l", "cat /etc/app/*", "nginx -T **"], &[]).unwrap();
        for (command, expected) in [
            ("ls -l", true),
            ("ls", false),
            ("ls -l /", false),
            ("cat /etc/app/a.conf", true),
            ("cat /etc/app/../../run/token", false),
            ("cat /etc/app/a /etc/shadow", false),
            ("nginx -T", true),
            ("nginx -T -c x", true),
            ("sh -c ls", false),
            ("", false),
        ] {
            assert_eq!(permitted.check_command(&words(command)).is_ok(), expected, "{command}");
        }
        assert!(Permitted::default().check_command(&words("ls -l")).is_err());
    }

    #[test]
    fn ports_fit_part_by_part() {
        let permitted = permitted(&[], &["shop/pod/*:8080/healthz", "*/service/prometheus:web/api/*"]).unwrap();
        let mut target = Target { namespace: "shop", kind: "pod", name: "web-1", port: "8080", path: "/healthz" };
        assert!(permitted.check_port(target).is_ok());
        target.path = "/healthz/x";
        assert!(permitted.check_port(target).is_err());
        target = Target { namespace: "any", kind: "service", name: "prometheus", port: "web", path: "/api/v1/query" };
        assert!(permitted.check_port(target).is_ok());
        target.port = "80";
        assert!(permitted.check_port(target).is_err());
        assert!(Permitted::default().check_port(target).is_err());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let mistakes = permitted(&["* -l", "ls ** x"], &["shop/web:80", "shop/node/a:1/"]).unwrap_err();
        let keys: Vec<_> = mistakes.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["commands.0", "commands.1", "ports.0", "ports.1"]);
    }
}
