//! Where a request came from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::{HeaderValue, header::HeaderName};

/// The address of the client; an extension of requests that came over a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer(pub SocketAddr);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the address of the client behind this many proxies of ours; that of the connection
/// where they named none.
///
/// Entries are counted from the right: those further left may be anybody's invention.
pub(crate) fn address(request: &Request, proxies: u8) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let lines = request.headers().get_all(FORWARDED_FOR).into_iter();
    let text: Vec<&str> = lines.map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    let entries: Vec<&str> = text.iter().flat_map(|line| line.split(',')).collect();
    let at = entries.len().checked_sub(usize::from(proxies));
    let named = at.and_then(|at| entries.get(at)).and_then(|entry| {
        let entry = entry.trim();
        let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
        entry.parse().or_else(|_| with_port()).ok()
    });
    named.or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(forwarded: &[&str], proxies: u8) -> String {
        let mut request = Request::new(axum::body::Body::empty());
        for line in forwarded {
            let value = line.parse().unwrap();
            request.headers_mut().append(FORWARDED_FOR, value);
        }
        let peer = Peer("192.0.2.9:1".parse().unwrap());
        request.extensions_mut().insert(peer);
        address(&request, proxies).unwrap().to_string()
    }

    #[test]
    fn entries_are_counted_from_the_right() {
        let lines = ["10.0.0.1, 10.0.0.2", "[2001:db8::1]:80"];
        assert_eq!(of(&lines, 0), "192.0.2.9");
        assert_eq!(of(&lines, 1), "2001:db8::1");
        assert_eq!(of(&lines, 2), "10.0.0.2");
        assert_eq!(of(&lines, 3), "10.0.0.1");
    }

    #[test]
    fn what_is_not_there_or_no_address_is_not_believed() {
        assert_eq!(of(&[], 1), "192.0.2.9");
        assert_eq!(of(&["10.0.0.1"], 2), "192.0.2.9");
        assert_eq!(of(&["evil\"name"], 1), "192.0.2.9");
    }
}
