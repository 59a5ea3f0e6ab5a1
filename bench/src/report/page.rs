//! The page: where we are slower, beside a Linux guest, on which computer; then every figure; then what is not in it.

use super::{FOLDER, RESULTS, figures, tables};
use crate::parts::PARTS;
use crate::results::{Figure, Part, Results};
use std::fmt::Write;

const HEAD: &str = "\
# Benchmarks

`cargo xtask bench` measures all of this, each subject beside its reference in one run, and writes this page. A number is
the median of its samples, in parentheses are the 10th and the 90th percentile (of few samples the least and the greatest).
The subjects of a figure take turns, round by round, so that what else happens on the computer falls on all alike. *Ampoule,
process* and *KVM* are compared with the same program as a process of the host (*native*, linked statically, on all CPUs);
*Ampoule, QEMU* with the same program as process 1 of a Linux guest on the same QEMU with the same devices, memory and
accelerator: Debian's cloud kernel, and nothing beside it but the modules that the devices need. nginx is there for scale.
";

const NEVER: &str = "\
- Hardware virtualisation, where the table of the computer says that there is none: there a Linux guest is measured under
  QEMU's emulation (TCG) alone, because such a KVM runs ring 0 instruction by instruction. A computer with VMX or SVM has yet
  to give these numbers.
- Other unikernels and other monitors: SPECIFICATION.md has figures that were recorded once, on another day.
- More than one virtual CPU: a machine has one. The native references use all CPUs unless a line says otherwise.
- Networks between computers: clients and servers share one computer and its CPUs, and so does the load that they make.
- Disks: a machine has none yet.
";

pub(super) fn page(results: &Results) -> String {
    let all = || figures(results);
    let mut out = String::from(HEAD);
    if results.parts.values().any(|part| part.is_quick) {
        out +=
            "\n> **Parts of this page are from a quick run**, with too few samples to be trusted; they are marked.\n";
    }
    out += "\n## Where we are slower\n\n";
    out += "Medians that are within 5 % of each other count as equal, and are not in this table.\n\n";
    out += &tables::slower(all());
    out += "\n## Beside a Linux guest\n\n";
    out += &tables::linux(all());
    out += "\n## The computer\n\n";
    out += &computers(results);
    for (info, part) in PARTS.iter().filter_map(|info| Some((info, results.parts.get(info.name)?))) {
        // Writing to a string cannot fail, here and below.
        let _ = write!(out, "\n## {}\n\n{}", info.title, source(info.name, part));
        for figure in &part.figures {
            out += &section(figure);
        }
    }
    out += "\n## What was not measured\n\n";
    for info in PARTS.iter().filter(|info| !results.parts.contains_key(info.name)) {
        let _ = writeln!(out, "- {}: nobody has run `cargo xtask bench {}` yet", info.title, info.name);
    }
    out += &tables::missing(all());
    out += NEVER;
    let _ = write!(
        out,
        "\nThe samples are in [{RESULTS}]({FOLDER}/{RESULTS}). `cargo xtask bench --render` makes this page of them again; \
         `cargo xtask bench --list` tells the parts and how long each takes.\n"
    );
    out
}

/// Where a part's numbers come from.
fn source(name: &str, part: &Part) -> String {
    let quick = if part.is_quick { " --quick" } else { "" };
    let warning = if part.is_quick { " **Quick: too few samples to be trusted.**" } else { "" };
    format!(
        "`cargo xtask bench{quick} {name}`, {} UTC, commit {}, {:.0} s; load average before it {:.2}.{warning}\n",
        part.date, part.tree, part.seconds, part.load
    )
}

fn section(figure: &Figure) -> String {
    let Figure { title, about, name, .. } = figure;
    let table = tables::figure(figure);
    format!("\n### {title}\n\n{about}\n\n![{title}]({FOLDER}/{name}.svg)\n\n{table}")
}

/// A row for each computer; with the parts that were measured on it where there are several.
fn computers(results: &Results) -> String {
    let mut different = Vec::new();
    for part in PARTS.iter().filter_map(|info| results.parts.get(info.name)) {
        if !different.contains(&&part.computer) {
            different.push(&part.computer);
        }
    }
    let mut out = String::new();
    for computer in &different {
        let on = PARTS.iter().filter(|info| results.parts.get(info.name).is_some_and(|p| p.computer == **computer));
        let parts = on.map(|info| info.name).collect::<Vec<_>>().join(", ");
        let kind = if computer.is_virtual { " (a virtual machine)" } else { "" };
        let rows = [
            ("CPUs", format!("{} × {}{kind}", computer.cpus, computer.cpu)),
            ("memory", format!("{:.1} GiB", computer.memory_mib as f64 / 1024.0)),
            ("system", format!("{}, Linux {}", computer.system, computer.kernel)),
            ("KVM", computer.kvm.clone()),
            ("QEMU", computer.qemu.clone()),
            ("compiler", computer.rustc.clone()),
            ("parts", parts),
        ];
        out += "| | |\n|---|---|\n";
        for (name, value) in rows {
            if name != "parts" || different.len() > 1 {
                out += &tables::row(&[name.to_owned(), value]);
            }
        }
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}
