//! Rules as a BPF program for cgroup v2: Documentation/admin-guide/cgroup-v2.rst "Device controller", struct bpf_cgroup_dev_ctx of linux/bpf.h.

use izba_sys::bpf::{Instruction, NODE_BLOCK, NODE_CHAR, Register};

use super::{ALL, bits};
use crate::cgroup::limits::{DeviceKind, DeviceRule};

/// What the kernel runs for each mknod(2) and open(2) of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

/// What the program returns: 1 allows, 0 is EPERM.
const RESULT: Register = Register(0);
/// Where the context is at first.
const CONTEXT: Register = Register(1);
const KIND: Register = Register(2);
/// The accesses that are asked for and not decided yet.
const ACCESS: Register = Register(3);
const MAJOR: Register = Register(4);
const MINOR: Register = Register(5);
const DIFFERENCE: Register = Register(1);

const ALLOW: [Instruction; 2] = [Instruction::set(RESULT, 1), Instruction::exit()];
const DENY: [Instruction; 2] = [Instruction::set(RESULT, 0), Instruction::exit()];

/// Takes the context apart. Who asks for no access gets it, as nothing is used.
const START: [Instruction; 9] = [
    Instruction::load_word(KIND, CONTEXT, 0),
    Instruction::copy(ACCESS, KIND),
    Instruction::and(KIND, 0xffff),
    Instruction::shift_right(ACCESS, 16),
    Instruction::load_word(MAJOR, CONTEXT, 4),
    Instruction::load_word(MINOR, CONTEXT, 8),
    Instruction::skip_if_any(ACCESS, u32::MAX, 2),
    ALLOW[0],
    ALLOW[1],
];

impl Program {
    /// The program that decides as [`allows`](super::allows) does. As the last rule that names an access decides it, rules are tried from the last one
    /// to the first, until one denies or nothing is left to be decided.
    pub fn compile(rules: &[DeviceRule]) -> Self {
        let mut program = START.to_vec();
        for rule in rules.iter().rev().filter(|rule| bits(rule.access) != 0) {
            let decision = decision(rule.allow, bits(rule.access));
            let tests = tests(rule, decision.len());
            program.extend(&tests);
            program.extend(&decision);
            // The verifier refuses code that nothing leads to, and after a rule for every use nothing goes on.
            if tests.is_empty() && bits(rule.access) == ALL {
                return Self(program);
            }
        }
        program.extend(DENY);
        Self(program)
    }

    /// As the kernel takes them.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// Is the device one that the rule names? If not, the decision is left out.
///
/// Comparing in place would let the verifier know the register's value from there on: it would follow every rule's devices through all
/// other rules, in quadratic time, and give up at some hundred rules.
fn tests(rule: &DeviceRule, decision: usize) -> Vec<Instruction> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(NODE_BLOCK),
        DeviceKind::Char => Some(NODE_CHAR),
    };
    let wanted = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let wanted = wanted.into_iter().rev().filter_map(|(register, value)| Some((register, value?)));
    wanted.fold(Vec::new(), |after, (register, value)| {
        let skipped = i16::try_from(after.len() + decision).unwrap_or(0);
        let compare = [
            Instruction::copy(DIFFERENCE, register),
            Instruction::xor(DIFFERENCE, value),
            Instruction::skip_if_any(DIFFERENCE, u32::MAX, skipped),
        ];
        compare.into_iter().chain(after).collect()
    })
}

/// What the rule says of a device that it names.
fn decision(allow: bool, access: u8) -> Vec<Instruction> {
    if access == ALL {
        return if allow { ALLOW.to_vec() } else { DENY.to_vec() };
    }
    let access = u32::from(access);
    match allow {
        true => [Instruction::and(ACCESS, !access), Instruction::skip_if_any(ACCESS, u32::MAX, 2)]
            .into_iter()
            .chain(ALLOW)
            .collect(),
        false => [Instruction::skip_if_any(ACCESS, access, 1), Instruction::skip(2)].into_iter().chain(DENY).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::device::random::{lists, uses};
    use crate::cgroup::device::{NodeKind, allows, standard};

    /// What the kernel would return, by instruction-set.rst.
    fn run(program: &[Instruction], context: [u32; 3]) -> u32 {
        let mut registers: [Option<u32>; 10] = [None; 10];
        let mut at = 0;
        loop {
            let instruction = program[at];
            let (to, from) = instruction.registers();
            let (to, from) = (usize::from(to.0), usize::from(from.0));
            let value = instruction.immediate.cast_unsigned();
            let read = |register: usize| registers[register].expect("what is read was written before");
            let offset = usize::try_from(instruction.offset).unwrap();
            let mut skipped = false;
            match instruction.code {
                Instruction::LOAD_WORD if from == 1 => registers[to] = Some(context[offset / 4]),
                Instruction::SET => registers[to] = Some(value),
                Instruction::COPY => registers[to] = Some(read(from)),
                Instruction::AND => registers[to] = Some(read(to) & value),
                Instruction::SHIFT_RIGHT => registers[to] = Some(read(to) >> value),
                Instruction::XOR => registers[to] = Some(read(to) ^ value),
                Instruction::SKIP_IF_ANY => skipped = read(to) & value != 0,
                Instruction::SKIP => skipped = true,
                Instruction::EXIT => return read(0),
                code => panic!("{code:#x} isn't known"),
            }
            at += 1 + if skipped { offset } else { 0 };
        }
    }

    fn context((kind, major, minor): (NodeKind, u32, u32), access: u8) -> [u32; 3] {
        let kind = if kind == NodeKind::Block { NODE_BLOCK } else { NODE_CHAR };
        [u32::from(access) << 16 | kind, major, minor]
    }

    #[test]
    fn a_program_decides_as_the_specification_does() {
        let mut seen = [0; 2];
        for rules in lists(3000) {
            let program = Program::compile(&rules);
            for (device, access) in uses() {
                let allowed = allows(&rules, device, access);
                let found = run(program.instructions(), context(device, bits(access)));
                assert_eq!(found, u32::from(allowed), "{rules:?} {device:?} {access}");
                seen[usize::from(allowed)] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 100_000), "{seen:?}");
    }

    #[test]
    fn asking_for_nothing_is_allowed() {
        assert_eq!(run(Program::compile(&[]).instructions(), context((NodeKind::Char, 1, 3), 0)), 1);
    }

    #[test]
    fn rules_that_a_later_one_hides_cost_nothing() {
        let rule = |text: &str| text.parse::<DeviceRule>().unwrap();
        let hidden = Program::compile(&[rule("c 1:3 r"), rule("deny a *:* rwm"), rule("c 1:5 r")]);
        assert_eq!(hidden, Program::compile(&[rule("deny a *:* rwm"), rule("c 1:5 r")]));
        assert!(Program::compile(&standard()).instructions().len() < 130);
    }
}
