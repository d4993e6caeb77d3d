//! As much SIP as it takes to ask "are you there?": an OPTIONS request and what answers it (RFC 3261, 11).

use std::net::SocketAddr;

/// One OPTIONS request: the same bytes each time it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Options {
    call_id: String,
    text: String,
}

impl Options {
    /// A request from here to there, over "UDP" or "TCP". `unique` makes Call-ID, tag and branch its own, over space and time
    /// (RFC 3261, 8.1.1.4 and 8.1.1.7).
    pub(super) fn new(transport: &str, from: SocketAddr, to: SocketAddr, unique: u128) -> Self {
        let call_id = format!("{unique:032x}@standin");
        let tag = (unique >> 64) as u64;
        let parameter = if transport == "TCP" { ";transport=tcp" } else { "" };
        // The response comes back to the port that we sent from (RFC 3581), as behind any NAT.
        let text = format!(
            "OPTIONS sip:{to}{parameter} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {from};rport;branch=z9hG4bK{unique:032x}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:standin@{from}>;tag={tag:016x}\r\n\
             To: <sip:{to}>\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: 1 OPTIONS\r\n\
             Contact: <sip:standin@{from}{parameter}>\r\n\
             Accept: application/sdp\r\n\
             User-Agent: standin\r\n\
             Content-Length: 0\r\n\
             \r\n"
        );
        Self { call_id, text }
    }

    /// What is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether a datagram is a response to this request, whatever its status: who refuses is there.
    pub(super) fn is_answered_by(&self, datagram: &[u8]) -> bool {
        let text = String::from_utf8_lossy(datagram);
        let mut lines = text.split("\r\n");
        if !lines.next().is_some_and(is_status_line) {
            return false;
        }
        let headers = lines.take_while(|line| !line.is_empty());
        let mut pairs = headers.filter_map(|line| line.split_once(':'));
        // "i" is its compact form (RFC 3261, 20.8).
        let call_id = pairs.find(|(name, _)| {
            let name = name.trim_end();
            name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i")
        });
        call_id.is_some_and(|(_, value)| value.trim() == self.call_id)
    }
}

/// "SIP/2.0 200 OK": version, three digits, and a reason that may be empty (RFC 3261, 7.2).
fn is_status_line(line: &str) -> bool {
    let mut words = line.splitn(3, ' ');
    let version = words.next().is_some_and(|it| it.eq_ignore_ascii_case("SIP/2.0"));
    let status = words.next().unwrap_or_default();
    let known = status.len() == 3 && status.bytes().all(|it| it.is_ascii_digit());
    version && known && status.starts_with(['1', '2', '3', '4', '5', '6'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let (from, to) = ("10.0.1.10:40000".parse().unwrap(), "10.0.1.100:5060".parse().unwrap());
        Options::new("UDP", from, to, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
    }

    const ID: &str = "0123456789abcdef0123456789abcdef@standin";

    #[test]
    fn the_request_has_every_header_that_the_rfc_demands() {
        let options = options();
        let text = std::str::from_utf8(options.bytes()).unwrap();
        assert!(text.starts_with("OPTIONS sip:10.0.1.100:5060 SIP/2.0\r\n"));
        assert!(text.ends_with("\r\n\r\n"));
        let headers: Vec<&str> = text.lines().skip(1).filter_map(|it| it.split(':').next()).collect();
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq"] {
            assert!(headers.contains(&name), "RFC 3261, 8.1.1 demands {name}");
        }
        assert!(text.contains(";branch=z9hG4bK0123456789abcdef0123456789abcdef\r\n"), "8.1.1.7's cookie");
        assert!(text.contains(";tag=0123456789abcdef\r\n") && text.contains(&format!("Call-ID: {ID}\r\n")));
        let tcp = Options::new("TCP", "10.0.1.10:9".parse().unwrap(), "10.0.1.100:5060".parse().unwrap(), 1);
        assert!(tcp.text.starts_with(
            "OPTIONS sip:10.0.1.100:5060;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.1.10:9;"
        ));
        let six = Options::new("UDP", "[::1]:9".parse().unwrap(), "[fd00::1]:5060".parse().unwrap(), 1);
        assert!(six.text.starts_with("OPTIONS sip:[fd00::1]:5060 SIP/2.0\r\n"));
    }

    #[test]
    fn any_status_answers_if_the_call_id_is_ours() {
        let options = options();
        for status in ["SIP/2.0 200 OK", "SIP/2.0 404 Not Found", "SIP/2.0 503 ", "sip/2.0 100 Trying"] {
            for id in ["Call-ID: ", "call-id:", "i : ", "CALL-ID\t:  "] {
                let answer = format!("{status}\r\nVia: x\r\n{id}{ID}\r\nCSeq: 1 OPTIONS\r\n\r\n");
                assert!(options.is_answered_by(answer.as_bytes()), "{answer}");
            }
        }
    }

    #[test]
    fn nothing_else_answers() {
        let options = options();
        let with = |first: &str, id: &str| format!("{first}\r\nCall-ID: {id}\r\n\r\n").into_bytes();
        for first in
            ["SIP/2.0 099 x", "SIP/2.0 20 OK", "SIP/2.0 2000 OK", "SIP/3.0 200 OK", "SIP/2.0", "", "x"]
        {
            assert!(!options.is_answered_by(&with(first, ID)), "{first}");
        }
        assert!(!options.is_answered_by(&with("SIP/2.0 200 OK", "another@standin")));
        assert!(!options.is_answered_by(&with("SIP/2.0 200 OK", &format!("{ID}x"))));
        assert!(!options.is_answered_by(options.bytes()), "an echo of the request");
        let body = format!("SIP/2.0 200 OK\r\nVia: x\r\n\r\nCall-ID: {ID}\r\n");
        assert!(!options.is_answered_by(body.as_bytes()), "a body is no header");
        assert!(!options.is_answered_by(&[0xff; 600]) && !options.is_answered_by(b""));
    }
}
