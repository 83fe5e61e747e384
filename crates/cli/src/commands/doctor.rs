//! `izba doctor`: what works here, from the same probes that explain errors.

mod limits;
mod weights;

use std::io::{self, Write};

use izba_sandbox::probe::{self, Finding};
use serde_json::{Value, json};

use crate::args::TableFormat;
use crate::caller::Caller;

/// Prints the findings. True if `izba run` works for this caller in some form.
pub fn doctor(format: TableFormat, out: &mut dyn Write) -> io::Result<bool> {
    let mut findings = probe::findings();
    findings.extend(limits::findings(&Caller::of_this_process()));
    match format {
        TableFormat::Table => lines(&findings).iter().try_for_each(|line| writeln!(out, "{line}"))?,
        TableFormat::Json => writeln!(out, "{:#}", to_json(&findings))?,
    }
    Ok(probe::run_works(&findings))
}

/// One line for each finding, with its remedy below, and what follows from all.
fn lines(findings: &[Finding]) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = findings.iter().flat_map(|finding| rows(finding, width)).collect();
    lines.push(String::new());
    lines.push(verdict(findings).to_owned());
    lines
}

fn rows(finding: &Finding, width: usize) -> Vec<String> {
    let Finding { name, state, detail, remedy, .. } = finding;
    let row = format!("{name:width$}  {state:7}  {detail}");
    let remedy = remedy.iter().map(|remedy| format!("{:width$}  {:7}  try: {remedy}", "", ""));
    [row.trim_end().to_owned()].into_iter().chain(remedy).collect()
}

fn verdict(findings: &[Finding]) -> &'static str {
    let whole = findings.iter().all(|finding| finding.state == probe::State::Works);
    match (probe::run_works(findings), whole) {
        (true, true) => "izba run works here.",
        (true, false) => "izba run works here, but for what is limited or missing above.",
        (false, _) => "izba run doesn't work here: see what is missing above.",
    }
}

fn to_json(findings: &[Finding]) -> Value {
    let rows: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "name": finding.name,
                "state": finding.state.to_string(),
                "detail": finding.detail,
                "remedy": finding.remedy,
                "essential": finding.essential,
            })
        })
        .collect();
    json!({ "runWorks": probe::run_works(findings), "findings": rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::probe::State;

    fn finding(state: State, essential: bool) -> Finding {
        let remedy = (state != State::Works).then(|| "do this".to_owned());
        Finding { name: "tmpfs", state, detail: "so it is".to_owned(), remedy, essential }
    }

    #[test]
    fn columns_are_aligned_and_remedies_below() {
        let all = [Finding { name: "user namespace", ..finding(State::Works, true) }, finding(State::Missing, true)];
        let expected = [
            "user namespace  works    so it is",
            "tmpfs           missing  so it is",
            "                         try: do this",
            "",
            "izba run doesn't work here: see what is missing above.",
        ];
        assert_eq!(lines(&all), expected);
    }

    #[test]
    fn only_what_is_essential_decides() {
        assert!(verdict(&[finding(State::Missing, false)]).contains("but for"));
        assert!(verdict(&[finding(State::Limited, true)]).contains("but for"));
        assert_eq!(to_json(&[finding(State::Missing, true)])["runWorks"], false);
    }
}
