//! Pictures: latency while a target hangs, and the cost of a request with more targets.

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::{
        combinators::IntoLogRange as _,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    drawing::IntoDrawingArea as _,
    element::{PathElement, Rectangle},
    prelude::{LineSeries, SVGBackend},
    series::DashedLineSeries,
    style::{BLACK, Color as _, RGBColor, WHITE},
};

use super::stats::spread;
use crate::run::Results;

const SIZE: (u32, u32) = (960, 420);
const FONT: &str = "sans-serif";

// The colours differ in lightness too, so that colour-blind readers can distinguish them.
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 90, 181),
    RGBColor(192, 28, 40),
    RGBColor(245, 163, 80),
];

/// A line of a picture.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws the slowest response of every tenth of a second while the third of three targets hangs. Without results,
/// draws nothing.
pub(super) fn timeline(path: &Path, results: &Results) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (name, candidate) in [
        ("pyrotee", "relay-3"),
        ("nginx", "nginx-3"),
        ("Envoy", "envoy-3"),
    ] {
        let outcomes = results.of(candidate);
        let timelines = outcomes.filter(|outcome| outcome.cell.starts_with("timeline:"));
        let points = timelines.last().map(|outcome| {
            outcome
                .windows
                .iter()
                .map(|window| (window.at, window.max.max(0.05)))
        });
        let points: Vec<_> = points.into_iter().flatten().collect();
        if !points.is_empty() {
            all.push(Series {
                name: name.to_owned(),
                points,
            });
        }
    }
    let end = furthest(&all, |point| point.0);
    let top = furthest(&all, |point| point.1).max(1.0) * 2.0;
    // In the set of timelines, the target hangs for the second third of the trial.
    let shade = (end / 3.0, end * 2.0 / 3.0);
    let axes = (
        "time, s; the third target hangs in the grey",
        "slowest response in a tenth of a second, ms",
    );
    draw(
        path,
        &all,
        0.0..end,
        (0.05..top).log_scale(),
        Some((shade, (0.05, top))),
        axes,
    )
}

/// Draws the CPU of a request over the number of targets.
pub(super) fn growth(path: &Path, results: &Results) -> anyhow::Result<()> {
    let mut points = Vec::new();
    for targets in [1_u32, 2, 4, 8, 16, 32] {
        let candidate = format!("relay-{targets}");
        let outcomes = results.of(&candidate);
        let cells = outcomes.filter(|outcome| outcome.cell.starts_with("targets:"));
        let cpu = spread(cells.filter_map(|outcome| outcome.figures.get("cpu_ms").copied()));
        points.extend(cpu.map(|cpu| (f64::from(targets), cpu.median)));
    }
    let all = match points.is_empty() {
        true => Vec::new(),
        false => vec![Series {
            name: "pyrotee".to_owned(),
            points,
        }],
    };
    let end = furthest(&all, |point| point.0) + 1.0;
    let top = furthest(&all, |point| point.1) * 1.2;
    draw(
        path,
        &all,
        0.0..end,
        0.0..top,
        None,
        ("targets", "CPU of a request and its copies, ms"),
    )
}

fn furthest(all: &[Series], of: impl Fn(&(f64, f64)) -> f64) -> f64 {
    all.iter()
        .flat_map(|series| &series.points)
        .map(of)
        .fold(0.0, f64::max)
}

fn draw<Y>(
    path: &Path,
    all: &[Series],
    x: std::ops::Range<f64>,
    y: Y,
    shade: Option<((f64, f64), (f64, f64))>,
    (x_desc, y_desc): (&str, &str),
) -> anyhow::Result<()>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    if all.is_empty() {
        return Ok(());
    }
    let fail = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| fail(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)
        .map_err(|error| fail(&error))?;
    if let Some(((left, right), (low, high))) = shade {
        let grey = Rectangle::new([(left, low), (right, high)], BLACK.mix(0.08).filled());
        chart.draw_series([grey]).map_err(|error| fail(&error))?;
    }
    let mesh = chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.0))
        .bold_line_style(BLACK.mix(0.12))
        .y_label_formatter(&|value: &f64| format!("{value}"))
        .x_desc(x_desc)
        .y_desc(y_desc)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw();
    mesh.map_err(|error| fail(&error))?;
    for (series, colour) in all.iter().zip(COLOURS) {
        let style = colour.stroke_width(2);
        let points = series.points.iter().copied();
        // The relay's line is solid.
        let drawn = if colour == COLOURS[0] {
            chart.draw_series(LineSeries::new(points, style))
        } else {
            chart.draw_series(DashedLineSeries::new(points, 6, 3, style))
        };
        drawn
            .map_err(|error| fail(&error))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    let key = chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw();
    key.map_err(|error| fail(&error))?;
    root.present().map_err(|error| fail(&error))
}
