//! Has the linker lay next to each other what a start executes, so that few pages of the binary come into memory. `order.txt` has the functions, as
//! `cargo xtask order` has found them. Their names change with the compiler and with versions of libraries: those that aren't there are passed over.
#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=order.txt");
    let order = env::var_os("CARGO_MANIFEST_DIR").map(|dir| Path::new(&dir).join("order.txt"));
    let Some(order) = order.filter(|_| env::var_os("PROFILE").is_some_and(|profile| profile == "release")) else {
        return;
    };
    let arguments = [format!("-Wl,--symbol-ordering-file={}", order.display()), "-Wl,--no-warn-symbol-ordering".into()];
    if linker_takes(&arguments) {
        arguments.iter().for_each(|argument| println!("cargo::rustc-link-arg-bins={argument}"));
    }
}

/// lld does, which Rust comes with; GNU ld and mold don't.
fn linker_takes(arguments: &[String]) -> bool {
    let [Some(rustc), Some(target), Some(dir)] = ["RUSTC", "TARGET", "OUT_DIR"].map(env::var_os) else { return false };
    let source = Path::new(&dir).join("empty.rs");
    let mut command = Command::new(rustc);
    command.arg("--target").arg(target).arg("--out-dir").arg(&dir).arg(&source).stderr(Stdio::null());
    command.args(
        env::var("CARGO_ENCODED_RUSTFLAGS")
            .iter()
            .flat_map(|flags| flags.split('\x1f'))
            .filter(|flag| !flag.is_empty()),
    );
    command.args(
        env::var_os("RUSTC_LINKER")
            .map(|linker| ["-Clinker=".into(), linker].into_iter().collect::<std::ffi::OsString>()),
    );
    command.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    std::fs::write(&source, "fn main() {}").is_ok() && command.status().is_ok_and(|status| status.success())
}
