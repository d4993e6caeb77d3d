use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::sync::watch;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

/// A folder with one agent of the test's own, `ocf:test:den`.
fn den(script: &str) -> (tempfile::TempDir, OcfService) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("resource.d/test");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("den"), format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display())).unwrap();
    fs::set_permissions(place.join("den"), fs::Permissions::from_mode(0o755)).unwrap();
    let parameters = [("user".to_owned(), "x y".to_owned())].into();
    let ocf = Ocf { provider: "test".into(), agent: "den".into(), parameters };
    let service = of(&ocf, folder.path(), folder.path());
    (folder, service)
}

fn of(ocf: &Ocf, root: &Path, scratch: &Path) -> OcfService {
    let service = OcfService::new(ocf, "ivr", Duration::from_millis(500));
    OcfService { root: root.to_owned(), scratch: scratch.join("scratch"), ..service }
}

async fn monitor(service: &OcfService) -> State {
    service.act("monitor", BOUND, Duration::ZERO).await.state()
}

#[tokio::test]
async fn each_exit_code_means_what_pacemaker_means() {
    let (_folder, service) = den("echo noise; echo ocf-exit-reason:because >&2; exit $(cat code)");
    let (soft, hard, fatal) = (Seriousness::Soft, Seriousness::Hard, Seriousness::Fatal);
    let runs = Some(true);
    for (code, state, kind) in [
        (0, runs, soft),
        (1, Some(false), soft),
        (2, Some(false), hard),
        (3, Some(false), hard),
        (4, Some(false), hard),
        (5, Some(false), hard),
        (6, Some(false), fatal),
        (7, Some(false), soft),
        (8, runs, soft),
        (9, Some(false), soft),
        (190, runs, soft),
        (191, runs, soft),
        (42, Some(false), soft),
    ] {
        fs::write(_folder.path().join("code"), code.to_string()).unwrap();
        let action = service.act("monitor", BOUND, Duration::ZERO).await;
        assert_eq!((action.state().runs(), action.kind()), (state, kind), "{code}");
        let stopped = action.state() == State::Stopped;
        assert_eq!(stopped, code == 7, "{code}");
        let degraded = matches!(action.state(), State::Runs { degraded: Some(_) });
        assert_eq!(degraded, code >= 190, "{code}");
        if code != 0 {
            assert!(service.text(&action).ends_with(&format!("(exit code {code}): because")), "{code}");
        }
        if code > 0 && code < 7 {
            let failure = service.start(BOUND).await.unwrap_err();
            assert_eq!((failure.kind, failure.unknown), (kind, false), "{code}");
            assert!(failure.why.starts_with("ocf:test:den start: "), "{failure}");
        }
    }
}

#[tokio::test]
async fn an_agent_finds_the_environment_that_it_knows_from_pacemaker() {
    let (folder, service) = den("env > $1; exit 0");
    service.act("start", Duration::from_secs(90), Duration::ZERO).await;
    let env = fs::read_to_string(folder.path().join("start")).unwrap();
    let root = folder.path().display();
    for line in [
        &format!("OCF_ROOT={root}"),
        "OCF_RESOURCE_INSTANCE=ivr",
        "OCF_RESOURCE_TYPE=den",
        "OCF_RESOURCE_PROVIDER=test",
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_RESKEY_user=x y",
        "OCF_RESKEY_CRM_meta_timeout=90000",
        "OCF_RESKEY_CRM_meta_interval=0",
        "OCF_CHECK_LEVEL=0",
        "OCF_EXIT_REASON_PREFIX=ocf-exit-reason:",
        &format!("HA_RSCTMP={root}/scratch"),
    ] {
        assert!(env.lines().any(|it| it == line), "{line} is not in\n{env}");
    }
    assert!(folder.path().join("scratch").is_dir());
}

#[tokio::test]
async fn an_agent_that_hangs_or_is_not_there_says_nothing_about_the_service() {
    let (_folder, service) = den("exec sleep 60");
    let hangs = service.act("monitor", Duration::from_millis(100), Duration::ZERO).await;
    assert!(
        matches!(hangs.state(), State::Unknown(why) if why.contains("did not end within 100ms and was killed"))
    );
    let absent = OcfService { ocf: Ocf { agent: "other".into(), ..service.ocf.clone() }, ..service };
    assert!(matches!(monitor(&absent).await, State::Unknown(why) if why.contains("could not be started")));
}

#[tokio::test]
async fn what_an_agent_lacks_on_this_node_is_known_before_it_is_needed() {
    let script = "case $1 in validate-all) [ -e fit ] || { echo ocf-exit-reason:no asterisk >&2; exit 5; } ;; *) exit 7 ;; esac";
    let (folder, service) = den(script);
    let (seen, mut sight) = watch::channel(Sight::default());
    let (_request, asked) = watch::channel(0);
    tokio::spawn(service.clone().watch(seen, asked));
    let unfit = sight.wait_for(|it| it.unfit.is_some()).await.unwrap().unfit.clone();
    assert_eq!(unfit.as_deref(), Some("ocf:test:den validate-all: not installed (exit code 5): no asterisk"));
    drop(sight);
    fs::write(folder.path().join("fit"), "").unwrap();
    let (seen, mut sight) = watch::channel(Sight::default());
    let (_request, asked) = watch::channel(0);
    tokio::spawn(service.watch(seen, asked));
    sight.wait_for(|it| it.state == State::Stopped).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sight.borrow().unfit, None);
}

/// The agents of resource-agents, where they are: installed, or unpacked into the cache by `./test`.
fn real_agents() -> Option<PathBuf> {
    let cache = std::env::var_os("STANDIN_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/standin")));
    let places = [Some(PathBuf::from(ROOT)), cache.map(|it| it.join("resource-agents/usr/lib/ocf"))];
    places.into_iter().flatten().find(|it| it.join("resource.d/heartbeat/Dummy").exists())
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "what was not tested is said")]
async fn a_real_agent_runs_unchanged() {
    let Some(root) = real_agents() else {
        println!(
            "SKIPPED: no resource-agents (apt-get install resource-agents), so no real OCF agent was tested"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ocf = Ocf { provider: "heartbeat".into(), agent: "Dummy".into(), parameters: Default::default() };
    let service = of(&ocf, &root, folder.path());
    assert_eq!(monitor(&service).await, State::Stopped);
    assert!(service.act("validate-all", BOUND, Duration::ZERO).await.ended.is_well());
    service.start(BOUND).await.unwrap_or_else(|failure| panic!("{failure}"));
    service.start(BOUND).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(monitor(&service).await, State::Runs { degraded: None });
    service.stop(BOUND).await.unwrap();
    assert_eq!(monitor(&service).await, State::Stopped);
    // Asterisk is not installed here, and its agent says so.
    let ocf = Ocf { agent: "asterisk".into(), ..ocf };
    let asterisk = of(&ocf, &root, folder.path());
    if !Path::new("/usr/sbin/asterisk").exists() {
        let failure = asterisk.start(BOUND).await.unwrap_err();
        assert_eq!(failure.kind, Seriousness::Hard, "{failure}");
        assert!(failure.why.contains("not installed (exit code 5)"), "{failure}");
    }
}
