//! Every key of the file: its table, its form, its default, its meaning. This is the only place of the
//! defaults, and README's table is compared with it.

use Absent::{Default, Means, Refused};
use Form::{Duration, Integer, List, Map, OneOrMore, Switch, Table, Tables, Text};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table that it is in: "" for the top, "group.route" for `[[group.route]]`.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What kind of value it has.
    pub form: Form,
    /// What holds when it is not written.
    pub absent: Absent,
    /// What it means, for operators.
    pub about: &'static str,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A text.
    Text,
    /// A text that is a duration ("250ms").
    Duration,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Switch,
    /// A list of texts.
    List,
    /// A text, or a list of texts.
    OneOrMore,
    /// A table of texts with keys of the operator's choice.
    Map,
    /// A table, once.
    Table,
    /// A table, any number of times.
    Tables,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absent {
    /// The file is refused.
    Refused,
    /// This value.
    Default(&'static str),
    /// What these words say.
    Means(&'static str),
}

impl Key {
    /// The key with its table, as the operator writes and reads it.
    pub fn path(&self) -> String {
        join(self.table, self.name)
    }

    /// Its default as README shows it.
    pub fn default_text(&self) -> String {
        match self.absent {
            Refused => "required".to_owned(),
            Means(words) => words.to_owned(),
            Default(value) => match self.form {
                Integer | Switch => format!("`{value}`"),
                Text | Duration | List | OneOrMore | Map | Table | Tables => {
                    format!("`\"{value}\"`")
                }
            },
        }
    }
}

/// A key below a table.
pub(super) fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

/// The key of this name in this table.
pub(super) fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.table == table && key.name == name)
}

const fn key(
    table: &'static str,
    name: &'static str,
    form: Form,
    absent: Absent,
    about: &'static str,
) -> Key {
    Key { table, name, form, absent, about }
}

