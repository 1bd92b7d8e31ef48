//! The cells of the sets.

use std::{path::Path, time::Duration};

use crate::{
    candidate::Candidate::{self, Bare, Direct, Envoy, Haproxy, Nginx, NginxStream, Relay},
    load::Style,
    run::trial::{Kind, Shape, Trial},
    sink::Mode,
    units::{KB, MB, MIB},
};

pub(super) const P50KB: Shape = Shape::open(50 * KB, 500.0);

/// Cells with the same candidates, one for each shape.
fn cells(candidates: &[Candidate], shapes: &[Shape]) -> Vec<Vec<Trial>> {
    let cell = |shape: &Shape| cell(candidates, *shape, 3.0);
    shapes.iter().map(cell).collect()
}

/// A cell: trials with the same shape, one for each candidate.
pub(super) fn cell(candidates: &[Candidate], shape: Shape, seconds: f64) -> Vec<Trial> {
    let trial = |candidate: &Candidate| Trial::traffic(*candidate, shape, seconds);
    candidates.iter().map(trial).collect()
}

pub(super) fn quick() -> Vec<Vec<Trial>> {
    let ours = [Direct, Bare(0), Bare(3), Relay(0), Relay(3)];
    vec![
        cell(&ours, P50KB, 3.0),
        cell(&ours[1..], Shape::closed(50 * KB, 32), 3.0),
        sick(&[Mode::Dead, SLOW, Mode::Hang, Mode::Stall], P50KB, 3.0),
    ]
}

pub(super) fn full() -> Vec<Vec<Trial>> {
    let ours = [
        Direct,
        Bare(0),
        Bare(1),
        Bare(3),
        Relay(0),
        Relay(1),
        Relay(3),
    ];
    let shapes = [
        Shape::open(2 * KB, 2_000.0),
        P50KB,
        Shape::open(50 * KB, 2_000.0),
        Shape::open(MB, 40.0),
        Shape::closed(50 * KB, 1),
        Shape::closed(50 * KB, 32),
        Shape::closed(50 * KB, 256),
        Shape::closed(MB, 32),
    ];
    cells(&ours, &shapes)
}

pub(super) fn peers() -> Vec<Vec<Trial>> {
    let all = [
        Direct,
        Bare(0),
        Relay(0),
        NginxStream,
        Haproxy,
        Envoy(0),
        Bare(3),
        Relay(3),
        Nginx(3),
        Envoy(3),
    ];
    let shapes = [
        Shape::open(2 * KB, 2_000.0),
        P50KB,
        Shape::open(50 * KB, 2_000.0),
        Shape::open(MB, 40.0),
        Shape::closed(50 * KB, 32),
    ];
    cells(&all, &shapes)
}

const SLOW: Mode = Mode::Slow(Duration::from_millis(200));

/// Every mode of a sick target. The last one takes as long as its rate allows.
const SICK: [Mode; 7] = [
    Mode::Dead,
    SLOW,
    Mode::Hang,
    Mode::Stall,
    Mode::Fail,
    Mode::Reset,
    Mode::Drip(100e3),
];

/// The relay with a healthy last target, and with a last target in each of `modes`.
fn sick(modes: &[Mode], shape: Shape, seconds: f64) -> Vec<Trial> {
    let healthy = Trial::traffic(Relay(3), shape, seconds);
    let mut trials = vec![healthy.clone().named("healthy")];
    trials.extend(modes.iter().map(|mode| {
        let name = mode.to_string();
        let name = name.split(':').next().unwrap_or_default();
        healthy.clone().with_last(name, *mode)
    }));
    trials
}

pub(super) fn faults(seconds: f64) -> Vec<Vec<Trial>> {
    vec![
        sick(&SICK, P50KB, seconds),
        sick(&SICK, Shape::open(5 * MB, 4.0), seconds),
    ]
}

/// A target that is down for five seconds and recovers. Its backlog may cost half a core.
pub(super) fn recovery() -> Vec<Trial> {
    let mut trial = Trial::traffic(Relay(3), Shape::open(20 * KB, 200.0), 40.0)
        .with_last("recovery", Mode::Dead)
        .of_kind(Kind::Recovery(5.0));
    trial.relay.target.push("replay-rate: 20MB".to_owned());
    vec![trial]
}

