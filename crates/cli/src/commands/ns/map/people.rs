//! Processes in their boxes.

use izba_sandbox::survey::{SeenProcess, Survey};

use super::label::{command, count, pids, short};
use super::picture::{Picture, Tile, TileId, What};

/// So many processes of one namespace are drawn; the others are in the details.
const DRAWN: usize = 14;
/// So many characters of a command are drawn.
const COMMAND: usize = 44;

/// Draws the first of these processes into a tile, those of the kernel last.
pub fn draw(survey: &Survey, members: &[i32], tile: TileId, picture: &mut Picture) {
    let seen = members.iter().filter_map(|pid| survey.processes.get(pid));
    let (kernel, mut order): (Vec<_>, Vec<_>) = seen.partition(|process| process.command.starts_with('['));
    let kernels = kernel.len();
    order.extend(kernel);
    if order.is_empty() {
        return;
    }
    let list = picture.add(tile, Tile::new(What::List, ""));
    let drawn = if order.len() <= DRAWN + 1 { order.len() } else { DRAWN };
    let widest = order[..drawn].iter().map(|process| pids(process).chars().count()).max().unwrap_or(0);
    for process in &order[..drawn] {
        let title = format!("{:widest$}  {}", pids(process), short(&command(process), COMMAND));
        picture.add(list, Tile { members: vec![process.pid], ..Tile::new(What::Process(process.pid), title) });
    }
    if drawn < order.len() {
        picture.add(list, more(&order[drawn..], kernels));
    }
}

/// Those that found no place.
fn more(rest: &[&SeenProcess], kernels: usize) -> Tile {
    let title = match kernels {
        all if all == rest.len() => format!("and {}", count(all, "kernel thread", "kernel threads")),
        some if (1..rest.len()).contains(&some) => format!("and {} more, {some} of them kernel threads", rest.len()),
        _ => format!("and {} more", rest.len()),
    };
    Tile { members: rest.iter().map(|process| process.pid).collect(), ..Tile::new(What::More, title) }
}
