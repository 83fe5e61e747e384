//! A plan for programs.

use izba_sandbox::plan::{Actor, NOT_ENFORCED, Plan};
use serde_json::{Value, json};

/// The layout of the document: a new number for a change that readers would stumble over.
const VERSION: u32 = 1;

/// The whole plan as one document.
pub fn value(plan: &Plan, notes: &[String]) -> Value {
    let steps: Vec<Value> = plan
        .steps()
        .map(|(actor, step)| {
            json!({
                "by": match actor {
                    Actor::Parent => "parent",
                    Actor::Child => "child",
                },
                "title": step.title,
                "shell": step.shell,
                "calls": plan.calls(step),
            })
        })
        .collect();
    let notes: Vec<&String> = notes.iter().chain(&plan.notes).collect();
    json!({ "version": VERSION, "steps": steps, "notes": notes, "notEnforced": NOT_ENFORCED })
}
