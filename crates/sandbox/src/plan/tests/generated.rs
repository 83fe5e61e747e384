//! What holds for every plan, shown on thousands of generated intents. The generator is deterministic, so a failure repeats;
//! its number is in the message.

mod descriptors;
mod generator;
mod mounts;
mod processes;
mod rights;

use generator::{Random, any_facts, any_sandbox};

use super::*;

const PLANS: u64 = 6000;

/// Runs a check on every plan that there is; how many there were must stay high.
fn on_every_plan(check: impl Fn(&Sandbox, &Facts, &Plan)) {
    let mut plans = 0;
    for number in 1..=PLANS {
        let mut random = Random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let sandbox = any_sandbox(&mut random);
        let facts = any_facts(&mut random, &sandbox);
        if let Ok(plan) = Plan::new(&sandbox, &facts) {
            plans += 1;
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&sandbox, &facts, &plan)));
            assert!(checked.is_ok(), "plan {number}: {sandbox:#?}\n{facts:#?}\n{:#?}", texts(&plan));
        }
    }
    assert!(plans > PLANS / 3, "only {plans} intents could be planned: the generator has lost its use");
}

fn place(calls: &[&Call], wanted: impl Fn(&Call) -> bool) -> Option<usize> {
    calls.iter().rposition(|call| wanted(call))
}

#[test]
fn a_plan_is_a_pure_function_and_every_call_has_a_text() {
    on_every_plan(|sandbox, facts, plan| {
        assert_eq!(Plan::new(sandbox, facts).as_ref(), Ok(plan));
        assert!(texts(plan).iter().all(|text| text.contains('(') || text.starts_with("new")), "{:#?}", texts(plan));
        assert!(!texts(plan).iter().any(|text| text.contains("{?}")), "{:#?}", texts(plan));
    });
}
