//! Putting rectangles close together.

/// How large something is, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub width: i64,
    pub height: i64,
}

/// Places for rectangles, and how much room they take together.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    pub places: Vec<(i64, i64)>,
    /// What each one takes: at least what it needs.
    pub sizes: Vec<Size>,
    pub size: Size,
}

/// Of more than this rows are made.
const FEW: usize = 4;

/// Packs them so that the whole is about so many times as wide as high (in tenths), with this gap between them.
///
/// Rows look best where all are about as high; otherwise what is small goes beside what is large. Several widths are tried, and the
/// given order, which reads better, and tall ones first, which is denser.
pub fn pack(sizes: &[Size], gap: i64, aspect: i64) -> Packed {
    let given: Vec<usize> = (0..sizes.len()).collect();
    let mut tall = given.clone();
    tall.sort_by_key(|&index| (-sizes[index].height, index));
    let tries = widths(sizes, gap, aspect).into_iter().flat_map(|width| {
        let rows = (sizes.len() > FEW).then(|| rows(sizes, &tall, gap, width));
        let rows = rows.map(|rows| (if is_full(sizes, gap, rows.size) { 0.85 } else { 1.2 }, rows));
        let strips = [(1.0, strip(sizes, &given, gap, width)), (1.12, strip(sizes, &tall, gap, width))];
        rows.into_iter().chain(strips)
    });
    let costs = tries.map(|(handicap, packed)| (cost(packed.size, aspect) * handicap, packed));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, packed)| packed).unwrap_or_default()
}

/// Is little left empty?
fn is_full(sizes: &[Size], gap: i64, whole: Size) -> bool {
    let taken: i64 = sizes.iter().map(|size| (size.width + gap) * (size.height + gap)).sum();
    taken * 100 > (whole.width + gap) * (whole.height + gap) * 82
}

/// Widths that are worth a try: around what their areas ask for, and at least as wide as the widest.
fn widths(sizes: &[Size], gap: i64, aspect: i64) -> Vec<i64> {
    let widest = sizes.iter().map(|size| size.width).max().unwrap_or(0);
    let area: i64 = sizes.iter().map(|size| (size.width + gap) * (size.height + gap)).sum();
    let ideal = (area * aspect / 10).isqrt();
    let mut widths: Vec<i64> =
        [80, 90, 97, 103, 110, 118, 127, 140, 160].iter().map(|percent| (ideal * percent / 100).max(widest)).collect();
    widths.push(widest);
    widths.dedup();
    widths
}

/// The area, and how far the shape is from the wanted one.
pub fn cost(size: Size, aspect: i64) -> f64 {
    let (width, height) = (size.width.max(1) as f64, size.height.max(1) as f64);
    let off = (width * 10.0 / height / aspect as f64).ln().abs();
    width * height * (1.0 + 0.5 * off * off + 0.15 * off)
}

/// Rows of about equal height, of which all but the last are as wide as the whole.
fn rows(sizes: &[Size], order: &[usize], gap: i64, width: i64) -> Packed {
    let mut packed = Packed { places: vec![(0, 0); sizes.len()], sizes: sizes.to_vec(), size: Size::default() };
    let (mut top, mut rest) = (0, order);
    while !rest.is_empty() {
        let mut right = 0;
        let fits = rest.iter().take_while(|&&index| {
            right += sizes[index].width + gap;
            right - gap <= width
        });
        let (row, others) = rest.split_at(fits.count().max(1));
        top += packed.row(row, (top, width), gap, others.is_empty()) + gap;
        rest = others;
    }
    packed
}

impl Packed {
    /// Places a row and gives its height. What it has too much is divided among its rectangles, if it isn't much.
    fn row(&mut self, row: &[usize], (top, width): (i64, i64), gap: i64, last: bool) -> i64 {
        let height = row.iter().map(|&index| self.sizes[index].height).max().unwrap_or(0);
        let count = i64::try_from(row.len()).unwrap_or(1);
        let taken = row.iter().map(|&index| self.sizes[index].width + gap).sum::<i64>() - gap;
        let spare = (width - taken).max(0);
        let more = if last && spare * 4 > width { 0 } else { (spare / count).min(taken * 2 / 5 / count) };
        let mut left = 0;
        for &index in row {
            let size = &mut self.sizes[index];
            // What is much lower would only be empty.
            let height = if size.height * 5 > height * 3 { height } else { size.height };
            *size = Size { width: size.width + more, height };
            self.places[index] = (left, top);
            left += size.width + gap;
        }
        self.size = Size { width: self.size.width.max(left - gap), height: top + height };
        height
    }
}

/// The bottom-left rule on a skyline: each rectangle goes where it is highest, and of these places the leftmost.
fn strip(sizes: &[Size], order: &[usize], gap: i64, width: i64) -> Packed {
    let mut skyline = Skyline { steps: vec![(0, 0)], width: width + gap };
    let mut packed = Packed { places: vec![(0, 0); sizes.len()], sizes: sizes.to_vec(), size: Size::default() };
    for &index in order {
        let size = sizes[index];
        let (x, y) = skyline.place(size.width + gap, size.height + gap);
        packed.places[index] = (x, y);
        packed.size.width = packed.size.width.max(x + size.width);
        packed.size.height = packed.size.height.max(y + size.height);
    }
    packed
}

/// How far down each stretch of the strip is taken: where each starts, and its depth.
struct Skyline {
    steps: Vec<(i64, i64)>,
    width: i64,
}

impl Skyline {
    fn place(&mut self, width: i64, height: i64) -> (i64, i64) {
        let fits = (0..self.steps.len()).filter(|&step| self.steps[step].0 + width <= self.width);
        let places = fits.map(|step| (self.depth(step, width), self.steps[step].0));
        let (y, x) = places.min().unwrap_or_else(|| (self.depth(0, self.width), 0));
        self.take(x, x + width, y + height);
        (x, y)
    }

    /// How deep a rectangle of this width would lie that starts where this step does.
    fn depth(&self, step: usize, width: i64) -> i64 {
        let end = self.steps[step].0 + width;
        self.steps[step..].iter().take_while(|&&(start, _)| start < end).map(|&(_, depth)| depth).max().unwrap_or(0)
    }

    fn take(&mut self, from: i64, to: i64, depth: i64) {
        let before: Vec<(i64, i64)> = self.steps.iter().copied().filter(|&(start, _)| start < from).collect();
        let rest = self.steps.iter().rev().find(|&&(start, _)| start <= to).map(|&(_, depth)| (to, depth));
        let after: Vec<(i64, i64)> = self.steps.iter().copied().filter(|&(start, _)| start > to).collect();
        let rest = rest.filter(|&(start, _)| start < self.width);
        self.steps = before.into_iter().chain([(from, depth)]).chain(rest).chain(after).collect();
        self.steps.dedup_by_key(|&mut (_, depth)| depth);
    }
}
