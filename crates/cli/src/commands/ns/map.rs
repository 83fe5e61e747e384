//! `izba ns map`: reads, composes a picture, finds a place for everything, and writes it in one of the formats.

mod about;
mod compose;
mod details;
mod dot;
mod escape;
mod file;
mod group;
mod html;
mod json;
mod kin;
mod label;
mod layout;
mod legend;
mod measure;
mod network;
mod pack;
mod people;
mod picture;
mod sight;
mod style;
mod svg;
#[cfg(test)]
mod synthetic;
mod text;
mod titles;
mod wires;

use std::io::{self, Write};
use std::path::Path;

use crate::args::ns::map::{MapArgs, MapFormat};
use crate::failure::{Failure, Result};
use crate::output;
use compose::compose;
use layout::lay_out;
use picture::Picture;
use sight::Sight;

/// Draws the machine.
pub fn map(args: &MapArgs) -> Result<u8> {
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let format = format(args.format, file)?;
    let target = file.map(file::Target::find).transpose()?;
    let picture = compose(&Sight::take()?.seen());
    let write = |out: &mut dyn Write| write(&picture, format, out);
    match target {
        Some(target) => target.write(write)?,
        None => output::print(write)?,
    }
    Ok(0)
}

/// What was asked for, else what the file's name says.
fn format(asked: Option<MapFormat>, file: Option<&Path>) -> Result<MapFormat> {
    let (None, Some(file)) = (asked, file) else { return Ok(asked.unwrap_or(MapFormat::Text)) };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(MapFormat::Svg),
        Some("html" | "htm") => Ok(MapFormat::Html),
        Some("json") => Ok(MapFormat::Json),
        Some("dot" | "gv") => Ok(MapFormat::Dot),
        Some("txt") => Ok(MapFormat::Text),
        _ => {
            let problem = format!("the name {} doesn't say what to draw", file.display());
            Err(Failure::new(problem).remedy("a name that ends in .html, .svg, .json, .dot or .txt, or --format"))
        }
    }
}

fn write(picture: &Picture, format: MapFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        MapFormat::Text => text::text(picture, out),
        MapFormat::Svg => svg::svg(&lay_out(picture), out),
        MapFormat::Html => html::html(&lay_out(picture), out),
        MapFormat::Json => json::json(picture, out),
        MapFormat::Dot => dot::dot(picture, out),
    }
}

#[cfg(test)]
mod tests;
