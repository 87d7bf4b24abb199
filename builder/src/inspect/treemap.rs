//! A tree map: areas of the compressed /usr by owner, as SVG without scripts or fonts.
//!
//! The layout is "squarified" (Bruls, Huizing, van Wijk 2000): rows along the shorter
//! side, each filled as long as its areas get closer to squares.

use std::fmt::Write as _;

use crate::progress::bytes;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 800.0;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// The map of owners and their bytes, largest first.
pub fn svg(title: &str, owners: &[(String, u64)]) -> String {
    let total: u64 = owners.iter().map(|(_, n)| n).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\">\n\
         <text x=\"4\" y=\"18\" font-size=\"15\">{} — {}</text>\n",
        HEIGHT + 24.0,
        escape(title),
        bytes(total)
    );
    let sizes: Vec<f64> = owners.iter().map(|(_, n)| share(*n, total) * WIDTH * HEIGHT).collect();
    for ((owner, size), area) in owners.iter().zip(squarify(&sizes)) {
        let label = owner.split_once(' ').map_or(owner.as_str(), |(_, name)| name);
        let Area { x, y, w, h } = area;
        let y = y + 24.0;
        let _ = write!(
            out,
            "<g><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"hsl({} 45% 72%)\" \
             stroke=\"#fff\"/><title>{}: {} ({:.1} %)</title>",
            hue(owner),
            escape(owner),
            bytes(*size),
            share(*size, total) * 100.0
        );
        // About 7 units a letter at this size.
        let room = w / 7.0;
        if h > 16.0 && room > 4.0 {
            let shown: String = label
                .chars()
                .scan(0.0, |n, c| {
                    *n += 1.0;
                    (*n < room).then_some(c)
                })
                .collect();
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\">{}</text>",
                x + 3.0,
                y + 13.0,
                escape(&shown)
            );
            if h > 32.0 {
                let _ = write!(
                    out,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{}</text>",
                    x + 3.0,
                    y + 26.0,
                    bytes(*size)
                );
            }
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

/// A page with the map and a table of all owners.
pub fn html(title: &str, owners: &[(String, u64)]) -> String {
    let rows: String = owners
        .iter()
        .map(|(owner, size)| {
            format!("<tr><td>{}</td><td>{size}</td><td>{}</td></tr>\n", escape(owner), bytes(*size))
        })
        .collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n\
         <style>body{{font-family:sans-serif;max-width:75em;margin:auto}}td{{padding:0 1em}}td+td{{text-align:right}}</style>\n\
         {1}<table>\n<tr><th>in /usr<th>bytes, compressed<th></tr>\n{rows}</table>\n",
        escape(title),
        svg(title, owners)
    )
}

// Sizes far below 2^53, and a picture.
#[allow(clippy::cast_precision_loss)]
fn share(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}

/// A colour that is the same in every picture.
fn hue(name: &str) -> u32 {
    name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 360
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Areas of these sizes, which are sorted and add up to the whole.
fn squarify(sizes: &[f64]) -> Vec<Area> {
    let mut areas = Vec::with_capacity(sizes.len());
    let mut free = Area { x: 0.0, y: 0.0, w: WIDTH, h: HEIGHT };
    let mut rest = sizes;
    while !rest.is_empty() {
        let side = free.w.min(free.h).max(1e-9);
        let mut n = 1;
        while n < rest.len() && worst(&rest[..=n], side) <= worst(&rest[..n], side) {
            n += 1;
        }
        let (row, later) = rest.split_at(n);
        let depth = row.iter().sum::<f64>() / side;
        let mut at = 0.0;
        for size in row {
            let long = if depth > 0.0 { size / depth } else { 0.0 };
            areas.push(match free.w >= free.h {
                true => Area { x: free.x, y: free.y + at, w: depth, h: long },
                false => Area { x: free.x + at, y: free.y, w: long, h: depth },
            });
            at += long;
        }
        match free.w >= free.h {
            true => (free.x, free.w) = (free.x + depth, (free.w - depth).max(0.0)),
            false => (free.y, free.h) = (free.y + depth, (free.h - depth).max(0.0)),
        }
        rest = later;
    }
    areas
}

/// How far the worst area of a row is from a square.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let of = |size: f64| (side * side * size / (sum * sum)).max(sum * sum / (side * side * size));
    row.iter().map(|size| of(*size)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_fill_the_picture_in_proportion() {
        let sizes: Vec<f64> =
            [50.0, 25.0, 12.5, 6.25, 6.25].iter().map(|p| p / 100.0 * WIDTH * HEIGHT).collect();
        let areas = squarify(&sizes);
        for (area, size) in areas.iter().zip(&sizes) {
            assert!((area.w * area.h - size).abs() < 1e-3, "{area:?} {size}");
            assert!(area.x >= 0.0 && area.x + area.w <= WIDTH + 1e-6 && area.y + area.h <= HEIGHT + 1e-6);
        }
        for (i, a) in areas.iter().enumerate() {
            for b in &areas[i + 1..] {
                let apart = a.x + a.w <= b.x + 1e-6
                    || b.x + b.w <= a.x + 1e-6
                    || a.y + a.h <= b.y + 1e-6
                    || b.y + b.h <= a.y + 1e-6;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn names_cannot_break_the_picture() {
        let picture =
            svg("<x> & \"y\"", &[("package <script>".to_owned(), 10), ("package none".to_owned(), 0)]);
        assert!(!picture.contains("<script>") && picture.contains("&lt;script&gt;"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }
}
