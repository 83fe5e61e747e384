//! `izba cache`: unpacked archives.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use izba_image::{Cache, Entry, Pruned};
use serde_json::{Value, json};

use crate::args::TableFormat;
use crate::args::cache::{CachePlace, CacheVerb, ListArgs, PruneArgs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::identity::usual_unpacking_maps;
use crate::progress::bytes;
use crate::table::{Table, numbers, terminal_width, words};
use crate::{cache_place, output, sweep};

/// So many digits of a digest tell archives apart.
const DIGITS: usize = 12;

pub fn run(verb: &CacheVerb) -> Result<u8> {
    match verb {
        CacheVerb::List(args) => list(args),
        CacheVerb::Prune(args) => prune(args),
    }
}

fn list(args: &ListArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let cache = existing(&args.place, &caller)?;
    let mut entries = cache.map_or_else(|| Ok(Vec::new()), |(cache, _)| entries(&cache))?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.unpacked_at));
    output::print(|out| match args.format {
        TableFormat::Json => {
            let list: Vec<Value> = entries.iter().map(json).collect();
            writeln!(out, "{:#}", Value::from(list))
        }
        TableFormat::Table if entries.is_empty() => writeln!(out, "no archive is unpacked"),
        TableFormat::Table => table(&entries).write(out, terminal_width()),
    })?;
    Ok(0)
}

/// The cache if there is one. Looking makes none.
fn existing(place: &CachePlace, caller: &Caller) -> Result<Option<(Cache, PathBuf)>> {
    let Some(dir) = cache_place::existing(place, caller) else { return Ok(None) };
    Cache::open(&dir).map(|cache| Some((cache, dir))).map_err(|error| Failure::from_error(&error))
}

fn entries(cache: &Cache) -> Result<Vec<Entry>> {
    cache.list().map_err(|error| Failure::from_error(&error))
}

fn table(entries: &[Entry]) -> Table {
    let titles = [words("DIGEST"), numbers("SIZE"), words("UNPACKED"), words("OWNERS"), words("ARCHIVE")];
    let mut table = Table::new(titles.to_vec());
    for entry in entries {
        table.row(vec![
            format!("{:.DIGITS$}", entry.digest.to_string()),
            bytes(entry.report.bytes),
            ago(entry.unpacked_at.elapsed().unwrap_or_default()),
            owners(entry).to_owned(),
            entry.archive.clone(),
        ]);
    }
    table
}

/// Whose the files are.
fn owners(entry: &Entry) -> &str {
    match entry.variant.as_str() {
        "root" => "root",
        "squashed" => "squashed",
        _ => "mapped",
    }
}

fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

fn json(entry: &Entry) -> Value {
    let unpacked = entry.unpacked_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "digest": format!("sha256:{}", entry.digest),
        "archive": entry.archive,
        "archive_bytes": entry.archive_bytes,
        "bytes": entry.report.bytes,
        "entries": entry.report.entries,
        "devices_skipped": entry.report.devices_skipped,
        "owners": owners(entry),
        "variant": entry.variant,
        "unpacked_at": unpacked.as_secs(),
        "path": entry.path.to_string_lossy(),
    })
}

fn prune(args: &PruneArgs) -> Result<u8> {
    if !args.all && args.digests.is_empty() {
        return Err(
            Failure::new("nothing is named to be removed").remedy("izba cache list, then digests of it, or --all")
        );
    }
    let caller = Caller::of_this_process();
    let prefixes = prefixes(&args.digests)?;
    let Some((cache, dir)) = existing(&args.place, &caller)? else {
        return output::print(|out| writeln!(out, "no archive is unpacked")).map(|()| 0);
    };
    let known = entries(&cache)?;
    if let Some(prefix) = prefixes.iter().find(|prefix| !known.iter().any(|entry| matches(entry, prefix))) {
        let problem = format!("no unpacked archive has a digest that starts with {prefix}");
        return Err(Failure::new(problem).remedy("izba cache list"));
    }
    let mut chosen = |entry: &Entry| args.all || prefixes.iter().any(|prefix| matches(entry, prefix));
    let mut pruned = cache.prune(&mut chosen).map_err(|error| Failure::from_error(&error))?;
    let failures = finish(&mut pruned, || sweep::finish_inside(&dir, &|| usual_unpacking_maps(&caller)));
    report(&pruned)?;
    Ok(output::failures(&failures))
}

fn prefixes(digests: &[String]) -> Result<Vec<&str>> {
    let checked = digests.iter().map(|text| {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && (4..=64).contains(&digits.len()) {
            return Ok(digits);
        }
        Err(Failure::new(format!("{text:?} is no digest: at least 4 hexadecimal digits")).remedy("izba cache list"))
    });
    checked.collect()
}

fn matches(entry: &Entry, prefix: &str) -> bool {
    entry.digest.to_string().starts_with(prefix)
}

/// Files of subordinate ids go in a second attempt, in a user namespace. They have left the list already.
fn finish(pruned: &mut Pruned, inside: impl FnOnce() -> Option<Result<()>>) -> Vec<Failure> {
    if pruned.failed.is_empty() {
        return Vec::new();
    }
    match inside() {
        Some(Ok(())) => {
            for (entry, _) in std::mem::take(&mut pruned.failed) {
                pruned.freed += entry.report.bytes;
                pruned.removed.push(entry);
            }
            Vec::new()
        }
        Some(Err(failure)) => vec![failure],
        None => pruned.failed.iter().map(|(_, left)| Failure::from_error(left)).collect(),
    }
}

fn report(pruned: &Pruned) -> Result<()> {
    output::print(|out| {
        for entry in &pruned.in_use {
            writeln!(out, "in use   {:.DIGITS$}  {}", entry.digest.to_string(), entry.archive)?;
        }
        for entry in &pruned.removed {
            writeln!(out, "removed  {:.DIGITS$}  {}", entry.digest.to_string(), entry.archive)?;
        }
        writeln!(out, "{} freed", bytes(pruned.freed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rough() {
        for (seconds, text) in [(5, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (200_000, "2 days ago")] {
            assert_eq!(ago(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn digests_are_hexadecimal() {
        let digests = ["sha256:0123abcd".to_owned(), "ffff".to_owned()];
        assert_eq!(prefixes(&digests).unwrap(), ["0123abcd", "ffff"]);
        for bad in ["", "abc", "ABCD", "sha256:", "xyz123", &"0".repeat(65)] {
            assert!(prefixes(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