/// Latency while the last target hangs for a third of the trial.
pub(super) fn timelines(candidates: &[Candidate], seconds: f64) -> Vec<Trial> {
    let changes = vec![(seconds / 3.0, Mode::Hang), (seconds * 2.0 / 3.0, Mode::Ok)];
    let trial = |candidate: &Candidate| {
        Trial::traffic(*candidate, P50KB, seconds)
            .named("timeline")
            .of_kind(Kind::Timeline(changes.clone()))
    };
    candidates.iter().map(trial).collect()
}

/// Memory at its limits, in separate cells: a full queue, and many large bodies at once.
pub(super) fn memory(seconds: f64) -> Vec<Vec<Trial>> {
    let limit = 64 * MIB;
    let hang = Trial::traffic(Relay(3), P50KB, seconds)
        .with_last("full", Mode::Hang)
        .of_kind(Kind::Slope);
    let flood =
        Trial::traffic(Relay(3), Shape::closed(MB, 256), 5.0).with_last("flood", Mode::Hang);
    let large =
        Trial::traffic(Relay(3), Shape::open(5 * MB, 4.0), 5.0).with_last("large", Mode::Stall);
    vec![
        [hang, flood, large]
            .map(|trial| trial.with_memory(limit))
            .into(),
    ]
}

/// The process without load: idle memory and time to start.
pub(super) fn process() -> Vec<Trial> {
    let trial = |name: &str, kind: Kind| Trial {
        cell: name.to_owned(),
        kind,
        ..Trial::traffic(Relay(3), P50KB, 1.0)
    };
    vec![trial("idle", Kind::Idle), trial("start", Kind::Start)]
}

/// A relay with little memory, as a sidecar. A pod sends some profiles every ten seconds; this load is a busy pod's.
pub(super) fn sidecar() -> Vec<Trial> {
    let relay = Trial::traffic(Relay(3), Shape::open(50 * KB, 50.0), 10.0);
    let hang = relay.clone().with_last("sidecar-hang", Mode::Hang);
    let trials = [relay.named("sidecar"), hang];
    trials.map(|trial| trial.with_memory_apart(24 * MIB)).into()
}

/// Bodies of all sizes and framings, of which every byte is checked.
pub(super) fn exact() -> Vec<Trial> {
    let sizes = [0, 2 * KB, 50 * KB, 5 * MB];
    let sized = sizes.map(|size| (size, Style::Length));
    let styles = [(50 * KB, Style::Chunked), (50 * KB, Style::Expect)];
    let trials = sized.into_iter().chain(styles).map(|(size, style)| {
        let shape = Shape {
            connections: 4,
            style,
            count: Some(40),
            ..Shape::open(size, 40.0)
        };
        Trial {
            healthy: Mode::Verify,
            cell: format!("exact:{}-{}", shape.name(), style.name()),
            ..Trial::traffic(Relay(1), shape, 2.0)
        }
    });
    trials.collect()
}

pub(super) fn ci() -> Vec<Vec<Trial>> {
    let coarse = Shape::open(50 * KB, 200.0);
    let small = sick(&SICK[..6], coarse, 2.0);
    let large = sick(&[Mode::Hang, Mode::Stall], Shape::open(5 * MB, 4.0), 2.0);
    let ratio = cell(&[Bare(0), Bare(3), Relay(0), Relay(3)], coarse, 3.0);
    vec![small, large, ratio, exact(), process(), sidecar()]
}

pub(super) fn growth() -> Vec<Vec<Trial>> {
    let targets = [1, 2, 4, 8, 16, 32].map(Relay);
    let slow = Shape::open(50 * KB, 100.0);
    let connections = [100, 1_000, 10_000].map(|connections| {
        let shape = Shape {
            connections,
            ..Shape::open(2 * KB, 500.0)
        };
        Trial::traffic(Relay(1), shape, 5.0).named(&format!("connections-{connections}"))
    });
    let targets = cell(&targets, slow, 5.0)
        .into_iter()
        .map(|trial| trial.named("targets"));
    vec![targets.collect(), connections.into()]
}

pub(super) fn spool(gib: f64, into: &Path) -> Vec<Trial> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size from the command line"
    )]
    let bytes = (gib * 1024.0 * MIB as f64) as u64;
    let shape = Shape::open(50 * KB, 200.0);
    let trial = Trial::traffic(Relay(1), shape, 5.0).with_last("spool", Mode::Dead);
    vec![trial.of_kind(Kind::Spool(into.to_path_buf(), bytes))]
}