/// All keys, in the order in which `config show` and README have them.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("", "cluster", Text, Refused, "the cluster's name: in each datagram, and in EC2 tags"),
    key("", "key-file", Text, Default("/etc/standin/cluster.key"), "the keys of the heartbeats (`standin keygen`), mode 0600"),
    key("", "state-dir", Text, Default("/var/lib/standin"), "where the agent keeps its small durable state"),
    key("", "socket", Text, Default("/run/standin/standin.sock"), "the Unix socket of `standin status`"),
    key("", "heartbeat", Table, Means("all defaults"), "the timers, and the port"),
    key("heartbeat", "port", Integer, Default("694"), "UDP port, the same on every node"),
    key("heartbeat", "interval", Duration, Default("250ms"), "between two heartbeats (Heartbeat's keepalive)"),
    key("heartbeat", "warn-after", Duration, Means("half of dead-after"), "silence after which a peer is late (warntime)"),
    key("heartbeat", "dead-after", Duration, Default("2s"), "silence after which a peer is lost (deadtime)"),
    key("heartbeat", "first-dead-after", Duration, Default("30s"), "the first dead-after after the agent's start (initdead)"),
    key("", "node", Tables, Refused, "one per EC2 instance that runs the agent, 2 to 32"),
    key("node", "name", Text, Refused, "its name"),
    key("node", "links", List, Refused, "its addresses: one per link, in the same order on every node; EC2 is reached from the first"),
    key("", "group", Tables, Refused, "what moves as a unit, 1 to 32"),
    key("group", "name", Text, Refused, "its name"),
    key("group", "nodes", List, Means("all nodes, in the order of the file"), "its nodes, in order of preference"),
    key("group", "anchor", Text, Refused, "the resource whose holder owns the group: an Elastic IP, a private IP, or a route with one table and one destination"),
    key("group", "arbiter", Text, Default("ec2"), "what decides who owns the group: `ec2` (the anchor's holder) or `dynamodb` (the lease's)"),
    key("group", "when-silent", Text, Default("take"), "what a standby does when the active node is silent and nothing else is known: `take`, `probe` or `hold`"),
    key("group", "probe", Table, Means("none"), "with `when-silent = \"probe\"`: how the service is asked at the address that moves, as a caller would; one of `sip-options`, `tcp` and `command`"),
    key("group.probe", "sip-options", Text, Means("none"), "a SIP OPTIONS request: `udp:ADDRESS:PORT`"),
    key("group.probe", "tcp", Text, Means("none"), "a TCP connection: `ADDRESS:PORT`"),
    key("group.probe", "command", List, Means("none"), "program and arguments, no shell; exit code 0 is an answer"),
    key("group.probe", "timeout", Duration, Default("1s"), "no answer after this is none, 100ms to 10s"),
    key("group", "when-isolated", Text, Default("keep"), "what the active node does when it reaches neither EC2 nor a peer: `keep` or `release`; not with the lease"),
    key("group", "fencing", Text, Default("none"), "whether EC2 stops the silent node's instance: `none`, `before` the take (confirmed) or `alongside` it"),
    key("group", "when-fencing-fails", Text, Default("hold"), "what a standby does when EC2 will not stop it: `hold` or `take`"),
    key("group", "failback", Text, Default("never"), "`never`, or for how long a preferred node must have been fit before the group goes back to it (`10m`)"),
    key("group", "migration-threshold", Integer, Default("3"), "so many failures bar the service on a node; 0: none does"),
    key("group", "failure-timeout", Duration, Means("only cleanup"), "failures are forgotten so long after the last one"),
    key("group", "service", Table, Means("none"), "the service that the agent starts, watches and stops: `unit`, or `start`, `stop` and `status`, or `ocf`"),
    key("group.service", "unit", Text, Means("none"), "its systemd unit, `asterisk.service`; not enabled at boot if it is cold"),
    key("group.service", "start", List, Means("none"), "program and arguments that start it; no shell"),
    key("group.service", "stop", List, Means("none"), "program and arguments that stop it"),
    key("group.service", "status", List, Means("none"), "program and arguments that say by exit code whether it runs: 0 it does, 3 it does not, others it has failed"),
    key("group.service", "ocf", Text, Means("none"), "an OCF resource agent, `provider:agent`, below `/usr/lib/ocf/resource.d`"),
    key("group.service", "parameters", Map, Means("none"), "the agent's parameters, as in its meta-data (`OCF_RESKEY_…`)"),
    key("group.service", "standby", Text, Means("`warm`; with the lease `cold`"), "`warm`: runs on the standby too, never stopped; `cold`: runs on the active node only"),
    key("group.service", "start-timeout", Duration, Default("90s"), "it has failed to start when it has not started after this"),
    key("group.service", "stop-timeout", Duration, Means("2s (commands, OCF: 20s); with the lease at most `lease.stop-bound`"), "it is killed when it has not stopped after this: a unit with its cgroup, a program with its process group"),
    key("group.service", "status-every", Duration, Default("10s"), "commands and OCF only: how often it is asked for its state; no answer within this is unknown"),
    key("group", "asterisk", Table, Means("none"), "the service is Asterisk: its AMI, and its outbound registrations ([docs/asterisk.md](docs/asterisk.md))"),
    key("group.asterisk", "ami", Text, Default("127.0.0.1:5038"), "where AMI listens"),
    key("group.asterisk", "user", Text, Refused, "the agent's user in `manager.conf`"),
    key("group.asterisk", "secret-file", Text, Default("/etc/standin/ami.secret"), "its secret, mode 0600"),
    key("group.asterisk", "registrations", Text, Default("auto"), "`auto`: outbound registrations are made on the active node and on no other; `off`: they are left alone"),
    key("group.asterisk", "config", Text, Default("/etc/asterisk"), "its configuration, for the warnings of `standin config check`"),
    key("group", "check", Tables, Means("none"), "what is asked again and again; each has one of `systemd`, `tcp`, `http`, `command`, `sip-options`, `asterisk-ami`, `ping`, `disk` and `interface`"),
    key("group.check", "name", Text, Means("its kind"), "its name, its own in the group"),
    key("group.check", "systemd", Text, Means("none"), "another systemd unit than the service's own, `….service`; systemd tells of each change"),
    key("group.check", "tcp", OneOrMore, Means("none"), "connects: `ADDRESS:PORT`, one or several"),
    key("group.check", "http", Text, Means("none"), "GET `http://ADDRESS[:PORT]/PATH`; no https"),
    key("group.check", "status", Integer, Means("200 to 399"), "with `http`: the status that is good"),
    key("group.check", "body-contains", Text, Means("none"), "with `http`: what the first 64 KiB of the body have to contain"),
    key("group.check", "command", List, Means("none"), "program and arguments, no shell; exit codes as OCF: 0 ok, 190 and 191 degraded, 126 and 127 (it cannot run) unknown, others failed"),
    key("group.check", "sip-options", Text, Means("none"), "asks by SIP OPTIONS: `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT`; any response is life"),
    key("group.check", "asterisk-ami", Switch, Means("none"), "`true`: logs in by `[group.asterisk]`, waits for FullyBooted, asks Ping and CoreStatus"),
    key("group.check", "ping", OneOrMore, Means("none"), "asks by ICMP echo: addresses, one or several"),
    key("group.check", "need", Text, Means("`any`"), "with several targets of `tcp` or `ping`: `any` of them has to answer, or `all`"),
    key("group.check", "disk", Text, Means("none"), "writes, flushes and reads a small file in this folder"),
    key("group.check", "interface", Text, Means("none"), "a network interface that is up, with carrier: its name, or its link address"),
    key("group.check", "every", Duration, Means("2s; `disk` 10s"), "from the start of one run to the start of the next, 100ms to 1h; not with `systemd`"),
    key("group.check", "timeout", Duration, Means("1s, `disk` 5s; at most `every`"), "a run ends after this, 10ms to `every`; not with `systemd`"),
    key("group.check", "rise", Integer, Default("1"), "so many good results in a row end a failure"),
    key("group.check", "fall", Integer, Means("3; `systemd` 1"), "so many failed results in a row are a failure"),
    key("group.check", "when", Text, Means("`always`; `active` for an address that moves, and for a cold service"), "it runs where the group is `active`, where it is `standby`, or `always`"),
    key("group.check", "on-fail", Text, Means("`restart`; `move` for `ping`, `disk`, `interface`, and without `[group.service]`"), "`restart` the service and count; `move` the group, if another node is eligible; `report` only"),
    key("group", "elastic-ip", Tables, Means("none"), "an Elastic IP that is re-associated"),
    key("group.elastic-ip", "name", Text, Refused, "its name"),
    key("group.elastic-ip", "allocation-id", Text, Refused, "`eipalloc-…`"),
    key("group.elastic-ip", "to", Map, Refused, "per node of the group, the private address that it goes to: not the first link's, and not one that moves"),
    key("group.elastic-ip", "source-ports", List, Means("none"), "as in `[[group.private-ip]]`, for the node's own address in `to`"),
    key("group", "private-ip", Tables, Means("none"), "a secondary private IPv4 address that is reassigned; all nodes in its subnet"),
    key("group.private-ip", "name", Text, Refused, "its name"),
    key("group.private-ip", "address", Text, Refused, "the address that moves"),
    key("group.private-ip", "elastic-ip", Text, Means("none"), "allocation id of the Elastic IP that rides on it"),
    key("group.private-ip", "guest", Switch, Default("true"), "whether the agent also sets the address up on the node's own interface"),
    key("group.private-ip", "source-ports", List, Means("none"), "local ports (`udp:5060`, `udp:10000-20000`, `tcp:…`): what a service that is bound to no address sends from them leaves from this one"),
    key("group", "route", Tables, Means("none"), "routes that are pointed at the active node's interface"),
    key("group.route", "name", Text, Refused, "its name"),
    key("group.route", "tables", List, Refused, "route tables, `rtb-…`"),
    key("group.route", "destinations", List, Refused, "IPv4 and IPv6 networks, prefix lists (`pl-…`)"),
    key("group.route", "link", Integer, Default("0"), "the routes lead to the interface of this link, counted from 0"),
    key("group", "hook", Tables, Means("none"), "a program that runs when this node's part in the group changes; several run in the order of the file"),
    key("group.hook", "on", Text, Refused, "`promote`: this node becomes active; `demote`: it becomes standby"),
    key("group.hook", "when", Text, Means("promote `after`; demote `before`, with the lease `after`"), "`before` or `after` the service's start (promote) or stop (demote)"),
    key("group.hook", "run", List, Refused, "program and arguments; no shell"),
    key("group.hook", "timeout", Duration, Default("10s"), "it is killed after this"),
    key("group.hook", "on-failure", Text, Default("ignore"), "`ignore`: a failure is shown; `stop`: the hooks after it do not run, and at a promotion the service counts as not started, so that the group moves"),
    key("", "recovery", Table, Means("nothing is done"), "what is done about the instance of a node that is lost"),
    key("recovery", "when-lost", Text, Default("none"), "`none`, `reboot` it, or `restart`: stop it and start it on another host; only by the node that serves its groups"),
    key("recovery", "boot-time", Duration, Default("5m"), "not before it had so long to boot, from its loss and from each attempt; at least 1m"),
    key("recovery", "attempts", Integer, Default("3"), "so often at most, until it was heard for boot-time or an operator cleaned up; then an alarm"),
    key("", "aws", Table, Means("as in the AWS tools"), "how EC2 is reached"),
    key("aws", "region", Text, Means("`AWS_REGION`, the profile, or IMDS"), "region"),
    key("aws", "profile", Text, Means("`AWS_PROFILE`, or the instance's role"), "profile of the shared AWS configuration files"),
    key("aws", "endpoint-url", Text, Means("the region's own"), "another endpoint for EC2: a VPC endpoint, the sandbox"),
    key("aws", "call-timeout", Duration, Default("3s"), "bound on each EC2 call, 100ms to 30s"),
    key("", "lease", Table, Means("all defaults"), "the leases of groups with `arbiter = \"dynamodb\"`"),
    key("lease", "table", Text, Default("standin"), "the DynamoDB table"),
    key("lease", "length", Duration, Default("10s"), "how long a lease lasts, 5s to 5m; it is renewed every 0.2 of that"),
    key("lease", "stop-bound", Duration, Default("2s"), "how long a service may take to stop, at most 0.4 of the length; at 0.8 of the length it is killed"),
    key("lease", "grace", Text, Default("none"), "how long a lapsed lease may be outlived while DynamoDB does not answer and all other nodes of the group are heard as standby"),
    key("lease", "endpoint-url", Text, Means("the region's own"), "another endpoint for DynamoDB"),
];

