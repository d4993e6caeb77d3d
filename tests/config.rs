//! The configuration file: good files are understood and shown unchanged; of bad files, each is one mistake,
//! and the message is compared as a whole. `UPDATE_EXPECTED=1` writes the messages anew, for review.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standin::cluster::NodeId;
use standin::config::{
    Arbiter, Ask, Commands, Config, Fencing, HookFailure, HookWhen, Ocf, Probe, Registrations, Resource, Run,
    Service, Standby, WhenFencingFails, WhenIsolated, WhenSilent, check_key_file,
};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Compares with the `.expected` file beside `path`, or writes it. Answers what differs.
fn compare(path: &Path, message: &str) -> Option<String> {
    let beside = path.with_extension("expected");
    let message = format!("{message}\n");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&beside, message).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&beside).unwrap_or_default();
    (message != expected)
        .then(|| format!("{}\n--- expected\n{expected}--- but it is\n{message}", file_name(path)))
}

/// The message for a bad file. Its first line may say what is to be tried with a file that is good in
/// itself: `# seen: ADDRESSES` or `# node: NAME`.
fn message_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let config = match Config::parse(&text, file_name(path)) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    let first = text.lines().next().unwrap_or_default();
    let seen = first.strip_prefix("# seen: ").unwrap_or_default();
    let seen: Vec<_> = seen.split_whitespace().map(|address| address.parse().unwrap()).collect();
    let name = first.strip_prefix("# node: ");
    assert!(name.is_some() || !seen.is_empty(), "{} was accepted", path.display());
    config.own_node(name, &seen).unwrap_err().to_string()
}

#[test]
fn each_bad_file_has_its_message() {
    let files = files("bad", "toml");
    assert!(files.len() >= 30, "only {} bad files", files.len());
    let differences: Vec<String> = files.iter().filter_map(|path| compare(path, &message_of(path))).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn each_bad_key_file_has_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut differences = Vec::new();
    for path in files("bad-keys", "key") {
        let copy = folder.path().join(file_name(&path));
        fs::copy(&path, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        let message = check_key_file(&copy).unwrap_err().to_string();
        let message = message.replace(&format!("{}/", folder.path().display()), "");
        let digits = "0123456789abcdef0123456789";
        assert!(!message.contains(digits), "{} shows a key: {message}", path.display());
        differences.extend(compare(&path, &message));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_key_file_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.key");
    let missing = check_key_file(&path).unwrap_err().to_string();
    assert!(missing.contains("No such file") && missing.contains("standin keygen --out"), "{missing}");
    fs::write(&path, format!("5 {}\n", "0123456789abcdef".repeat(4))).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = check_key_file(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("its mode is {mode:04o}")), "{message}");
        assert!(message.contains("chmod 0600"), "{message}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(check_key_file(&path).unwrap().signing, 5);
    }
    assert!(check_key_file(folder.path()).unwrap_err().to_string().contains("regular file"));
}

#[test]
fn good_files_are_understood_and_shown_as_what_they_are() {
    let files = files("good", "toml");
    assert!(files.len() >= 5);
    for path in files {
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let shown = config.show();
        let again = Config::parse(&shown, "shown").unwrap_or_else(|error| panic!("{error}\n{shown}"));
        assert_eq!(again, config, "{shown}");
        assert_eq!(again.hash(), config.hash());
        assert_eq!(again.show(), shown);
    }
}

fn good(name: &str) -> Config {
    Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good").join(name)).unwrap()
}

#[test]
fn defaults_are_those_of_the_design() {
    let config = good("pair-in-one-subnet.toml");
    let beat = &config.heartbeat;
    assert_eq!(beat.port, 694);
    assert_eq!(beat.interval, Duration::from_millis(250));
    assert_eq!(beat.warn_after, Duration::from_secs(1));
    assert_eq!(beat.dead_after, Duration::from_secs(2));
    assert_eq!(beat.first_dead_after, Duration::from_secs(30));
    assert_eq!(config.aws.call_timeout, Duration::from_secs(3));
    let group = &config.groups[0];
    assert_eq!(group.nodes, [NodeId(0), NodeId(1)]);
    assert_eq!((group.when_silent, group.when_isolated), (WhenSilent::Take, WhenIsolated::Keep));
    assert_eq!((group.arbiter, group.fencing), (Arbiter::Ec2, Fencing::None));
    assert_eq!((group.failback, group.migration_threshold, group.failure_timeout), (None, 3, None));
    assert_eq!((&group.probe, &group.service, &config.lease), (&None, &None, &None));
    let Resource::PrivateIp(address) = &group.resources[group.anchor] else { panic!("{group:?}") };
    assert!(address.guest);
}

#[test]
fn a_lease_has_the_defaults_of_the_design_and_a_service_that_stops_in_time() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/strict-by-lease.toml");
    let text = fs::read_to_string(path).unwrap();
    let written = Config::parse(&text, "test").unwrap();
    let lease = written.lease.unwrap();
    assert_eq!((lease.length, lease.stop_bound), (Duration::from_secs(20), Duration::from_secs(5)));
    assert_eq!(lease.grace, Some(Duration::from_secs(30)));
    let group = &written.groups[0];
    assert_eq!((group.fencing, group.when_fencing_fails), (Fencing::Before, WhenFencingFails::Take));
    assert_eq!((group.failback, group.migration_threshold), (Some(Duration::from_mins(10)), 0));
    let start = text.find("[lease]").unwrap();
    let end = text.find("[[group]]").unwrap();
    let without = format!("{}{}", &text[..start], &text[end..]);
    let without = without.replace("standby = \"cold\"\nstop-timeout = \"4s\"\n", "");
    let by_default = Config::parse(&without, "test").unwrap_or_else(|error| panic!("{error}"));
    let lease = by_default.lease.unwrap();
    assert_eq!((lease.length, lease.stop_bound), (Duration::from_secs(10), Duration::from_secs(2)));
    assert_eq!((lease.table.as_str(), lease.grace, lease.endpoint_url), ("standin", None, None));
    let service = by_default.groups[0].service.clone().unwrap();
    assert_eq!((service.standby, service.stop_timeout), (Standby::Cold, Duration::from_secs(2)));
    let short = without.replace("[[group]]", "[lease]\nstop-bound = \"1s\"\n\n[[group]]");
    let service = Config::parse(&short, "test").unwrap().groups[0].service.clone().unwrap();
    assert_eq!(service.stop_timeout, Duration::from_secs(1), "not later than the lease allows");
}

