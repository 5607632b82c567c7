//! Who may ask: the bearer token, and the checks that keep web pages in a browser out.
//!
//! A page of any site can make a browser send requests to loopback. Those that change something are refused by their
//! `Origin` (CSRF), and need a method or a content type for which a browser asks first (`OPTIONS`), which is refused, too.
//! A page whose name resolves to loopback (DNS rebinding) has that name in `Host`.

use std::{fmt, hint::black_box, net::IpAddr};

use tcpecho::ParseError;

use crate::http::{Request, Response};

/// The least and most characters of a token.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=1024;

/// A secret. It is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Box<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Token {
    /// Reads a token; white space around it is not part of it.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let token = text.trim();
        let fits = LENGTH.contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = (LENGTH.start(), LENGTH.end());
            return Err(ParseError::new(format!(
                "expected a token of {least} to {most} visible ASCII characters (openssl rand -hex 32 makes one)"
            )));
        }
        Ok(Token(token.into()))
    }

    /// Compares in a time that depends on the length of `offered` only.
    fn is(&self, offered: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut differs = u8::from(own.len() != offered.len());
        for (n, byte) in offered.iter().enumerate() {
            differs = black_box(differs | (byte ^ own[n % own.len()]));
        }
        differs == 0
    }
}

/// Decides about requests.
pub(super) struct Guard {
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(token: Option<Token>) -> Self {
        Guard { token }
    }

    /// Why a request is not answered.
    pub(super) fn refuse(&self, request: &Request) -> Option<Response> {
        if let Some(token) = &self.token
            && !is_authorised(request, token)
        {
            let sentence =
                "the token is missing or wrong: send the header authorization: Bearer TOKEN";
            return Some(Response::error(401, sentence).with("www-authenticate", "Bearer"));
        }
        let Some(host) = host(request) else {
            return Some(Response::error(400, "send the header host, once"));
        };
        // A name that is not of this host may have been made to lead here. With a token, no page can get an answer anyway.
        if self.token.is_none() && request.local.is_some() && !is_own_name(&host) {
            let sentence = format!(
                "host {host:?} is not an address or localhost: use the address that the server printed"
            );
            return Some(Response::error(403, &sentence));
        }
        if request.headers("origin").any(|origin| origin != format!("http://{host}").as_bytes()) {
            let sentence =
                "a page of another origin may not control this server: use a program, such as curl";
            return Some(Response::error(403, sentence));
        }
        None
    }
}

fn is_authorised(request: &Request, token: &Token) -> bool {
    let mut offered = request.headers("authorization");
    let (Some(value), None) = (offered.next(), offered.next()) else { return false };
    let Some((scheme, rest)) = value.split_at_checked("bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && token.is(rest.trim_ascii())
}

/// The host and port that the client meant.
fn host(request: &Request) -> Option<String> {
    let mut hosts = request.headers("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let host = std::str::from_utf8(host).ok()?;
    Some(request.authority.as_deref().unwrap_or(host).to_ascii_lowercase())
}

/// An address in figures, or a name that only this host resolves.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || literal.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn request(headers: &[(&str, &str)]) -> Request {
        let header = |(name, value): &(&str, &str)| ((*name).into(), value.as_bytes().to_vec());
        Request {
            method: "GET".into(),
            path: "/".into(),
            query: None,
            authority: None,
            headers: headers.iter().map(header).collect(),
            body: Vec::new(),
            local: Some(([127, 0, 0, 1], 7001).into()),
        }
    }

    fn status(token: Option<&str>, request: &Request) -> u16 {
        let guard = Guard::new(token.map(|token| Token::parse(token).unwrap()));
        guard.refuse(request).map_or(200, |refusal| refusal.status)
    }

    #[test]
    fn hosts_are_addresses_or_localhost() {
        for (host, wanted) in [
            ("127.0.0.1:7001", 200),
            ("127.0.0.1", 200),
            ("[::1]:7001", 200),
            ("LocalHost:7001", 200),
            ("192.0.2.1:7001", 200),
            ("evil.example:7001", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost.evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(status(None, &request(&[("host", host)])), wanted, "{host}");
        }
        assert_eq!(status(None, &request(&[])), 400);
        assert_eq!(status(None, &request(&[("host", "localhost"), ("host", "localhost")])), 400);
        // The target of the request line counts.
        let mut absolute = request(&[("host", "127.0.0.1")]);
        absolute.authority = Some("evil.example".into());
        assert_eq!(status(None, &absolute), 403);
        // No browser reaches a Unix socket, and there the name says nothing.
        let mut unix = request(&[("host", "server")]);
        unix.local = None;
        assert_eq!(status(None, &unix), 200);
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for (origin, wanted) in [
            ("http://127.0.0.1:7001", 200),
            ("http://127.0.0.1:7002", 403),
            ("https://127.0.0.1:7001", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let headers = [("host", "127.0.0.1:7001"), ("origin", origin)];
            assert_eq!(status(None, &request(&headers)), wanted, "{origin}");
            let headers = [&headers[..], &[("authorization", "Bearer 0123456789abcdef")]].concat();
            assert_eq!(status(Some(TOKEN), &request(&headers)), wanted, "{origin}");
        }
    }

    #[test]
    fn a_token_is_needed_whole_and_once() {
        for (value, wanted) in [
            ("Bearer 0123456789abcdef", 200),
            ("bearer  0123456789abcdef", 200),
            ("Bearer 0123456789abcdeg", 401),
            ("Bearer 0123456789abcde", 401),
            ("Bearer 0123456789abcdef0123456789abcdef", 401),
            ("Bearer ", 401),
            ("Bearer", 401),
            ("Basic 0123456789abcdef", 401),
            ("", 401),
        ] {
            let headers = [("host", "server.example"), ("authorization", value)];
            assert_eq!(status(Some(TOKEN), &request(&headers)), wanted, "{value:?}");
        }
        assert_eq!(status(Some(TOKEN), &request(&[("host", "server.example")])), 401);
        let right = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(status(Some(TOKEN), &request(&[("host", "h"), right, right])), 401);
    }

    #[test]
    fn a_short_token_is_refused_and_none_is_displayed() {
        for text in ["", "short", "0123456789 abcdef", "0123456789abcdéf", "\u{7f}123456789abcdef"]
        {
            assert!(Token::parse(text).is_err(), "{text}");
        }
        let token = Token::parse(" 0123456789abcdef\n").unwrap();
        assert!(token.is(TOKEN.as_bytes()) && format!("{token:?}") == "Token(...)");
    }
}
