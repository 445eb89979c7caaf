//! Which network addresses are public, and a resolver that gives out no others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names, and refuses those with even one address that must not be reached.
///
/// The connection goes to the very addresses that were looked at here, so a name that changes in between changes
/// nothing.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    /// Networks that may be reached although they are not public.
    pub(super) allowed: Vec<IpNet>,
}

/// Why an address must not be reached. The address itself is not told: it would map the network from the inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its address is {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Resolver {
    /// Refuses an address that must not be reached.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let meant = meant(address);
        if is_never(meant) {
            return Err(Refused("kept for the machine itself or its cloud's metadata"));
        }
        if self.allowed.iter().any(|network| network.contains(&meant)) {
            return Ok(());
        }
        kind(meant).map_or(Ok(()), |kind| Err(Refused(kind)))
    }

    async fn look_up(self, host: String) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        // The port is filled in by the caller.
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
        for address in &addresses {
            self.check(address.ip()).inspect_err(|refused| {
                tracing::info!(web.host = host, web.address = %address.ip(), reason = refused.0, "host refused");
            })?;
        }
        Ok(Box::new(addresses.into_iter()))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(self.clone().look_up(name.as_str().to_owned()))
    }
}

/// The address that traffic ends at: IPv4 inside of IPv6 is unwrapped (RFC 4291 §2.5.5.2, RFC 6052 §2.1).
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into(),
        _ => address,
    }
}

/// Addresses that stay refused in networks that are allowed: behind them are credentials.
fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() // AWS, Azure, Google and most others answer at 169.254.169.254, ECS at 169.254.170.2
                || v4 == Ipv4Addr::new(100, 100, 100, 200) // Alibaba
                || v4 == Ipv4Addr::new(168, 63, 129, 16) // Azure's wire server
                || v4 == Ipv4Addr::new(192, 0, 0, 192) // Oracle
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || matches!(v6.segments(), [0xfd00, 0xec2, ..]) // AWS
                || matches!(v6.segments(), [0xfd20, 0xce, ..]) // Google
        }
    }
}

/// What an address is, unless it is public (the special-purpose registries of IANA, RFC 6890).
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by a provider's customers (CGNAT)",
        [169, 254, ..] => "link-local",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "for documentation only",
        [224..=239, ..] => "multicast",
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "for documentation only",
        [0x2001, 0..=0x1ff, ..] => "reserved", // Teredo (2001::/32) and ORCHID are in it
        [0x2002, ..] => "a 6to4 tunnel",
        [0x2000..=0x3fff, ..] => return None, // all that was ever given out
        _ => "reserved",                      // IPv4-compatible ::/96 and local NAT64 are in it
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allowed: &[&str]) -> Option<&'static str> {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Resolver { allowed }.check(address.parse().unwrap()).err().map(|refused| refused.0)
    }

    #[test]
    fn only_public_addresses_may_be_reached() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(check(address, &[]).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "192.169.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "3fff:1000::1",
        ] {
            assert_eq!(check(address, &[]), None, "{address}");
        }
    }

    #[test]
    fn allowed_networks_open_nothing_but_themselves_and_never_metadata() {
        let allowed = ["127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "fd00::/8"];
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "100.64.0.1", "fd00::1"] {
            assert_eq!(check(address, &allowed), None, "{address}");
        }
        for address in [
            "10.0.0.1",
            "::1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(check(address, &allowed).is_some(), "{address}");
        }
    }
}
