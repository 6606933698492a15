//! The drawing: two fields with logarithmic axes, in colours for light and dark pages.

use std::fmt::Write as _;

use super::{Heap, Point};

/// Of one field, within its axes.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 44.0;
/// From one field to the next.
const PITCH: f64 = 400.0;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.axis { stroke: #8c959f; fill: none; }
.grid { stroke: #d0d7de; fill: none; }
.a { stroke: #0969da; fill: #0969da; } .b { stroke: #bc4c00; fill: #bc4c00; }
text.a, text.b { stroke: none; }
polyline { fill: none !important; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .axis { stroke: #848d97; } .grid { stroke: #30363d; }
  .a { stroke: #58a6ff; fill: #58a6ff; } .b { stroke: #f0883e; fill: #f0883e; }
}
";

/// A line of a field: its name, and its value where it has one.
type Line<'a> = (&'a str, &'a dyn Fn(&Point) -> Option<f64>);

/// CPU on the left, memory on the right.
pub(super) fn draw(points: &[Point]) -> String {
    let (width, height) = (2.0 * PITCH + 20.0, TOP + HEIGHT + 56.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"CPU and memory of an engine by the number of peers and functions it knows\">\n\
         <style>{STYLE}</style>\n"
    );
    let heap = |of: fn(Heap) -> f64| move |point: &Point| point.heap.map(of);
    let (call, hello) = (|point: &Point| Some(point.call), |point: &Point| Some(point.hello));
    let (peer, function) = (heap(|heap| heap.peer), heap(|heap| heap.function));
    field(
        &mut out,
        0.0,
        "CPU, microseconds",
        points,
        [("a call", &call), ("a hello received", &hello)],
    );
    field(
        &mut out,
        PITCH,
        "heap, bytes",
        points,
        [("for a peer", &peer), ("for a function", &function)],
    );
    out += "</svg>\n";
    out
}

fn field(out: &mut String, x: f64, head: &str, points: &[Point], lines: [Line<'_>; 2]) {
    let values: Vec<f64> = lines.iter().flat_map(|(_, of)| points.iter().filter_map(of)).collect();
    let least = values.iter().copied().fold(f64::MAX, f64::min);
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    let (Some(first), Some(last), true) =
        (points.first(), points.last(), least > 0.0 && most < 1e12)
    else {
        return;
    };
    let across =
        Axis::of(f64::from(first.peers), f64::from(last.peers), LEFT + x, LEFT + x + WIDTH);
    let up = Axis::of(least, most, TOP + HEIGHT, TOP);
    let _ = writeln!(out, "<text class=\"head\" x=\"{}\" y=\"18\">{head}</text>", LEFT + x);
    for (value, at) in up.ticks() {
        let (from, to) = (LEFT + x, LEFT + x + WIDTH);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{from} {at:.1}H{to}\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            from - 8.0,
            at + 4.0
        );
    }
    for (value, at) in across.ticks() {
        let y = TOP + HEIGHT + 20.0;
        let _ =
            writeln!(out, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{value}</text>");
    }
    let (left, bottom) = (LEFT + x, TOP + HEIGHT);
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{left} {TOP}V{bottom}H{}\"/>", left + WIDTH);
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">peers and functions known</text>",
        left + WIDTH / 2.0,
        bottom + 42.0
    );
    for ((name, of), class) in lines.iter().zip(["a", "b"]) {
        let places: Vec<_> = points
            .iter()
            .filter_map(|point| Some((across.place(f64::from(point.peers)), up.place(of(point)?))))
            .collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", path.join(" "));
        for (x, y) in &places {
            let _ =
                writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        if let Some((x, y)) = places.last() {
            let _ = writeln!(
                out,
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                y - 9.0
            );
        }
    }
}

/// A logarithmic axis from one whole power of ten to another.
struct Axis {
    first: i32,
    last: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(least: f64, most: f64, from: f64, to: f64) -> Self {
        let first = least.log10().floor() as i32;
        Self { first, last: (most.log10().ceil() as i32).max(first + 1), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.from + part * (self.to - self.from)
    }

    /// Powers of ten, and where they stand.
    fn ticks(&self) -> Vec<(String, f64)> {
        let tick = |power: i32| {
            let value = 10_f64.powi(power);
            (format!("{value}"), self.place(value))
        };
        (self.first..=self.last).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_stand_at_equal_distances_and_every_point_within() {
        let axis = Axis::of(3.0, 700.0, 0.0, 300.0);
        let ticks = axis.ticks();
        let names: Vec<_> = ticks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["1", "10", "100", "1000"]);
        assert!(
            ticks.iter().zip([0.0, 100.0, 200.0, 300.0]).all(|((_, at), to)| (at - to).abs() < 0.1)
        );
        assert!((0.0..300.0).contains(&axis.place(3.0)));
    }

    #[test]
    fn both_fields_are_drawn() {
        let point = |peers: u32, call| {
            let heap = Some(Heap { peer: 1500.0, function: 200.0 });
            Point { peers, functions: 1, call, hello: 2.0, heap }
        };
        let drawn = draw(&[point(10, 5.0), point(100, 6.0)]);
        assert_eq!(drawn.matches("<polyline").count(), 4);
        assert_eq!(drawn.matches("<circle").count(), 8);
    }
}
