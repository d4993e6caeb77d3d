//! As much of SIP over UDP (RFC 3261) as the lab's clients speak: requests as text, and what an answer says.

use std::net::Ipv4Addr;

/// One side of a dialog that may be.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What is called: the user part.
    pub(crate) user: &'static str,
    /// Where it is called.
    pub(crate) server: Ipv4Addr,
    /// Where we are.
    pub(crate) host: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) call: String,
    /// The tag of the other side, once it has answered.
    pub(crate) their_tag: Option<String>,
}

impl Line {
    pub(crate) fn new(user: &'static str, server: Ipv4Addr, host: Ipv4Addr, port: u16, call: String) -> Self {
        Self { user, server, host, port, call, their_tag: None }
    }

    /// A request of this dialog.
    pub(crate) fn request(&self, method: &str, number: u32, more: &str, body: &str) -> String {
        let Self { user, server, host, port, call, .. } = self;
        let tag = self.their_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        // A registrar is asked by its own name.
        let uri = if method == "REGISTER" { format!("sip:{server}") } else { format!("sip:{user}@{server}") };
        let to = format!("<sip:{user}@{server}>{tag}");
        let from = if method == "REGISTER" { user } else { "lab" };
        // An ACK of a 200 and a request with another number are transactions of their own.
        let branch = format!("z9hG4bK-{call}-{number}-{method}");
        let length = body.len();
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {host}:{port};branch={branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:{from}@{server}>;tag=lab\r\n\
             To: {to}\r\n\
             Call-ID: {call}\r\n\
             CSeq: {number} {method}\r\n\
             Contact: <sip:{from}@{host}:{port}>\r\n\
             {more}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// An INVITE: one stream of audio, to nowhere in particular.
    pub(crate) fn invite(&self, number: u32) -> String {
        let host = self.host;
        let body = format!(
            "v=0\r\no=lab 1 1 IN IP4 {host}\r\ns=lab\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
        );
        self.request("INVITE", number, "Content-Type: application/sdp\r\n", &body)
    }
}

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    text: String,
}

impl Message {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self { text: String::from_utf8_lossy(bytes).into_owned() }
    }

    /// The code of an answer; `None`: it is a request.
    pub(crate) fn code(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> Option<&str> {
        if self.code().is_some() { None } else { self.text.split(' ').next() }
    }

    /// The first header of this name, in its long form.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.split("\r\n").take_while(|line| !line.is_empty());
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn number(&self) -> Option<u32> {
        self.header("CSeq")?.split(' ').next()?.parse().ok()
    }

    /// What it answers: the method in its CSeq.
    pub(crate) fn answers(&self) -> Option<&str> {
        self.header("CSeq")?.split(' ').nth(1)
    }

    pub(crate) fn their_tag(&self) -> Option<&str> {
        self.header("To")?.split_once(";tag=").map(|(_, tag)| tag)
    }

    /// The node that sent it: Asterisk is configured to say where it runs.
    pub(crate) fn node(&self) -> Option<usize> {
        let agent = self.header("Server").or_else(|| self.header("User-Agent"))?;
        crate::network::NODES.iter().position(|name| agent.ends_with(name))
    }

    /// The answer to this request.
    pub(crate) fn reply(&self, code: &str, more: &str) -> String {
        let mut text = format!("SIP/2.0 {code}\r\n");
        for line in self.text.split("\r\n").take_while(|line| !line.is_empty()) {
            let key = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            match key.as_str() {
                "to" if !line.contains(";tag=") => text += &format!("{line};tag=lab\r\n"),
                "via" | "from" | "to" | "call-id" | "cseq" => text += &format!("{line}\r\n"),
                _ => {}
            }
        }
        text + more + "Content-Length: 0\r\n\r\n"
    }
}
