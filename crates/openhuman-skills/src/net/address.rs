//! Which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a skill may be connected to this address without an explicit grant.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether a name the user granted by hand may point here: public, or an ordinary address of this machine or a
/// private network, but no link-local (cloud metadata), multicast, broadcast or unspecified one.
pub(crate) fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            is_public_v4(v4) || v4.is_loopback() || v4.is_private() || shared
        }
        IpAddr::V6(v6) => is_public_v6(v6) || v6.is_loopback() || v6.is_unique_local(),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,          // this network, private, loopback
        100 => (64..128).contains(&b), // carrier-grade NAT
        169 => b == 254,               // link-local, cloud metadata
        172 => (16..32).contains(&b),  // private
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99), // private, protocol, 6to4 relay
        198 => b == 18 || b == 19 || (b == 51 && c == 100), // benchmarks, documentation
        203 => b == 0 && c == 113,                          // documentation
        224.. => true,                                      // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(embedded) = nat64(address) {
        return is_public_v4(embedded);
    }
    // Only 2000::/3 is global unicast; what is special inside it is left out below. Mapped and compatible IPv4
    // addresses lie outside it.
    let [a, b, ..] = address.segments();
    let global = (a & 0xe000) == 0x2000;
    let special = match a {
        // Protocol assignments (Teredo, benchmarks, ORCHID) and documentation.
        0x2001 => b < 0x0200 || b == 0x0db8,
        // 6to4, which hides an IPv4 address and is no longer in use.
        0x2002 => true,
        // Documentation, 3fff::/20.
        _ => a == 0x3fff && b < 0x1000,
    };
    global && !special
}

/// The IPv4 address behind the well-known NAT64 prefix, the way to IPv4 in networks that have only IPv6.
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
        return None;
    };
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "100::1",
            "3fff::1",
            "5f00::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "2002:808:808::1",
            "::ffff:a9fe:a9fe",
            "::ffff:0:10.0.0.1",
            "2002:c0a8:101::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:20::1",
            "ff0e::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
