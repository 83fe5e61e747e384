//! Properties of units: systemd.resource-control(5), org.freedesktop.systemd1(5).

use super::wire::Writer;

/// A property and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// As org.freedesktop.systemd1(5) has it: `MemoryMax`.
    pub name: &'static str,
    /// What it is to be.
    pub value: Value,
}

/// What a property can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `t`; [`u64::MAX`] is no limit.
    Number(u64),
    /// `s`
    Text(String),
    /// `ay`: the lowest bit of the first byte is CPU or memory node 0.
    Bits(Vec<u8>),
    /// `au`: process ids.
    Processes(Vec<u32>),
    /// `a(st)`: paths of block devices, each with a weight or with bytes or operations a second.
    Rates(Vec<(String, u64)>),
    /// `a(ss)`: which devices, and in which ways of `rwm`.
    Devices(Vec<(String, String)>),
}

impl Property {
    pub(super) fn new(name: &'static str, value: Value) -> Self {
        Self { name, value }
    }

    pub(super) fn text(name: &'static str, text: &str) -> Self {
        Self::new(name, Value::Text(text.to_owned()))
    }
}

/// Writes `a(sv)`.
pub fn write(writer: &mut Writer, properties: &[Property]) {
    writer.array(8, properties, |writer, property| {
        writer.align(8);
        writer.string(property.name);
        property.value.write(writer);
    });
}

impl Value {
    /// Writes a variant: the type and the value.
    fn write(&self, writer: &mut Writer) {
        writer.signature(self.signature());
        match self {
            Self::Bool(value) => writer.bool(*value),
            Self::Number(number) => writer.u64(*number),
            Self::Text(text) => writer.string(text),
            Self::Bits(bytes) => writer.array(1, bytes, |writer, byte| writer.byte(*byte)),
            Self::Processes(pids) => writer.array(4, pids, |writer, pid| writer.u32(*pid)),
            Self::Rates(rates) => writer.array(8, rates, |writer, (device, rate)| {
                writer.align(8);
                writer.string(device);
                writer.u64(*rate);
            }),
            Self::Devices(devices) => writer.array(8, devices, |writer, (device, access)| {
                writer.align(8);
                writer.string(device);
                writer.string(access);
            }),
        }
    }

    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::Number(_) => "t",
            Self::Text(_) => "s",
            Self::Bits(_) => "ay",
            Self::Processes(_) => "au",
            Self::Rates(_) => "a(st)",
            Self::Devices(_) => "a(ss)",
        }
    }
}
