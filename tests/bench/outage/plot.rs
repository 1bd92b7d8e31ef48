//! Draws a run as a picture: three panels over the same time.

use std::{collections::HashSet, error::Error, ops::Range};

use plotters::{
    chart::{ChartBuilder, ChartContext, SeriesLabelPosition},
    coord::Shift,
    coord::{cartesian::Cartesian2d, types::RangedCoordf64},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{PathElement, Rectangle, Text},
    prelude::{LineSeries, SVGBackend},
    series::DashedLineSeries,
    style::{BLACK, Color, RGBColor, ShapeStyle, WHITE},
};

use super::{
    Arrival, REPLAY_RATE, Run, SIZE,
    pyroscope::{back, taken},
    report::backlog,
    watch::attempts,
};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 840;
const FONT: &str = "sans-serif";

// The colours differ in lightness, too, for readers who cannot tell the hues apart.
const BLUE: RGBColor = RGBColor(0, 90, 181);
const ORANGE: RGBColor = RGBColor(245, 163, 80);
const RED: RGBColor = RGBColor(192, 28, 40);
const GREY: RGBColor = RGBColor(150, 150, 150);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

pub(crate) fn draw(path: &str, run: &Run) -> Drawn {
    let root = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((3, 1));
    pending(&panels[0], run)?;
    sent(&panels[1], run)?;
    rate(&panels[2], run)?;
    root.present()?;
    Ok(())
}

fn pending(area: &Area<'_>, run: &Run) -> Drawn {
    let most = run.samples.iter().map(|sample| sample.pending.profiles);
    let top = most.max().unwrap_or(1) as f64 * 1.2;
    let mut chart = chart(area, run, top, "profiles pending", 0)?;
    let samples = run.samples.iter();
    let line = samples.map(|sample| (sample.at, sample.pending.profiles as f64));
    chart
        .draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?
        .label("pending")
        .legend(line_of(BLUE.stroke_width(2)));
    let attempts = attempts(&run.samples);
    let ticks = attempts.into_iter().map(|at| {
        let tick = vec![(at, 0.0), (at, top * 0.06)];
        PathElement::new(tick, RED.stroke_width(2))
    });
    chart
        .draw_series(ticks)?
        .label("connection refused")
        .legend(|(x, y)| {
            PathElement::new(vec![(x + 10, y - 5), (x + 10, y + 5)], RED.stroke_width(2))
        });
    key(&mut chart, SeriesLabelPosition::UpperRight)
}

fn sent(area: &Area<'_>, run: &Run) -> Drawn {
    let top = run.sent.len() as f64 * 1.1;
    let mut chart = chart(area, run, top, "profiles, since the start", 0)?;
    let samples = run.samples.iter();
    let accepted = samples.map(|sample| (sample.at, sample.accepted.profiles as f64));
    let style = GREY.stroke_width(2);
    chart
        .draw_series(DashedLineSeries::new(accepted, 6, 4, style))?
        .label("accepted from clients")
        .legend(line_of(style));
    let samples = run.samples.iter();
    let sent = samples.map(|sample| (sample.at, sample.sent.profiles as f64));
    chart
        .draw_series(LineSeries::new(sent, BLUE.stroke_width(2)))?
        .label("sent to the target")
        .legend(line_of(BLUE.stroke_width(2)));
    key(&mut chart, SeriesLabelPosition::MiddleLeft)
}

fn rate(area: &Area<'_>, run: &Run) -> Drawn {
    let mut chart = chart(area, run, 3.2, "arrivals at the target, MB/s", 1)?;
    let back = back(&run.target).unwrap_or(f64::INFINITY);
    let old: HashSet<_> = backlog(run, back).map(|arrival| arrival.number).collect();
    let (mut backlog, mut fresh) = (Vec::new(), Vec::new());
    let mut from = 0.0;
    while from + 1.0 <= run.ended {
        let second = from..from + 1.0;
        let middle = megabytes(run, &second, |arrival| old.contains(&arrival.number));
        let above = megabytes(run, &second, |arrival| !old.contains(&arrival.number));
        let bar = |low: f64, high: f64, colour: RGBColor| {
            let corners = [(second.start, low), (second.end, low + high)];
            Rectangle::new(corners, colour.filled())
        };
        if middle > 0.0 {
            backlog.push(bar(0.0, middle, ORANGE));
        }
        if above > 0.0 {
            fresh.push(bar(middle, above, BLUE));
        }
        from += 1.0;
    }
    for (bars, label, colour) in [
        (backlog, "backlog", ORANGE),
        (fresh, "fresh, on top of it", BLUE),
    ] {
        chart
            .draw_series(bars)?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], colour.filled()));
    }
    let limit = [(0.0, REPLAY_RATE / 1e6), (run.ended, REPLAY_RATE / 1e6)];
    let style = RED.stroke_width(1);
    chart
        .draw_series(DashedLineSeries::new(limit, 6, 4, style))?
        .label("replay-rate, for the backlog")
        .legend(line_of(style));
    key(&mut chart, SeriesLabelPosition::LowerLeft)
}

/// A panel with its axes and the outage as a shade.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    run: &Run,
    top: f64,
    what: &str,
    decimals: usize,
) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..run.ended, 0.0..top)?;
    let shade = Rectangle::new([(0.0, 0.0), (run.opened, top)], BLACK.mix(0.08).filled());
    chart.draw_series([shade])?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.0))
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(12)
        .y_labels(6)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.decimals$}"))
        .x_desc("time since the load began, s")
        .y_desc(what)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    let text = Text::new(
        "nobody listens at the target's address",
        (2.0, top * 0.95),
        (FONT, 13),
    );
    chart.draw_series([text])?;
    Ok(chart)
}

fn key<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>, place: SeriesLabelPosition) -> Drawn {
    chart
        .configure_series_labels()
        .position(place)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

fn line_of(style: ShapeStyle) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style)
}

/// Megabytes that the target accepted in one second, of the arrivals that `of` selects.
fn megabytes(run: &Run, second: &Range<f64>, of: impl Fn(&Arrival) -> bool) -> f64 {
    let arrivals = taken(&run.target).filter(|arrival| second.contains(&arrival.at));
    (arrivals.filter(|arrival| of(arrival)).count() * SIZE) as f64 / 1e6
}
