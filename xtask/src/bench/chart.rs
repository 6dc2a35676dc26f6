//! Charts as SVG, in light and dark colors.

use std::fmt::Write as _;

use super::cases::{CASES, Kind};
use super::report::{Report, rounded};

/// Colors of the series, for a light and for a dark background.
const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 3 }
.back { fill: #ffffff }
.grid { stroke: #d0d7de }
.s0 { fill: #0969da; stroke: #0969da }
.s1 { fill: #bc4c00; stroke: #bc4c00 }
.s2 { fill: #8c959f; stroke: #8c959f }
.mark { stroke: #24292f; stroke-width: 2 }
path { fill: none !important; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.label { stroke: #0d1117 }
.back { fill: #0d1117 }
.grid { stroke: #30363d }
.s0 { fill: #4493f8; stroke: #4493f8 }
.s1 { fill: #db6d28; stroke: #db6d28 }
.s2 { fill: #6e7681; stroke: #6e7681 }
.mark { stroke: #e6edf3 }
}
";

const BARS: [(&str, &str); 3] = [
    ("ours-tuned", "this project, tuned"),
    ("socketioxide-tuned", "socketioxide, tuned"),
    ("node", "Node"),
];
/// Positions of the bar chart.
const LEFT: f64 = 330.0;
const WIDTH: f64 = 440.0;
const ROW: f64 = 46.0;

/// Bars of the cost in each server case, relative to the largest. A mark shows the floor.
pub(super) fn bars(report: &Report) -> String {
    let cases = CASES.iter().filter(|case| {
        matches!(case.kind, Kind::Load(_))
            && case.unit == "µs"
            && BARS.iter().all(|(name, _)| report.cost(case, name).is_some())
    });
    let mut body = String::new();
    let mut y = 64.0;
    for case in cases {
        let costs = BARS.map(|(name, _)| report.cost(case, name).unwrap_or_default());
        let most = costs.into_iter().fold(f64::MIN_POSITIVE, f64::max);
        let middle = y + 21.0;
        let _ = writeln!(
            body,
            r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#,
            LEFT - 10.0,
            case.title
        );
        let mut labels = String::new();
        for (index, cost) in costs.into_iter().enumerate() {
            let (width, top) = (cost / most * WIDTH, y + 12.0 * index as f64);
            let _ = writeln!(
                body,
                r#"<rect class="s{index}" x="{LEFT}" y="{top:.0}" width="{width:.1}" height="9"/>"#
            );
            let _ = writeln!(
                labels,
                r#"<text class="small label" x="{:.1}" y="{:.0}">{} µs</text>"#,
                LEFT + width + 5.0,
                top + 9.0,
                rounded(cost)
            );
        }
        if let Some(floor) = report.cost(case, "floor") {
            let x = LEFT + floor / most * WIDTH;
            let _ = writeln!(
                body,
                r#"<path class="mark" d="M{x:.1} {:.0}V{:.0}"/>"#,
                y - 3.0,
                y + 36.0
            );
        }
        // Above the mark of the floor, which would cross them.
        body += &labels;
        y += ROW;
    }
    let legend = legend(&BARS.map(|(_, title)| title), LEFT, 42.0)
        + &format!(
            r#"<path class="mark" d="M{} 32V44"/><text class="small" x="{}" y="42">floor</text>"#,
            LEFT + 400.0,
            LEFT + 406.0
        );
    let title = "CPU time of the server per message or delivery (shorter is better)";
    document(850.0, y + 6.0, title, &(legend + &body))
}

/// One line of a plot.
pub(super) struct Line {
    pub(super) title: &'static str,
    /// Pairs of a number (of clients, for instance) and a value.
    pub(super) points: Vec<(f64, f64)>,
}

/// Two plots beside each other, over logarithmic axes.
pub(super) fn plots(title: &str, plots: [(&str, Vec<Line>); 2]) -> String {
    let mut body = String::new();
    for ((name, lines), left) in plots.into_iter().zip([70.0, 490.0]) {
        let _ = writeln!(body, r#"<text x="{left}" y="56">{name}</text>"#);
        let titles: Vec<_> = lines.iter().map(|line| line.title).collect();
        body += &legend(&titles, left, 76.0);
        body += &plot(&lines, left);
    }
    document(860.0, 350.0, title, &body)
}

/// Lines over a logarithmic axis of clients.
fn plot(lines: &[Line], left: f64) -> String {
    let (top, bottom, width) = (96.0, 310.0, 320.0);
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    let least = points().map(|(clients, _)| *clients).fold(f64::MAX, f64::min).max(1.0);
    let largest = points().map(|(clients, _)| *clients).fold(1.0, f64::max);
    let range = (largest / least).log10().max(0.1);
    let x = |clients: f64| left + (clients / least).log10() / range * width;
    let y = |value: f64| bottom - value / most * (bottom - top);
    let mut body = String::new();
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let _ = writeln!(
            body,
            r#"<path class="grid" d="M{left} {0:.1}h{width}"/><text class="small" x="{1}" y="{2:.1}" text-anchor="end">{3}</text>"#,
            y(value),
            left - 6.0,
            y(value) + 4.0,
            rounded(value)
        );
    }
    let mut ticks: Vec<_> = points().map(|(clients, _)| *clients).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for clients in ticks {
        let text = if clients >= 1e6 {
            format!("{} M", clients / 1e6)
        } else if clients >= 1e3 {
            format!("{} k", clients / 1e3)
        } else {
            clients.to_string()
        };
        let _ = writeln!(
            body,
            r#"<text class="small" x="{:.1}" y="330" text-anchor="middle">{text}</text>"#,
            x(clients)
        );
    }
    for (index, line) in lines.iter().enumerate() {
        let mut path = String::new();
        for (at, (clients, value)) in line.points.iter().enumerate() {
            let _ = write!(
                path,
                "{}{:.1} {:.1}",
                if at == 0 { 'M' } else { 'L' },
                x(*clients),
                y(*value)
            );
            let _ = writeln!(
                body,
                r#"<circle class="s{index}" cx="{:.1}" cy="{:.1}" r="3"/>"#,
                x(*clients),
                y(*value)
            );
        }
        let _ = writeln!(body, r#"<path class="s{index}" d="{path}"/>"#);
    }
    body
}

/// Plots below each other, each of one line over seconds.
pub(crate) fn timeline(title: &str, plots: &[(&str, Vec<(f64, f64)>)]) -> String {
    let (left, width, height) = (70.0, 760.0, 90.0);
    let mut body = String::new();
    let mut top = 64.0;
    for (name, points) in plots {
        let last = points.last().map_or(1.0, |(seconds, _)| seconds.max(1.0));
        let most = points.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        let y = |value: f64| top + height * (1.0 - value / most);
        let _ = writeln!(body, r#"<text x="{left}" y="{}">{name}</text>"#, top - 10.0);
        for value in [0.0, most / 2.0, most] {
            let _ = writeln!(
                body,
                r#"<path class="grid" d="M{left} {0:.1}h{width}"/><text class="small" x="{1}" y="{2:.1}" text-anchor="end">{3}</text>"#,
                y(value),
                left - 6.0,
                y(value) + 4.0,
                rounded(value)
            );
        }
        let mut path = String::new();
        for (at, (seconds, value)) in points.iter().enumerate() {
            let begin = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{begin}{:.1} {:.1}", left + seconds / last * width, y(*value));
        }
        let _ = writeln!(
            body,
            r#"<path class="s0" d="{path}"/><text class="small" x="{}" y="{}" text-anchor="end">{} min</text>"#,
            left + width,
            top + height + 14.0,
            rounded(last / 60.0)
        );
        top += height + 50.0;
    }
    document(860.0, top - 20.0, title, &body)
}

fn legend(titles: &[&str], left: f64, y: f64) -> String {
    let mut text = String::new();
    let mut x = left;
    for (index, title) in titles.iter().enumerate() {
        let _ = writeln!(
            text,
            r#"<rect class="s{index}" x="{x}" y="{}" width="10" height="10"/><text class="small" x="{}" y="{y}">{title}</text>"#,
            y - 9.0,
            x + 14.0
        );
        x += 34.0 + 6.2 * title.len() as f64;
    }
    text
}

fn document(width: f64, height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n\
         <text x=\"20\" y=\"24\">{title}</text>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_has_a_line_per_plot_within_its_frame() {
        let plots = [("memory", vec![(0.0, 10.0), (60.0, 20.0)]), ("tasks", vec![(0.0, 0.0)])];
        let text = timeline("Soak", &plots);
        assert!(text.contains(r#"<path class="s0" d="M70.0 109.0L830.0 64.0"/>"#), "{text}");
        assert_eq!(text.matches(r#"class="s0""#).count(), 2);
        assert!(text.contains(">1.00 min<"), "{text}");
    }
}
