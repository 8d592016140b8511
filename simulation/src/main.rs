//! Runs worlds by argument: `leaselock-simulation [--from SEED] [--count N] [--seed SEED] [--kind everything|exclusive|late|calm|groups] [--threads N]
//! [--enough N] [--whole] [--twice]`. `--twice` looks for seeds that are not the same world when they are run again.

use std::process::ExitCode;

use leaselock_simulation::worlds::{Kind, Plan, Setting, explain, run, search};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut first, mut count, mut threads, mut enough) = (0, 10_000, 2, 10);
    let (mut kind, mut seed, mut whole) = (Kind::Everything, None, false);
    while let Some(argument) = arguments.next() {
        if argument == "--twice" {
            // Looks for seeds that are not the same world twice.
            for seed in first..first + count {
                let plan = Plan::new(seed, kind);
                let setting = Setting::default();
                if run(&plan, &setting).fingerprint != run(&plan, &setting).fingerprint {
                    println!("seed {seed} differs");
                    let told = Setting {
                        with_steps: true,
                        ..setting
                    };
                    let (one, other) = (run(&plan, &told), run(&plan, &told));
                    let differs = one.steps.iter().zip(&other.steps).position(|(a, b)| a != b);
                    if let Some(at) = differs {
                        println!(
                            "{}\n{}",
                            one.steps[at.saturating_sub(5)..=at].join("\n"),
                            other.steps[at]
                        );
                    }
                }
            }
            return ExitCode::SUCCESS;
        }
        if argument == "--whole" {
            whole = true;
            continue;
        }
        let value = arguments.next().unwrap_or_default();
        let number = || value.parse::<u64>().expect("a number");
        match argument.as_str() {
            "--from" => first = number(),
            "--count" => count = number(),
            "--seed" => seed = Some(number()),
            "--threads" => threads = usize::try_from(number()).expect("few"),
            "--enough" => enough = usize::try_from(number()).expect("few"),
            "--kind" => {
                kind = match value.as_str() {
                    "exclusive" => Kind::Exclusive,
                    "calm" => Kind::Calm,
                    "late" => Kind::Late,
                    "groups" => Kind::Groups,
                    _ => Kind::Everything,
                }
            }
            _ => {
                eprintln!("{argument} is no option");
                return ExitCode::FAILURE;
            }
        }
    }
    let setting = Setting::default();
    if let Some(seed) = seed {
        if whole || run(&Plan::new(seed, kind), &setting).violation.is_none() {
            let plan = Plan::new(seed, kind);
            let told = Setting {
                with_steps: true,
                ..setting
            };
            let outcome = run(&plan, &told);
            println!("{plan}{}", outcome.steps.join("\n"));
            println!("{:016x} {:?}", outcome.fingerprint, outcome.violation);
        } else {
            println!("{}", explain(seed, kind, &setting));
        }
        return ExitCode::SUCCESS;
    }
    let found = search(first, count, kind, &setting, threads, enough);
    for (seed, violation) in &found.broken {
        println!(
            "seed {seed}: {}: {} ({} ms)",
            violation.rule, violation.how, violation.at
        );
    }
    println!(
        "{} worlds with {} leases in {:.1} s, in which {:.0} s passed; {} broken",
        found.worlds,
        found.leases,
        found.took.as_secs_f64(),
        found.lasted.as_secs_f64(),
        found.broken.len()
    );
    ExitCode::from(u8::from(!found.broken.is_empty()))
}