#[test]
fn a_service_is_asked_in_one_of_three_ways() {
    let config = good("probe-before-taking.toml");
    let probes: Vec<Probe> = config.groups.iter().map(|group| group.probe.clone().unwrap()).collect();
    let second = Duration::from_secs(1);
    let sip = Ask::SipOptions("203.0.113.10:5060".parse().unwrap());
    assert_eq!(probes[0], Probe { ask: sip, timeout: second });
    let tcp = Ask::Tcp("10.0.1.100:443".parse().unwrap());
    assert_eq!(probes[1], Probe { ask: tcp, timeout: Duration::from_millis(500) });
    let command = Ask::Command(vec!["/usr/local/bin/ask-office".into(), "--once".into()]);
    assert_eq!(probes[2], Probe { ask: command, timeout: second });
    let service = Service {
        run: Run::Unit("asterisk.service".into()),
        standby: Standby::Warm,
        start_timeout: Duration::from_secs(90),
        status_every: Duration::from_secs(10),
        stop_timeout: Duration::from_secs(2),
    };
    assert_eq!(config.groups[0].service, Some(service));
}

#[test]
fn a_service_runs_in_one_of_three_ways() {
    let config = good("services.toml");
    let service = |group: usize| config.groups[group].service.clone().unwrap();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let start = words("/usr/local/bin/svc start");
    let commands = Commands {
        start,
        stop: words("/usr/local/bin/svc stop"),
        status: words("/usr/local/bin/svc status"),
    };
    assert_eq!(service(0).run, Run::Commands(commands));
    assert_eq!(service(0).name(), "/usr/local/bin/svc");
    let seconds = Duration::from_secs;
    assert_eq!((service(0).start_timeout, service(0).stop_timeout), (seconds(90), seconds(20)));
    assert_eq!(service(0).status_every, seconds(3));
    let parameters = [("config".to_owned(), "/etc/x y.conf".to_owned()), ("fake".to_owned(), String::new())];
    let ocf = Ocf { provider: "heartbeat".into(), agent: "Dummy".into(), parameters: parameters.into() };
    assert_eq!(service(1).run, Run::Ocf(ocf));
    assert_eq!((service(1).name().as_str(), service(1).unit()), ("ocf:heartbeat:Dummy", None));
    assert_eq!((service(2).start_timeout, service(2).unit()), (seconds(30), Some("pbx.service")));
    // What is not written follows the event: around the service, the last one up is the first one down.
    let hooks: Vec<_> = config.groups[2].hooks.iter().map(|it| (it.when, it.on_failure)).collect();
    let (before, after) = (HookWhen::Before, HookWhen::After);
    let (ignore, stop) = (HookFailure::Ignore, HookFailure::Stop);
    assert_eq!(hooks, [(before, stop), (after, ignore), (before, ignore), (after, stop)]);
}

