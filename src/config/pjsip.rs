//! What an operator should know of Asterisk's pjsip.conf before a takeover shows it. Warnings, never errors: the file is
//! Asterisk's, and is read as well as it can be.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Asterisk, Config, Group, Resource, Standby};

/// A file of that folder that is included is read too; an include in it is not.
const MOST_INCLUDES: usize = 64;

/// A section: its name, and its options, those of its templates first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Section {
    name: String,
    template: bool,
    options: BTreeMap<String, String>,
}

impl Config {
    /// What Asterisk's configuration on this node would make slow or impossible; nothing where there is no Asterisk, or
    /// its configuration is not on this machine.
    pub fn asterisk_warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        for group in &self.groups {
            let Some(asterisk) = &group.asterisk else { continue };
            let Some(text) = read(asterisk) else { continue };
            let warnings = warnings(&sections(&text), group);
            let file = asterisk.config.join("pjsip.conf");
            found.extend(warnings.into_iter().map(|it| format!("{}: {it}", file.display())));
        }
        found
    }
}

/// The file, with what it includes from the same folder.
fn read(asterisk: &Asterisk) -> Option<String> {
    let text = std::fs::read(asterisk.config.join("pjsip.conf")).ok()?;
    let mut whole = String::new();
    let mut includes = 0;
    for line in String::from_utf8_lossy(&text).lines() {
        let name = line.trim().strip_prefix("#include").or_else(|| line.trim().strip_prefix("#tryinclude"));
        if let Some(name) = name {
            let name = name.trim().trim_matches(['"', '<', '>']);
            includes += 1;
            if includes <= MOST_INCLUDES
                && let Ok(text) = std::fs::read(asterisk.config.join(Path::new(name)))
            {
                whole.push_str(&String::from_utf8_lossy(&text));
            }
        } else {
            whole.push_str(line);
        }
        whole.push('\n');
    }
    Some(whole)
}

/// `[name](!,template,…)`, `key = value`, `key => value`; a comment begins with ';' that has no '\' before it, or goes
/// from ";--" to "--;".
fn sections(text: &str) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    let mut in_comment = false;
    for line in text.lines() {
        let line = line.trim();
        if in_comment {
            in_comment = !line.contains("--;");
            continue;
        }
        if line.starts_with(";--") && !line.starts_with(";---") {
            in_comment = !line[3..].contains("--;");
            continue;
        }
        let line = without_comment(line);
        if let Some(rest) = line.strip_prefix('[')
            && let Some((name, rest)) = rest.split_once(']')
        {
            let words = rest.trim().trim_start_matches('(').trim_end_matches(')');
            let mut section = Section { name: name.trim().to_owned(), ..Section::default() };
            for word in words.split(',').map(str::trim) {
                section.template |= word == "!";
                // "(+)" goes on with the last section of that name.
                let base = if word == "+" { &section.name } else { word };
                if let Some(base) = all.iter().rev().find(|it| it.name == *base) {
                    section.options.extend(base.options.clone());
                }
            }
            all.push(section);
        } else if let Some((key, value)) = line.split_once('=')
            && let Some(section) = all.last_mut()
        {
            let value = value.strip_prefix('>').unwrap_or(value);
            section.options.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    all
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == ';' && before != '\\' {
            return line[..at].trim_end();
        }
        before = c;
    }
    line
}

fn warnings(sections: &[Section], group: &Group) -> Vec<String> {
    let of = |kind: &'static str| {
        let is = move |it: &&Section| {
            !it.template && it.options.get("type").is_some_and(|it| it.eq_ignore_ascii_case(kind))
        };
        sections.iter().filter(is)
    };
    let mut all: Vec<String> = of("registration").flat_map(registration).collect();
    all.extend(of("transport").flat_map(|it| transport(it, group)));
    let off = |it: &&Section| it.options.get("rtp_timeout").is_none_or(|it| it == "0");
    let without: Vec<&str> = of("endpoint").filter(off).map(|it| it.name.as_str()).collect();
    if !without.is_empty() {
        let names = without.join(", ");
        all.push(format!(
            "rtp_timeout is off for {names}: legs that lose their far end stay up; 30 ends them"
        ));
    }
    all
}

