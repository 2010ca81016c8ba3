//! The comparisons as a picture: how many times what informerd uses each peer uses, on a logarithmic
//! scale, as SVG.

use std::fmt::Write as _;

use crate::figures::{Comparison, FIGURES};

/// Draws a bar for each; those of a figure stand together. Figures that are ratios themselves are
/// left out.
pub(crate) fn svg(title: &str, comparisons: &[Comparison]) -> String {
    let figures = || FIGURES.iter().filter(|figure| !figure.name.ends_with("_over_steady"));
    let drawn = || {
        let names = || figures().map(|figure| figure.name);
        comparisons.iter().filter(move |it| names().any(|name| name == it.figure))
    };
    let factors = || drawn().map(|it| 1.0 / it.ratio).filter(|factor| factor.is_finite());
    let least = factors().fold(1.0, f64::min).log10().floor();
    let most = factors().fold(10.0, f64::max).log10().ceil();
    let x = |factor: f64| {
        let place = (factor.log10() - least) / (most - least);
        LEFT + place.clamp(0.0, 1.0) * PLOT
    };

    let mut body = String::new();
    let mut y = TOP;
    for figure in figures() {
        y += ROW * 1.5;
        text(&mut body, 8.0, y - 4.0, "bold", figure.title);
        for it in drawn().filter(|it| it.figure == figure.name) {
            let factor = 1.0 / it.ratio;
            let (one, end) = (x(1.0), x(factor));
            let (begin, width) = (one.min(end), (one - end).abs());
            let colour = colour(it);
            let _ = writeln!(
                body,
                r#"<rect x="{begin:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" fill="{colour}"/>"#
            );
            text(&mut body, 16.0, y + 11.0, "normal", &it.peer.name());
            text(&mut body, one.max(end) + 4.0, y + 11.0, "normal", &format!("{factor:.2} ×"));
            y += ROW;
        }
    }

    let (width, height) = (LEFT + PLOT + RIGHT, y + ROW);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut picture, 8.0, 18.0, "bold", title);
    for exponent in least as i32..=most as i32 {
        let factor = 10_f64.powi(exponent);
        let (x, colour) = (x(factor), if exponent == 0 { "black" } else { "#ddd" });
        let _ = writeln!(
            picture,
            r#"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{y:.1}" stroke="{colour}"/>"#
        );
        text(&mut picture, x + 3.0, TOP, "normal", &format!("{factor} ×"));
    }
    picture + &body + "</svg>\n"
}

fn text(out: &mut String, x: f64, y: f64, weight: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" font-weight="{weight}">{content}</text>"#);
}

/// One for each library.
fn colour(comparison: &Comparison) -> &'static str {
    if comparison.peer.is_client_go() { "#00add8" } else { "#dea584" }
}

const TOP: f64 = 40.0;
const ROW: f64 = 18.0;
const BAR: f64 = 14.0;
const LEFT: f64 = 190.0;
const PLOT: f64 = 480.0;
const RIGHT: f64 = 70.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Subject;

    #[test]
    fn a_bar_is_as_long_as_its_factor() {
        let comparison = |peer, ratio| Comparison {
            figure: "cpu_per_update",
            peer,
            ours: 1.0,
            theirs: 1.0 / ratio,
            ratio,
        };
        let two =
            [comparison(Subject::ClientGoDynamic, 0.1), comparison(Subject::KubeRsMetadata, 0.01)];
        let picture = svg("a < b", &two);
        assert!(picture.contains("a &lt; b"), "{picture}");
        assert!(picture.contains(r#"width="240.0""#), "half of two decades: {picture}");
        assert!(picture.contains(r#"width="480.0""#), "all of them: {picture}");
    }
}