#[test]
fn what_is_written_is_what_holds() {
    let config = good("everything.toml");
    let group = &config.groups[0];
    assert_eq!(group.nodes, [NodeId(1), NodeId(0)]);
    assert_eq!((group.when_silent, group.when_isolated), (WhenSilent::Hold, WhenIsolated::Release));
    let names: Vec<_> = group.resources.iter().map(Resource::name).collect();
    assert_eq!(names, ["office", "service-address", "trunk"], "the order of the file");
    assert_eq!(group.anchor, 1);
    let Resource::Route(route) = &group.resources[0] else { panic!("{group:?}") };
    assert_eq!((route.tables.len(), route.destinations.len(), route.link), (2, 3, 1));
    assert_eq!(group.hooks[0].timeout, Duration::from_secs(30));
    assert_eq!(group.hooks[1].timeout, Duration::from_secs(10));
    assert_eq!(config.heartbeat.warn_after, Duration::from_millis(200));
}

#[test]
fn a_node_finds_itself_by_any_of_its_links() {
    let config = good("everything.toml");
    let seen = |addresses: &[&str]| addresses.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(config.own_node(None, &seen(&["127.0.0.1", "fd12:3456::b"])), Ok(NodeId(1)));
    assert_eq!(config.own_node(None, &seen(&["10.0.1.12", "fd12:3456::c"])), Ok(NodeId(2)));
    assert_eq!(config.own_node(Some("ivr-a"), &[]), Ok(NodeId(0)));
}

#[test]
fn the_hash_is_over_what_must_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/everything.toml");
    let text = fs::read_to_string(path).unwrap();
    let hash = |from: &str, to: &str| {
        assert!(from.is_empty() || text.contains(from), "{from}");
        Config::parse(&text.replacen(from, to, 1), "test").unwrap_or_else(|error| panic!("{error}")).hash()
    };
    let as_it_is = hash("", "");
    // A fixed value: other versions, and other builds, must come to the same.
    assert_eq!(as_it_is, 2928278888545894239);
    for (from, to) in [
        ("/etc/standin/ivr.key", "/etc/standin/other.key"),
        ("/run/standin/ivr.sock", "/run/standin/other.sock"),
        ("/var/lib/standin-ivr", "/srv/standin"),
        ("profile = \"standin\"", "profile = \"other\""),
        ("fencing = \"none\"\n", ""),
        ("# Every key", "# All keys"),
        ("300ms", "0.3s"),
    ] {
        assert_eq!(hash(from, to), as_it_is, "{from} -> {to}");
    }
    for (from, to) in [
        ("ivr-tokyo", "ivr-osaka"),
        ("port = 1694", "port = 1695"),
        ("300ms", "301ms"),
        ("\"10.0.1.12\"", "\"10.0.1.13\""),
        ("nodes = [\"ivr-b\", \"ivr-a\"]", "nodes = [\"ivr-a\", \"ivr-b\"]"),
        ("anchor = \"service-address\"", "anchor = \"trunk\""),
        ("when-silent = \"hold\"\n", ""),
        ("guest = false", "guest = true"),
        ("ivr-b = \"10.0.1.21\"", "ivr-b = \"10.0.1.22\""),
        ("link = 1", "link = 0"),
        ("10.99.0.1/32", "10.99.0.2/32"),
        ("/usr/local/bin/on-demote", "/bin/true"),
    ] {
        assert_ne!(hash(from, to), as_it_is, "{from} -> {to}");
    }
}

