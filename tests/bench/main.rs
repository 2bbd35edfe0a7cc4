//! bench
mod clock;
mod figure;
mod interim;
mod measure;
mod operation;
mod partner;
mod program;
mod program_set;
mod system_call;
mod worker;

use std::path::PathBuf;
use anyhow::Result;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(partner::ARGUMENT) => partner::main(),
        Some(worker::ARGUMENT) => worker::main(),
        Some("measure") => {
            let run = measure::measure(clock::Unit::Instructions, &PathBuf::from(&arguments[2]), &arguments[3])?;
            for s in &run.scenarios {
                println!("== {} {}", run.kernel, s.proc_mode);
                println!("{:42} {:>9} {:>9} {:>9} {:>9} | {:>7} {:>7} {:>7} {:>7}| {:>7} {:>7}", "", "bare", "empty", "host", "guest", "h-e", "g-b", "h-b", "g-b", "hpc", "gpc");
                for r in &s.rows {
                    let n: u64 = r.host_crossings.values().sum(); let g: u64 = r.guest_crossings.values().sum();
                    println!("{:42} {:9.1} {:9.1} {:9.1} {:9.1} | {:7.1} {:7.1} {:7.1} {:7.1}| {:7.1} {:7.1} {:?} {} min {:.1} {:.1} {:.1} {:.1}", r.name, r.bare.median, r.empty.median, r.host.median, r.guest.median,
                        r.host.median-r.empty.median, r.guest.median-r.bare.median, r.host.median-r.bare.median, r.guest.median-r.bare.median,
                        (r.host.median-r.empty.median)/n.max(1) as f64, (r.guest.median-r.bare.median)/g.max(1) as f64, r.host_crossings, if r.guest_crossings==r.host_crossings {String::new()} else {format!("{:?}", r.guest_crossings)},
                        r.bare.minimum, r.empty.minimum, r.host.minimum, r.guest.minimum);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