/// Keys that operators will know from the plan or from elsewhere, and that this version does not have:
/// table, name, what to do meanwhile.
pub(super) const LATER: &[(&str, &str, &str)] = &[];

/// Words that other programs have for our keys: table, their word, ours.
pub(super) const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("heartbeat", "keepalive", "interval"),
    ("heartbeat", "warntime", "warn-after"),
    ("heartbeat", "deadtime", "dead-after"),
    ("heartbeat", "initdead", "first-dead-after"),
    ("heartbeat", "udpport", "port"),
    ("", "keepalive", "heartbeat.interval"),
    ("", "warntime", "heartbeat.warn-after"),
    ("", "deadtime", "heartbeat.dead-after"),
    ("", "initdead", "heartbeat.first-dead-after"),
    ("", "udpport", "heartbeat.port"),
    ("", "auto_failback", "group.failback"),
    ("", "arbiter", "group.arbiter"),
];

/// The name that was probably meant: the nearest, if it is near.
pub(super) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('_', "-");
    // Not so far that nothing of the typed name is left.
    let length = typed.chars().count();
    let allowed = (length / 3).max(1).min(length.saturating_sub(1));
    let near = names.into_iter().map(|name| (distance(&typed, name), name));
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, it)| it)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near_are_found() {
        let names = || KEYS.iter().filter(|key| key.table == "heartbeat").map(|key| key.name);
        assert_eq!(nearest("dead_after", names()), Some("dead-after"));
        assert_eq!(nearest("intervall", names()), Some("interval"));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn every_table_is_a_key_itself() {
        for key in KEYS.iter().filter(|key| !key.table.is_empty()) {
            let (table, name) = key.table.rsplit_once('.').unwrap_or(("", key.table));
            let form = find(table, name).map(|it| it.form);
            assert!(matches!(form, Some(Table | Tables)), "{}", key.path());
        }
    }
}
