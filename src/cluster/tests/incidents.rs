//! Makes recordings of incidents that real agents cannot have in a test: frozen machines, cuts in one direction,
//! hours of takeovers. These tests are ignored: see the README of `tests/incidents`.

use std::path::Path;

use super::*;
use crate::record::{Header, Line, Names, Ring, Why, ring};

/// What one core is told and decides.
#[derive(Debug)]
pub(super) struct Tape {
    folder: tempfile::TempDir,
    ring: Ring,
    stances: Vec<(GroupId, Stance)>,
}

impl Tape {
    fn new(core: &Cluster, now: Time) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::open(folder.path()).unwrap();
        let names = Names {
            cluster: "test".into(),
            nodes: vec!["ivr-a".into(), "ivr-b".into()],
            groups: vec!["ivr".into()],
            anchors: vec!["service-address".into()],
        };
        let mut header = Header::new(&names, "a-boot", core).unwrap();
        (header.why, header.at, header.wall_ms) = (Why::Start, now, now.as_nanos() / 1_000_000);
        ring.begin(header, false).unwrap();
        Self { folder, ring, stances: core.stances().collect() }
    }

    pub(super) fn input(&mut self, core: &Cluster, event: &Event, now: Time) {
        let line = if core.is_stalled(now) { Line::Stalled } else { Line::Input };
        self.ring.write(line(now, event.clone())).unwrap();
    }

    pub(super) fn output(&mut self, core: &Cluster, commands: &[Command], now: Time) {
        for (stance, known) in core.stances().zip(&mut self.stances) {
            if stance != *known {
                *known = stance;
                self.ring.write(Line::Decided(now, stance.0, stance.1)).unwrap();
            }
        }
        for command in commands.iter().filter(|it| !matches!(it, Command::Send(_))) {
            let line = if let Command::Tell(notice) = command {
                Line::told(notice)
            } else {
                Line::Command(now, command.clone())
            };
            self.ring.write(line).unwrap();
        }
    }

    fn text(mut self) -> String {
        self.ring.flush().unwrap();
        std::fs::read_to_string(&ring::files(self.folder.path())[0]).unwrap()
    }
}

/// A settled pair that is recorded from here on.
fn pair() -> World {
    let settings = Settings { interval: ms(1000), warn_after: ms(1500), dead_after: ms(3000), ..settings(2) };
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    for node in 0..2 {
        world.tapes[node] = Some(Tape::new(world.nodes[node].as_ref().unwrap(), world.now));
    }
    world
}

fn keep(mut world: World, nodes: &[usize], name: &str) {
    let mut text = String::new();
    for node in nodes {
        text += &world.tapes[*node].take().unwrap().text();
    }
    assert!(text.len() < 150_000, "{name}: {}", text.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents");
    std::fs::write(folder.join(format!("{name}.jsonl")), text).unwrap();
}

#[test]
#[ignore = "makes a file"]
fn thawed_active() {
    let mut world = pair();
    world.run(ms(10_000));
    world.frozen = vec![0];
    world.run(ms(20_000));
    assert_eq!(world.active(), [0, 1], "one of them does not run");
    world.frozen.clear();
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    keep(world, &[0, 1], "thawed-active");
}

#[test]
#[ignore = "makes a file"]
fn cut_in_one_direction() {
    let mut world = pair();
    world.run(ms(5000));
    // The standby does not hear the active, which hears it.
    world.cut = vec![(0, 1)];
    world.run(ms(20_000));
    assert_eq!(world.holder, [Held::By(1)]);
    world.cut.clear();
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    keep(world, &[0, 1], "cut-in-one-direction");
}

#[test]
#[ignore = "makes a file"]
fn cut_that_lasts_moves_the_group_once() {
    let mut world = pair();
    world.run(ms(5000));
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(180_000));
    assert_eq!((world.active(), world.takes.len()), (vec![1], 1));
    world.cut.clear();
    world.run(ms(10_000));
    keep(world, &[0, 1], "cut-that-lasts-moves-the-group-once");
}

#[test]
#[ignore = "makes a file"]
fn takeovers_by_silence_are_damped() {
    let mut world = pair();
    for takeover in 0..7 {
        world.tell(1, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(0)))));
        world.run(ms(9000));
        assert_eq!(world.active(), [0], "{takeover}");
        world.kill(0);
        world.run(ms(9000));
        assert_eq!(world.active().is_empty(), takeover == 6, "{takeover}");
        world.start(0);
        world.run(ms(9000));
    }
    assert!(world.said(1, "damped"));
    keep(world, &[1], "takeovers-by-silence-are-damped");
}

#[test]
#[ignore = "makes a file"]
fn instance_stopped_in_the_console() {
    let mut world = pair();
    world.run(ms(5000));
    world.kill(0);
    world.instances[0] = Some(Running::Ending);
    world.run(ms(10_000));
    assert_eq!(world.active(), [1]);
    keep(world, &[1], "instance-stopped-in-the-console");
}

#[test]
#[ignore = "makes a file"]
fn never_heard_and_the_counter_stands_still() {
    let settings = Settings { interval: ms(1000), warn_after: ms(1500), dead_after: ms(3000), ..settings(2) };
    let mut world = World::empty(settings, Held::By(0));
    world.start(1);
    world.tapes[1] = Some(Tape::new(world.nodes[1].as_ref().unwrap(), world.now));
    world.run(ms(120_000));
    assert_eq!(world.active(), [1]);
    keep(world, &[1], "never-heard-and-the-counter-stands-still");
}