#[test]
fn the_hash_is_over_what_safety_depends_on() {
    for (file, changes) in [
        (
            "services.toml",
            [
                ("\"start\"]", "\"up\"]"),
                ("\"status\"]", "\"is-up\"]"),
                ("status-every = \"3s\"\n", ""),
                ("heartbeat:Dummy", "pacemaker:Dummy"),
                ("/etc/x y.conf", "/etc/z.conf"),
                ("start-timeout = \"30s\"\n", ""),
                ("on-failure = \"stop\"\n", ""),
                ("when = \"before\"\n", ""),
            ],
        ),
        (
            "strict-by-lease.toml",
            [
                ("standin-ledger", "standin-other"),
                ("length = \"20s\"", "length = \"21s\""),
                ("stop-bound = \"5s\"", "stop-bound = \"6s\""),
                ("grace = \"30s\"\n", ""),
                ("failback = \"10m\"\n", ""),
                ("migration-threshold = 0\n", ""),
                ("failure-timeout = \"1h\"\n", ""),
                ("15-main", "16-main"),
            ],
        ),
        (
            "probe-before-taking.toml",
            [
                ("udp:203.0.113.10", "udp:203.0.113.11"),
                ("timeout = \"500ms\"", "timeout = \"501ms\""),
                ("\"--once\"", "\"--twice\""),
                ("fencing = \"alongside\"", "fencing = \"before\""),
                ("fencing = \"alongside\"", "fencing = \"alongside\"\nwhen-fencing-fails = \"take\""),
                ("asterisk.service\"", "asterisk.service\"\nstandby = \"cold\""),
                ("asterisk.service\"", "asterisk.service\"\nstop-timeout = \"3s\""),
                ("\n[group.service]\nunit = \"asterisk.service\"\n", ""),
            ],
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good").join(file);
        let text = fs::read_to_string(path).unwrap();
        let as_it_is = Config::parse(&text, file).unwrap().hash();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            let changed = Config::parse(&text.replacen(from, to, 1), file);
            assert_ne!(changed.unwrap_or_else(|error| panic!("{error}")).hash(), as_it_is, "{from} -> {to}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/strict-by-lease.toml");
    let text = fs::read_to_string(path).unwrap();
    let other_way = text.replace("vpce-0123", "vpce-4567");
    let hash = |text: &str| Config::parse(text, "test").unwrap().hash();
    assert_eq!(hash(&other_way), hash(&text), "each node may have an endpoint of its own");
}

#[test]
fn no_text_makes_it_panic() {
    no_broken_file_panics("everything.toml");
    no_broken_file_panics("strict-by-lease.toml");
    no_broken_file_panics("probe-before-taking.toml");
    no_broken_file_panics("services.toml");
}

fn no_broken_file_panics(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good").join(name);
    let text = fs::read_to_string(path).unwrap();
    // Prefixes, and texts with one character replaced: thousands of broken files.
    for (at, c) in text.char_indices().step_by(3) {
        let _ = Config::parse(&text[..at], "prefix");
        for other in ["", "\""] {
            let broken = format!("{}{other}{}", &text[..at], &text[at + c.len_utf8()..]);
            if let Err(error) = Config::parse(&broken, "broken") {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

#[test]
fn asterisk_is_spoken_to_where_it_says() {
    let asterisk = good("asterisk.toml").groups.remove(0).asterisk.unwrap();
    assert_eq!((asterisk.ami.to_string().as_str(), asterisk.user.as_str()), ("127.0.0.1:5039", "standin"));
    assert_eq!(asterisk.secret_file, Path::new("/etc/standin/ami.secret"));
    assert_eq!(asterisk.registrations, Registrations::Auto);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/asterisk.toml");
    let text = fs::read_to_string(path).unwrap();
    let hash = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Config::parse(&text.replacen(from, to, 1), "test").unwrap().hash()
    };
    let as_it_is = hash("", "");
    assert_eq!(hash("5039", "5040"), as_it_is, "each node has an Asterisk of its own");
    assert_ne!(hash("user = \"standin\"", "user = \"standin\"\nregistrations = \"off\""), as_it_is);
}

#[test]
fn a_check_has_defaults_that_fit_what_it_asks() {
    let config = good("checks.toml");
    let of = |group: usize| -> Vec<String> {
        let checks = config.groups[group].checks.iter();
        checks
            .map(|it| {
                let (when, on_fail) = (it.when.word(), it.on_fail.word());
                let (every, timeout) = (it.every.as_millis(), it.timeout.as_millis());
                format!("{} {when} {on_fail} {every} {timeout} {} {}", it.name, it.rise, it.fall)
            })
            .collect()
    };
    let ivr = [
        "sip-options active restart 2000 1000 1 3",
        "sip-here always restart 500 500 2 5",
        "http always report 2000 1000 1 3",
        "tcp standby restart 2000 1000 1 3",
        "gateways always move 2000 1000 1 3",
        "database always move 2000 1000 1 3",
        "systemd always report 10000 1000 1 1",
        "asterisk-ami always restart 2000 1000 1 3",
        "command always restart 60000 20000 1 3",
        "disk always move 10000 5000 1 3",
        "interface always move 2000 1000 1 3",
        "second-interface always move 2000 1000 1 3",
    ];
    assert_eq!(of(0), ivr);
    let office = [
        "tcp active report 2000 1000 1 3",
        "http active restart 2000 1000 1 3",
        "far-end always move 2000 1000 1 3",
    ];
    assert_eq!(of(1), office);
}

#[test]
fn the_hash_is_over_checks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/checks.toml");
    let text = fs::read_to_string(path).unwrap();
    let hash = |text: &str| Config::parse(text, "test").unwrap_or_else(|error| panic!("{error}")).hash();
    for (what, other) in [
        ("fall = 5", "fall = 4"),
        ("\"10.0.1.1\"", "\"10.0.1.2\""),
        ("need = \"all\"", "need = \"any\""),
        ("on-fail = \"report\"", "on-fail = \"move\""),
        ("every = \"500ms\"", "every = \"600ms\""),
        ("name = \"gateways\"", "name = \"gateway\""),
    ] {
        assert!(text.contains(what), "{what}");
        assert_ne!(hash(&text), hash(&text.replacen(what, other, 1)), "{what}");
    }
}