fn registration(it: &Section) -> Vec<String> {
    let number = |key: &str, default: u64| it.options.get(key).map_or(Some(default), |it| it.parse().ok());
    let mut all = Vec::new();
    let mut warn = |text: String| all.push(format!("registration {}: {text}", it.name));
    if let Some(delay) = number("max_random_initial_delay", 10).filter(|it| *it > 0) {
        warn(format!(
            "max_random_initial_delay is {delay}: a takeover's registration waits up to {delay} s; 0 is 1 s"
        ));
    }
    if let Some(retries) = number("max_retries", 10).filter(|it| *it <= 10) {
        warn(format!("max_retries is {retries}: Asterisk gives up for good after {retries} failures"));
    }
    if number("forbidden_retry_interval", 0) == Some(0) {
        warn("forbidden_retry_interval is 0: Asterisk does not try again after a 403".to_owned());
    }
    if let Some(expiration) = number("expiration", 3600).filter(|it| *it > 600) {
        warn(format!(
            "expiration is {expiration}: a binding that is lost is missed for up to so many seconds"
        ));
    }
    all
}

fn transport(it: &Section, group: &Group) -> Vec<String> {
    let mut all = Vec::new();
    let name = &it.name;
    let option = |key: &str| it.options.get(key).map(String::as_str).filter(|it| !it.is_empty());
    let public = group.resources.iter().any(|it| match it {
        Resource::ElasticIp(_) => true,
        Resource::PrivateIp(it) => it.elastic_ip.is_some(),
        Resource::Route(_) => false,
    });
    let (signaling, media) = (option("external_signaling_address"), option("external_media_address"));
    for (key, value) in [("external_signaling_address", signaling), ("external_media_address", media)] {
        if public && value.is_none() {
            all.push(format!("transport {name}: {key} is not set, and an Elastic IP moves: the far end gets a private address"));
        }
    }
    if let (Some(signaling), Some(media)) = (signaling, media)
        && signaling != media
    {
        all.push(format!(
            "transport {name}: external_signaling_address {signaling} and external_media_address {media} differ: one of \
             them does not move with the group"
        ));
    }
    let moves = |bind: &str| {
        group.resources.iter().any(|it| match it {
            Resource::PrivateIp(it) => {
                bind == it.address.to_string() || bind.starts_with(&format!("{}:", it.address))
            }
            Resource::ElasticIp(_) | Resource::Route(_) => false,
        })
    };
    let warm = group.service.as_ref().is_some_and(|it| it.standby == Standby::Warm);
    if let Some(bind) = option("bind").filter(|bind| warm && moves(bind)) {
        all.push(format!(
            "transport {name}: it binds to {bind}, which a warm standby does not have: set net.ipv4.ip_nonlocal_bind = 1, \
             or bind to 0.0.0.0"
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
; bind=1.2.3.4
[reg](!)
type=registration
max_random_initial_delay => 0 ; at once
;-- a comment
[no]
--;
[carrier](reg)
max_retries=4294967295
expiration=120
forbidden_retry_interval = 60
[backup](reg)
client_uri = sip:a\\;b@c
[udp]
type = transport
bind = 10.0.1.100:5060
external_signaling_address=203.0.113.10
external_media_address=203.0.113.11
[phone]
type=endpoint
[udp](+)
tos=1
";

    #[test]
    fn a_file_of_asterisk_is_read() {
        let all = sections(TEXT);
        let names: Vec<_> = all.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["reg", "carrier", "backup", "udp", "phone", "udp"]);
        assert!(all[0].template && all[1].options["max_random_initial_delay"] == "0");
        assert_eq!(all[2].options["client_uri"], "sip:a\\;b@c");
        assert_eq!((all[5].options["tos"].as_str(), all[5].options["type"].as_str()), ("1", "transport"));
    }

    #[test]
    fn what_makes_a_takeover_slow_is_said() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/asterisk.toml");
        let mut config = Config::load(&path).unwrap();
        assert_eq!(warnings(&sections(""), &config.groups[0]), [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        config.groups[0].asterisk.as_mut().unwrap().config = folder.path().to_owned();
        assert_eq!(config.asterisk_warnings(), [""; 0], "it is not on this machine");
        std::fs::write(folder.path().join("pjsip.conf"), "#include \"more.conf\"\n").unwrap();
        std::fs::write(folder.path().join("more.conf"), TEXT.replace("[udp](+)\ntos=1\n", "")).unwrap();
        let found = config.asterisk_warnings();
        let file = folder.path().join("pjsip.conf").display().to_string();
        let found: Vec<_> = found.iter().map(|it| it.strip_prefix(&format!("{file}: ")).unwrap()).collect();
        for (warning, begins) in found.iter().zip([
            "registration backup: max_retries is 10",
            "registration backup: forbidden_retry_interval is 0",
            "registration backup: expiration is 3600",
            "transport udp: external_signaling_address 203.0.113.10 and external_media_address 203.0.113.11 differ",
            "transport udp: it binds to 10.0.1.100:5060",
            "rtp_timeout is off for phone",
        ]) {
            assert!(warning.starts_with(begins), "{warning}");
        }
        assert_eq!(found.len(), 6);
    }
}
