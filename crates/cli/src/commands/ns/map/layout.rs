//! Where everything goes: boxes around what is in them, from the inside out. All in whole pixels, so that the same machine gives
//! the same picture everywhere.

use super::legend::Legend;
use super::measure::{Face, width};
use super::pack::{Packed, Size, cost, pack};
use super::picture::{Picture, Tile, TileId, What};
use super::style::{Style, leading, style};
use super::wires::{Curve, curves};

/// How many times wider than high, in tenths.
const ASPECT: i64 = 16;
/// A picture of this width is shown in its own size. Where it is wider, titles are larger, to be read from afar.
const SCREEN: i64 = 1600;

/// Between columns.
const COLUMNS: i64 = 12;

/// A picture with places for all of it.
pub struct Layout<'a> {
    pub picture: &'a Picture,
    pub size: Size,
    /// One for each tile.
    pub rects: Vec<Rect>,
    pub texts: Vec<Text<'a>>,
    /// One for each link.
    pub curves: Vec<Curve>,
    pub legend: Legend,
}

/// A tile's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    pub x: i64,
    pub y: i64,
    pub width: i64,
    pub height: i64,
}

/// A line of text: where its baseline starts.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub tile: TileId,
    pub is_title: bool,
    pub x: i64,
    pub y: i64,
    pub face: Face,
    pub size: i64,
    pub text: &'a str,
}

/// Finds the places. The boxes in the top ones are tried in several shapes, for the best one of the whole.
pub fn lay_out(picture: &Picture) -> Layout<'_> {
    let parents = picture.parents();
    let shapes = [10, 13, 16, 20, 25, 32].into_iter().map(|aspect| Measured::best_titles(picture, &parents, aspect));
    let cost = |measured: &Measured<'_, '_>| cost(measured.sizes[0], ASPECT);
    let best = shapes.min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let mut measured = best.unwrap_or_else(|| Measured::best_titles(picture, &parents, ASPECT));
    let rects = measured.rects();
    let texts = measured.texts(&rects);
    let curves = curves(picture, &rects, measured.sizes[0].width);
    Layout { picture, size: measured.sizes[0], rects, texts, curves, legend: measured.legend }
}

/// How much larger than a screen, at least 100.
fn percent(size: Size) -> i64 {
    (size.width * 100 / SCREEN).max(size.height * 10 * ASPECT / SCREEN).max(100)
}

/// How large everything is, and where in its box.
struct Measured<'a, 'b> {
    picture: &'a Picture,
    parents: &'b [TileId],
    /// The shape of the boxes in the top ones.
    aspect: i64,
    /// How much larger than usual titles may be.
    percent: i64,
    sizes: Vec<Size>,
    titles: Vec<i64>,
    /// Where in its parent.
    places: Vec<(i64, i64)>,
    legend: Legend,
}

impl<'a, 'b> Measured<'a, 'b> {
    /// With larger titles where the picture has to be seen from afar.
    fn best_titles(picture: &'a Picture, parents: &'b [TileId], aspect: i64) -> Self {
        let first = Self::new(picture, parents, aspect, 100);
        let percent = percent(first.sizes[0]) * 8 / 10;
        if percent > 110 { Self::new(picture, parents, aspect, percent.min(220)) } else { first }
    }

    fn new(picture: &'a Picture, parents: &'b [TileId], aspect: i64, percent: i64) -> Self {
        let count = picture.tiles.len();
        let mut measured = Self {
            picture,
            parents,
            aspect,
            percent,
            sizes: vec![Size::default(); count],
            titles: vec![0; count],
            places: vec![(0, 0); count],
            legend: Legend::default(),
        };
        // Children come after their parents in the list, so that all of them are measured before.
        (0..count).rev().for_each(|id| measured.measure(id));
        measured
    }

    fn measure(&mut self, id: TileId) {
        let tile = &self.picture.tiles[id];
        let style = style(tile.what);
        let packed = self.pack_children(id, &style);
        self.titles[id] = self.title_size(tile, &style, packed.size);
        let text = tile.lines.iter().map(|line| width(line, style.line.0, style.line.1));
        let title = width(&tile.title, style.title.0, self.titles[id]);
        let mut inner = text.chain([title, packed.size.width]).max().unwrap_or(0);
        if id == 0 {
            self.legend = Legend::new(self.picture, inner, percent(packed.size));
            inner = inner.max(self.legend.size.width);
        }
        let header = self.header(id, &style);
        for (&child, place) in tile.children.iter().zip(&packed.places) {
            self.places[child] = (style.left + place.0, header + place.1);
        }
        let height = header + packed.size.height + style.pad;
        self.sizes[id] = Size { width: style.left + inner + style.pad, height };
    }

