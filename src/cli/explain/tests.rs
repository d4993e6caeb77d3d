use std::fs;

use super::*;

fn incident(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/incidents/{name}.jsonl"))
}

/// A folder as an agent leaves it, with this text in one of the two files.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("record-1.jsonl"), text).unwrap();
    folder
}

fn args(state_dir: &Path) -> Args {
    Args {
        group: None,
        at: None,
        state_dir: Some(state_dir.to_owned()),
        config: DEFAULT_FILE.into(),
        replay: None,
        json: false,
    }
}

fn explained(args: &Args) -> Result<String, (Exit, String)> {
    let mut out = Vec::new();
    let exit = run(args, &mut out).map_err(|error| {
        (error.downcast_ref::<Failure>().map_or(Exit::Failed, |it| it.exit), format!("{error:#}"))
    })?;
    assert_eq!(exit, Exit::Ok);
    Ok(String::from_utf8(out).unwrap())
}

fn replayed(text: &str, json: bool) -> (Exit, String) {
    let folder = folder(text);
    let replay = Some(folder.path().join("record-1.jsonl"));
    let mut out = Vec::new();
    let exit = run(&Args { replay, json, ..args(folder.path()) }, &mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

/// As the file is on every machine: the folder is a random one.
fn without_folder(text: &str) -> String {
    text.split(' ')
        .map(|word| if word.contains("record-1.jsonl") { "FILE" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn without_a_time_it_is_the_last_decision() {
    let folder = folder(&fs::read_to_string(incident("killed-active")).unwrap());
    insta::assert_snapshot!(explained(&args(folder.path())).unwrap());
}

#[test]
fn a_moment_is_what_was_known_then() {
    let folder = folder(&fs::read_to_string(incident("killed-active")).unwrap());
    // It is late, and not yet lost.
    let at = Some("2026-11-24T14:29:43.900Z".to_owned());
    insta::assert_snapshot!(explained(&Args { at, ..args(folder.path()) }).unwrap());
}

#[test]
fn every_moment_of_every_incident_fits_into_80_columns() {
    for path in fs::read_dir(incident("x").parent().unwrap()).unwrap() {
        let path = path.unwrap().path();
        if path.extension().is_none_or(|it| it != "jsonl") {
            continue;
        }
        let recording = Recording::read(&path).unwrap();
        let begins = recording.segments[0].header.wall_ms;
        let end = moment::newest(&recording).unwrap();
        let moments = (0..8).map(|step| Some(begins + (end - begins) / 8 * step));
        for at in moments.chain([None]) {
            let explained = moment::explain(&recording, at, None).unwrap();
            let mut text = Vec::new();
            render::text(&explained, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{path:?}\n{text}");
            assert!(text.contains("Group ivr") && text.contains("next  "), "{text}");
            assert!(!text.contains("would have decided otherwise"), "{path:?}\n{text}");
            serde_json::to_string(&explained).unwrap();
        }
    }
}

#[test]
fn json_has_the_same() {
    let folder = folder(&fs::read_to_string(incident("clean-stop")).unwrap());
    let text = explained(&Args { json: true, ..args(folder.path()) }).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let group = &value["moments"][0]["groups"][0];
    assert_eq!((&value["version"], &value["node"]), (&1.into(), &"ivr-b".into()));
    assert_eq!(
        (&group["role"], &group["because_row"], &group["name"]),
        (&"active".into(), &11.into(), &"ivr".into())
    );
}

#[test]
fn what_cannot_be_explained_is_said_with_the_remedy() {
    let good = folder(&fs::read_to_string(incident("killed-active")).unwrap());
    let with = |at: &str| Args { at: Some(at.to_owned()), ..args(good.path()) };
    let (exit, text) = explained(&with("14 o'clock")).unwrap_err();
    assert_eq!(exit, Exit::Usage);
    assert!(text.contains("14 o'clock") && text.contains("03:12:45"), "{text}");
    let (exit, text) = explained(&with("2026-01-01 00:00:00")).unwrap_err();
    assert_eq!(exit, Exit::Failed);
    assert!(text.contains("from 2026-11-24 14:29:37.274 on"), "{text}");
    let (exit, text) = explained(&Args { group: Some("x".into()), ..args(good.path()) }).unwrap_err();
    assert_eq!(exit, Exit::Usage);
    assert!(text.contains("no group \"x\"") && text.contains("there are: ivr"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let (_, text) = explained(&args(empty.path())).unwrap_err();
    assert!(text.contains("there is no recording in") && text.contains("--state-dir"), "{text}");
    let (_, text) = explained(&args(&empty.path().join("none"))).unwrap_err();
    assert!(text.contains("cannot read"), "{text}");
}

#[test]
fn long_after_the_end_the_end_is_told() {
    let folder = folder(&fs::read_to_string(incident("killed-active")).unwrap());
    let at = Some("2026-11-24 18:00:00".to_owned());
    let text = explained(&Args { at, ..args(folder.path()) }).unwrap();
    assert!(text.contains("Nothing is recorded after 14:29:47.277"), "{text}");
}

#[test]
fn a_replay_without_a_difference_ends_with_0() {
    let (exit, text) = replayed(&fs::read_to_string(incident("killed-active")).unwrap(), false);
    assert_eq!(exit, Exit::Ok);
    insta::assert_snapshot!(without_folder(&text));
}

#[test]
fn a_replay_with_a_difference_shows_both_and_ends_with_1() {
    let text = fs::read_to_string(incident("killed-active")).unwrap();
    // As if another version had waited for the counter.
    let changed = text.replace("\"row\":\"Silent\",\"term\"", "\"row\":\"CounterAtRest\",\"term\"");
    assert_ne!(text, changed);
    let (exit, shown) = replayed(&changed, false);
    assert_eq!(exit, Exit::Failed);
    insta::assert_snapshot!(without_folder(&shown));
    let (exit, json) = replayed(&changed, true);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let differs = &value["segments"][0]["differences"][0];
    assert_eq!((exit, &value["same"]), (Exit::Failed, &false.into()));
    assert_eq!(
        (&differs["recorded"]["decision"], &differs["now"]["decision"]),
        (&"row 17".into(), &"row 16".into())
    );
    // A decision that is missing is one, too.
    let shorter: String = text.split_inclusive('\n').filter(|line| !line.contains("TakeAnchor")).collect();
    assert_eq!(replayed(&shorter, false).0, Exit::Failed);
}

#[test]
fn a_torn_last_line_is_tolerated_and_said() {
    let text = fs::read_to_string(incident("killed-active")).unwrap();
    let torn = &text[..text.len() - 20];
    let (exit, shown) = replayed(torn, false);
    assert_eq!(exit, Exit::Ok);
    assert!(shown.starts_with("! line ") && shown.contains("torn"), "{shown}");
    // The agent was started again, and went on in the same file.
    let (exit, shown) = replayed(&format!("{torn}\n{text}"), false);
    assert_eq!(exit, Exit::Ok);
    assert!(shown.contains("torn") && shown.contains("2 segments"), "{shown}");
    let folder = folder(torn);
    assert!(explained(&args(folder.path())).unwrap().starts_with("! line "));
}

#[test]
fn what_is_no_recording_of_ours_is_refused() {
    let text = fs::read_to_string(incident("killed-active")).unwrap();
    let refused = |text: &str| {
        let folder = folder(text);
        let replay = Some(folder.path().join("record-1.jsonl"));
        run(&Args { replay, ..args(folder.path()) }, &mut Vec::new()).unwrap_err().to_string()
    };
    for none in ["", "\n", "{}\n", "{\"at_ns\":7,\"input\":\"Ticked\"}\n", "\u{0}\u{0}"] {
        assert!(refused(none).contains("is no recording"), "{none:?}: {}", refused(none));
    }
    let other =
        refused(&text.replace("\"format\":1,\"standin\":\"0.1.0\"", "\"format\":9,\"standin\":\"7.0.0\""));
    assert!(other.contains("has format 9, written by standin 7.0.0"), "{other}");
    assert!(other.contains("use the standin of that version"), "{other}");
    let corrupt = refused(&text.replacen("\"Ticked\"", "\"Tocked\"", 1).replacen("{\"t\":", "{\"u\":", 1));
    assert!(corrupt.contains("is corrupt") && corrupt.contains("line "), "{corrupt}");
}
