use super::*;
use crate::cluster::{GroupSettings, NodeId};
use crate::record::{End, Recording, Replay};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn start() -> Time {
    Time::from_nanos(5_000_000_000)
}

fn core() -> Cluster {
    let settings = Settings {
        nodes: 2,
        links: 1,
        interval: ms(250),
        warn_after: ms(1000),
        dead_after: ms(2000),
        first_dead_after: ms(30_000),
        call_timeout: ms(3000),
        groups: vec![GroupSettings::of(vec![NodeId(0), NodeId(1)])],
        ..Settings::default()
    };
    Cluster::new(settings, start())
}

/// What the heart does with each input.
fn tell(recorder: &mut Recorder, core: &mut Cluster, event: Event, now: Time) {
    recorder.input(&event, core, now);
    core.handle(event, now);
    recorder.decided(core, now);
    while let Some(command) = core.next_command() {
        recorder.command(&command, now);
    }
    recorder.turned(core, now);
}

fn recorder(folder: &Path, core: &Cluster) -> (Recorder, Written) {
    Recorder::start(folder, Names::default(), "boot".into(), core, start()).unwrap()
}

fn end((recorder, written): (Recorder, Written)) {
    drop(recorder);
    written.wait(Duration::from_secs(20));
}

#[test]
fn what_is_recorded_is_replayed_without_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core();
    let (mut recorder, written) = recorder(folder.path(), &core);
    let mut now = start();
    for _ in 0..400 {
        now += ms(250);
        tell(&mut recorder, &mut core, Event::Ticked, now);
    }
    end((recorder, written));
    let recording = Recording::read_ring(folder.path()).unwrap();
    assert_eq!((recording.segments.len(), recording.notes.len()), (1, 0));
    let replayed = Replay::all(&recording.segments[0]).unwrap();
    assert_eq!((replayed.inputs, replayed.differences, replayed.end), (400, vec![], now));
    assert!(!replayed.recorded.is_empty());
    assert_eq!(replayed.recorded, replayed.now);
}

#[test]
fn a_restart_continues_the_newer_file() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut core = core();
        let (mut recorder, written) = recorder(folder.path(), &core);
        tell(&mut recorder, &mut core, Event::Ticked, start() + ms(250));
        end((recorder, written));
    }
    assert_eq!(Recording::read_ring(folder.path()).unwrap().segments.len(), 3);
    assert!(!crate::record::ring::files(folder.path())[1].exists());
}

#[test]
fn a_flood_leaves_a_gap_and_the_recording_goes_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core();
    let (mut recorder, written) = recorder(folder.path(), &core);
    assert_eq!(recorder.limit, 232);
    let mut now = start();
    for _ in 0..1000 {
        now += Duration::from_micros(10);
        tell(&mut recorder, &mut core, Event::Ticked, now);
    }
    assert_eq!(recorder.dropped().load(Ordering::Relaxed), 768);
    for _ in 0..60 {
        now += ms(250);
        tell(&mut recorder, &mut core, Event::Ticked, now);
    }
    let dropped = recorder.dropped().load(Ordering::Relaxed);
    assert!(dropped > 800, "it pauses: {dropped}");
    end((recorder, written));
    let recording = Recording::read_ring(folder.path()).unwrap();
    let [before, after] = &recording.segments[..] else { panic!("{:?}", recording.segments) };
    assert_eq!((after.header.why, after.header.lost), (Why::Gap, dropped));
    assert!(before.lines().any(|line| matches!(line, Ok(Line::Gap(_)))));
    for segment in [before, after] {
        assert_eq!(segment.end, End::Whole);
        let replayed = Replay::all(segment).unwrap();
        assert_eq!(replayed.differences, []);
        assert!(replayed.inputs > 10, "{}", replayed.inputs);
    }
}

#[test]
fn the_heart_does_not_wait_for_a_disk_that_hangs() {
    let core = core();
    let mut recorder = Recorder::off();
    let (to, from) = sync_channel(2);
    (recorder.to, recorder.limit, recorder.stances) = (Some(to), 1000, core.stances().collect());
    let mut core = core;
    let mut now = start();
    for _ in 0..100 {
        now += ms(250);
        tell(&mut recorder, &mut core, Event::Ticked, now);
    }
    assert!(recorder.dropped().load(Ordering::Relaxed) > 90);
    // It hangs no more.
    let kept: Vec<Entry> = from.try_iter().collect();
    assert_eq!(kept.len(), 2);
    let mut then = Vec::new();
    for _ in 0..100 {
        now += ms(250);
        tell(&mut recorder, &mut core, Event::Ticked, now);
        then.extend(from.try_iter());
    }
    assert!(matches!(then.first(), Some(Entry::Line(Line::Gap(_)))), "{then:?}");
    assert!(then.iter().any(|it| matches!(it, Entry::Begin(_, _, Why::Gap, 90.., _))), "{then:?}");
}

#[test]
fn a_full_file_is_followed_by_the_other_one_with_a_core_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core();
    let place = Place { names: Names::default(), boot: "boot".into() };
    let ring = Ring::open(folder.path()).unwrap();
    let (mut recorder, mut writer, from) = Recorder::connect(ring, place, &core, start());
    let mut now = start();
    let text = "x".repeat(1 << 18);
    // A third of it is overwritten.
    for n in 0..90 {
        now += ms(200);
        let able = Err(format!("{text}{n}"));
        tell(&mut recorder, &mut core, Event::AbilityChanged { group: GroupId(0), able }, now);
        from.try_iter().for_each(|entry| writer.take_in(entry));
    }
    drop((recorder, writer));
    let recording = Recording::read_ring(folder.path()).unwrap();
    let bytes = |path: &std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    let sizes = crate::record::ring::files(folder.path()).map(|path| bytes(&path));
    assert!(sizes.iter().all(|size| *size > 1 << 20 && *size < 9 << 20), "{sizes:?}");
    assert_eq!(recording.segments.len(), 2);
    for segment in &recording.segments {
        assert_eq!(segment.header.why, Why::Full, "the start is overwritten");
        assert_eq!(Replay::all(segment).unwrap().differences, []);
    }
    assert!(recording.segments.is_sorted_by_key(|it| it.header.at));
}

#[test]
fn a_disk_that_is_full_for_a_while_leaves_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core();
    let place = Place { names: Names::default(), boot: "boot".into() };
    let ring = Ring::open(folder.path()).unwrap();
    let (mut recorder, mut writer, from) = Recorder::connect(ring, place, &core, start());
    let mut now = start();
    for step in 0..200 {
        now += ms(250);
        tell(&mut recorder, &mut core, Event::Ticked, now);
        if step == 50 {
            writer.judge(&Err(io::Error::from(io::ErrorKind::StorageFull)));
        }
        from.try_iter().for_each(|entry| writer.take_in(entry));
    }
    drop((recorder, writer));
    let recording = Recording::read_ring(folder.path()).unwrap();
    let [before, after] = &recording.segments[..] else { panic!("{:?}", recording.segments) };
    assert_eq!((before.header.why, after.header.why), (Why::Start, Why::Gap));
    assert_ne!(before.path, after.path, "there is room again in the other file");
    for segment in [before, after] {
        let replayed = Replay::all(segment).unwrap();
        assert_eq!(replayed.differences, []);
        assert!(replayed.inputs >= 50, "{}", replayed.inputs);
    }
}
