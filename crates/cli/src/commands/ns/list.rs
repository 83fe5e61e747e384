//! `izba ns list`.

mod filter;
mod row;

use izba_sandbox::survey::{Detail, SeenNamespace};
use serde_json::{Value, json};

use super::look::{Look, look};
use crate::args::TableFormat;
use crate::args::ns::list::{Column, ListArgs};
use crate::failure::Result;
use crate::output;
use crate::table::{Table, terminal_width};

pub fn list(args: &ListArgs) -> Result<u8> {
    filter::check(args)?;
    let look = look(Detail::Leaders)?;
    let chosen = filter::chosen(&look, args)?;
    output::print(|out| match args.format {
        TableFormat::Json => writeln!(out, "{:#}", to_json(&look, &chosen)),
        TableFormat::Table if chosen.is_empty() => writeln!(out, "no such namespace"),
        TableFormat::Table => table(&look, &chosen, &args.columns).write(out, terminal_width()),
    })?;
    if args.format == TableFormat::Table {
        look.say_unreadable();
    }
    Ok(0)
}

fn table(look: &Look, chosen: &[&SeenNamespace], columns: &[Column]) -> Table {
    let mut table = Table::new(columns.iter().map(|&column| row::title(column)).collect());
    for seen in chosen {
        table.row(columns.iter().map(|&column| row::cell(look, seen, column)).collect());
    }
    table
}

fn to_json(look: &Look, chosen: &[&SeenNamespace]) -> Value {
    let rows: Vec<Value> = chosen.iter().map(|seen| super::json::namespace(look, seen)).collect();
    json!({
        "namespaces": rows,
        "unreadable": look.survey.unreadable,
        "hidesProcesses": look.survey.hides_processes,
    })
}