    fn pack_children(&mut self, id: TileId, style: &Style) -> Packed {
        let tile = &self.picture.tiles[id];
        let sizes: Vec<Size> = tile.children.iter().map(|&child| self.sizes[child]).collect();
        let rows =
            tile.children.first().is_some_and(|&child| matches!(self.picture.tiles[child].what, What::Process(_)));
        let packed = match tile.what {
            What::List => columns(&sizes, if rows { 0 } else { style.gap }),
            _ if id != 0 && self.parents[self.parents[id]] == 0 && self.parents[id] != 0 => {
                pack(&sizes, style.gap, self.aspect)
            }
            _ => pack(&sizes, style.gap, ASPECT),
        };
        for (&child, &size) in tile.children.iter().zip(&packed.sizes) {
            self.sizes[child] = size;
        }
        packed
    }

    /// Titles of large boxes are larger, but don't make their boxes larger.
    fn title_size(&self, tile: &Tile, style: &Style, content: Size) -> i64 {
        let usual = style.title.1;
        if tile.what == What::Machine {
            return usual * percent(content) / 100;
        }
        let content = content.width;
        if !style.grows || content == 0 {
            return usual;
        }
        let percent = if style.leads { self.percent } else { 100 };
        let wanted = (usual * percent / 100).max(content / 60);
        let widest = content * 1000 / width(&tile.title, style.title.0, 1000).max(1);
        wanted.min(widest).max(usual)
    }

    /// How high the texts are, with the room above and below them.
    fn header(&self, id: TileId, style: &Style) -> i64 {
        let tile = &self.picture.tiles[id];
        let lines = i64::try_from(tile.lines.len()).unwrap_or(0) * leading(style.line.1);
        let title = if tile.title.is_empty() { 0 } else { leading(self.titles[id]) };
        let below = if tile.children.is_empty() || title + lines == 0 { 0 } else { style.gap.min(8) };
        let legend = if id == 0 { self.legend.size.height + style.gap } else { 0 };
        style.pad + title + lines + below + legend
    }

    fn rects(&self) -> Vec<Rect> {
        let mut rects = vec![Rect::default(); self.sizes.len()];
        rects[0] = Rect { x: 0, y: 0, width: self.sizes[0].width, height: self.sizes[0].height };
        for (id, tile) in self.picture.tiles.iter().enumerate() {
            for &child in &tile.children {
                let (place, Size { width, height }) = (self.places[child], self.sizes[child]);
                rects[child] = Rect { x: rects[id].x + place.0, y: rects[id].y + place.1, width, height };
            }
        }
        rects
    }

    fn texts(&mut self, rects: &[Rect]) -> Vec<Text<'a>> {
        let mut texts = Vec::new();
        for (id, tile) in self.picture.tiles.iter().enumerate() {
            let (rect, style) = (rects[id], style(tile.what));
            let x = rect.x + style.left;
            let (face, size) = (style.title.0, self.titles[id]);
            let mut y = rect.y + style.pad;
            if !tile.title.is_empty() {
                texts.push(Text { tile: id, is_title: true, x, y: y + size, face, size, text: &tile.title });
                y += leading(size);
            }
            let (face, size) = style.line;
            for text in &tile.lines {
                texts.push(Text { tile: id, is_title: false, x, y: y + size, face, size, text });
                y += leading(size);
            }
            if id == 0 {
                self.legend.move_to(x, y + style.gap / 2);
            }
        }
        texts
    }
}

/// Equal things below each other, in as many columns as make a good shape.
fn columns(sizes: &[Size], gap: i64) -> Packed {
    let widest = sizes.iter().map(|size| size.width + gap).max().unwrap_or(1);
    let total: i64 = sizes.iter().map(|size| size.height + gap).sum();
    // As high as would make columns of the widest a good shape.
    let limit = (total * widest * 10 / ASPECT).isqrt();
    let highest = sizes.iter().map(|size| size.height).max().unwrap_or(0);
    let mut columns = Packed::default();
    let (mut left, mut rest) = (0, sizes);
    while !rest.is_empty() {
        let taken = fill(rest, gap, limit.max(highest));
        let (column, others) = rest.split_at(taken);
        let width = column.iter().map(|size| size.width).max().unwrap_or(0);
        columns.column(column, (left, width), gap);
        (left, rest) = (left + width + COLUMNS, others);
    }
    columns
}

/// How many fit below each other.
fn fill(sizes: &[Size], gap: i64, limit: i64) -> usize {
    let mut height = 0;
    let fits = sizes.iter().take_while(|size| {
        height += size.height + gap;
        height - gap <= limit
    });
    let count = fits.count().max(1);
    // One alone would look lost in a column of its own.
    if count + 1 == sizes.len() { sizes.len() } else { count }
}

impl Packed {
    fn column(&mut self, column: &[Size], (left, width): (i64, i64), gap: i64) {
        let mut top = 0;
        for size in column {
            self.places.push((left, top));
            self.sizes.push(Size { width, height: size.height });
            top += size.height + gap;
        }
        self.size = Size { width: left + width, height: self.size.height.max(top - gap) };
    }
}
