//! Lines between tiles.

use super::layout::Rect;
use super::picture::{Link, Picture};

/// A cubic curve from one tile's side to another's.
#[derive(Clone, Copy, Debug)]
pub struct Curve {
    pub link: Link,
    /// Start, the two control points, end.
    pub points: [(i64, i64); 4],
}

/// The curve of each link, in a picture of this width.
pub fn curves(picture: &Picture, rects: &[Rect], width: i64) -> Vec<Curve> {
    let curve = |&link: &Link| Curve { link, points: curve(rects[link.from], rects[link.to], width) };
    picture.links.iter().map(curve).collect()
}

/// It leaves each tile on the side that looks to the other; if one is above the other, on the same side of both.
fn curve(from: Rect, to: Rect, width: i64) -> [(i64, i64); 4] {
    let (middle_from, middle_to) = (from.y + from.height / 2, to.y + to.height / 2);
    let beside = [from, to].map(|rect| (rect.x, rect.x + rect.width));
    let (start, end, turn, most) = match beside {
        [(_, start), (end, _)] if start <= end => (start, end, (1, -1), end.min(width - start)),
        [(start, _), (_, end)] if end <= start => (start, end, (-1, 1), start.min(width - end)),
        // It turns back: that takes room beside both, of which a curve uses three quarters.
        [(left, right), (other_left, other_right)] => {
            let room = (left.min(other_left), width - right.max(other_right));
            if room.1 >= room.0 { (right, other_right, (1, 1), room.1) } else { (left, other_left, (-1, -1), room.0) }
        }
    };
    let reach = ((end - start).abs() / 2).max((middle_to - middle_from).abs() / 4).clamp(24, 400).min(most);
    let turned = [(start + turn.0 * reach, middle_from), (end + turn.1 * reach, middle_to)];
    [(start, middle_from), turned[0], turned[1], (end, middle_to)]
}
