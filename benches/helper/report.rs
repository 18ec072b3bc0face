//! Runs everything, prints the tables in Markdown, and holds the figures against
//! the bars. Edge.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::calls::Monitor;
use crate::contenders::Contender;
use crate::fixture::Fixture;
use crate::process::{self, Run};

const WARM_UP: usize = 5;
const MANY: usize = 50;
const VERY_MANY: usize = 200;
const VERY_MANY_ROUNDS: usize = 3;

const MOST_RATIO: f64 = 1.5;
const MOST_RATIO_AT_ONCE: f64 = 1.6;
const MOST_CALLS: f64 = 6.0;
const MOST_MIB: f64 = 8.0;
const MOST_MEGABYTES: f64 = 8.0;

struct Options {
    rounds: usize,
    bursts: usize,
    awskeep: PathBuf,
    no_bars: bool,
}

/// Everything; gives the bars that were missed.
///
/// # Errors
/// What could not be run.
pub fn all() -> Result<Vec<String>, String> {
    let options = Options::of_process()?;
    let size = fs::metadata(&options.awskeep)
        .map_err(|error| format!("{}: {error}", options.awskeep.display()))?
        .len();
    let mut fixture = Fixture::start(options.awskeep.clone())?;
    let mut bars = Bars::default();
    let ratio = turns(&mut fixture, options.rounds, &mut bars)?;
    bars.hold("median process, × the minimal read", ratio, MOST_RATIO);
    let ratio = at_once(&mut fixture, options.bursts, &mut bars)?;
    bars.hold(
        "50 at once, until all are done, × the minimal read",
        ratio,
        MOST_RATIO_AT_ONCE,
    );
    bars.hold("size of the program, MB", megabytes(size), MOST_MEGABYTES);
    drop(fixture);
    if bars.aborts > 0 {
        println!(
            "\ngnome-keyring-daemon aborted {} times and was started again: an old race of its own with \
             clients that come and go. What failed for that at once is counted; single turns were repeated.",
            bars.aborts
        );
    }
    println!("\n{}", bars.lines.join("\n"));
    Ok(if options.no_bars {
        Vec::new()
    } else {
        bars.missed
    })
}

impl Options {
    fn of_process() -> Result<Options, String> {
        let built = option_env!("CARGO_BIN_EXE_awskeep").map(PathBuf::from);
        let named = std::env::var_os("AWSKEEP_BENCH_BINARY").map(PathBuf::from);
        let mut awskeep = named.or(built);
        let (mut rounds, mut bursts, mut no_bars) = (100, 10, false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
            let number = |text: String| match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{text} is no number of rounds")),
            };
            match argument.as_str() {
                "--rounds" => rounds = number(value()?)?,
                "--bursts" => bursts = number(value()?)?,
                "--awskeep" => awskeep = Some(PathBuf::from(value()?)),
                "--no-bars" => no_bars = true,
                // What cargo itself says to every bench.
                "--bench" => {}
                _ => return Err(format!("there is no option {argument}")),
            }
        }
        Ok(Options {
            rounds,
            bursts,
            awskeep: awskeep.ok_or("no program is named: --awskeep PATH")?,
            no_bars,
        })
    }
}

/// One at a time, in turns; gives the ratio of the medians.
fn turns(fixture: &mut Fixture, rounds: usize, bars: &mut Bars) -> Result<f64, String> {
    let mut runs: Vec<Vec<Run>> = Contender::ALL.iter().map(|_| Vec::new()).collect();
    for round in 0..WARM_UP + rounds {
        for (contender, runs) in Contender::ALL.into_iter().zip(&mut runs) {
            let mut run = one(contender, fixture, bars)?;
            // Kept, it would grow this process, and with it what its children seem to take.
            run.out = Vec::new();
            if round >= WARM_UP {
                runs.push(run);
            }
        }
    }
    let own_peak = own_peak_mib();
    let monitor = Monitor::start(fixture)?;
    println!(
        "| {rounds} rounds, in turns | wall ms: min / median / max | CPU ms | peak RSS MiB | × minimal | D-Bus calls |"
    );
    println!("|---|---|---|---|---|---|");
    let median = |runs: &[Run]| of(runs, |run| millis(run.wall)).median();
    let mut ratios = Vec::new();
    for (contender, own) in Contender::ALL.into_iter().zip(&runs) {
        let wall = of(own, |run| millis(run.wall));
        let ratio = wall.median() / median(&runs[1]);
        let peak = of(own, |run| run.peak_kib as f64 / 1024.0).max();
        let calls = monitor.count(&mut contender.command(fixture)?)?;
        println!(
            "| {} | {} | {:.2} | {peak:.1} | {ratio:.2} | {calls} |",
            contender.name(),
            wall.triple(),
            of(own, |run| millis(run.cpu)).median(),
        );
        if contender == Contender::Keychain {
            bars.hold("D-Bus calls", calls as f64, MOST_CALLS);
            bars.hold("peak RSS, MiB", peak, MOST_MIB);
        }
        ratios.push(ratio);
    }
    println!(
        "\nA peak RSS below the bench's own {own_peak:.1} MiB shows as that: Linux counts from before exec."
    );
    Ok(ratios[0])
}

/// One run that went right; only if the keyring had ended it may go wrong.
fn one(contender: Contender, fixture: &mut Fixture, bars: &mut Bars) -> Result<Run, String> {
    loop {
        let run = process::run(&mut contender.command(fixture)?);
        let run = run.map_err(|error| format!("{}: {error}", contender.name()))?;
        match contender.check(&run) {
            Ok(()) => return Ok(run),
            Err(why) if !fixture.revive_keyring()? => return Err(why),
            Err(_) => bars.aborts += 1,
        }
    }
}

/// Many started together; gives the ratio of the medians of the times until all are done.
fn at_once(fixture: &mut Fixture, bursts: usize, bars: &mut Bars) -> Result<f64, String> {
    println!(
        "\n| at once | rounds | all done ms: min / median / max | process ms: median / slowest | failures |"
    );
    println!("|---|---|---|---|---|");
    let mut ratio = f64::NAN;
    for (count, rounds) in [(MANY, bursts), (VERY_MANY, VERY_MANY_ROUNDS)] {
        let pair = [Contender::Keychain, Contender::Raw];
        let mut bursts = [Burst::default(), Burst::default()];
        for _ in 0..rounds {
            for (contender, burst) in pair.into_iter().zip(&mut bursts) {
                burst.add(contender, fixture, count)?;
                if fixture.revive_keyring()? {
                    bars.aborts += 1;
                }
            }
        }
        for (contender, burst) in pair.into_iter().zip(&bursts) {
            let (all, each) = (Figures::of(&burst.all_done), Figures::of(&burst.each));
            println!(
                "| {count} × {} | {rounds} | {} | {:.1} / {:.1} | {} |",
                contender.name(),
                all.triple(),
                each.median(),
                each.max(),
                burst.failures.len(),
            );
            for why in burst.failures.iter().take(3) {
                eprintln!("{why}");
            }
        }
        if count == MANY {
            let [ours, minimal] = &bursts;
            let median = |times: &[f64]| Figures::of(times).median();
            ratio = median(&ours.all_done) / median(&minimal.all_done);
        }
        bars.hold(
            &format!("failures of {count} at once"),
            bursts[0].failures.len() as f64,
            0.0,
        );
    }
    Ok(ratio)
}

#[derive(Default)]
struct Burst {
    all_done: Vec<f64>,
    each: Vec<f64>,
    failures: Vec<String>,
}

impl Burst {
    fn add(&mut self, contender: Contender, fixture: &Fixture, count: usize) -> Result<(), String> {
        let commands: Result<Vec<_>, String> =
            (0..count).map(|_| contender.command(fixture)).collect();
        let (all_done, runs) = process::burst(commands?).map_err(|error| error.to_string())?;
        self.all_done.push(millis(all_done));
        self.each.extend(runs.iter().map(|run| millis(run.wall)));
        self.failures
            .extend(runs.iter().filter_map(|run| contender.check(run).err()));
        Ok(())
    }
}

#[derive(Default)]
struct Bars {
    /// How often gnome-keyring ended by itself.
    aborts: usize,
    lines: Vec<String>,
    missed: Vec<String>,
}

impl Bars {
    fn hold(&mut self, what: &str, figure: f64, most: f64) {
        let line = format!("{what}: {figure:.2} (at most {most})");
        if figure <= most {
            self.lines.push(format!("- {line}"));
        } else {
            self.lines.push(format!("- {line}: MISSED"));
            self.missed.push(line);
        }
    }
}

/// Sorted; never empty.
struct Figures(Vec<f64>);

impl Figures {
    fn of(figures: &[f64]) -> Figures {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Figures(sorted)
    }

    fn median(&self) -> f64 {
        let upper = self.0.len() / 2;
        let lower = (self.0.len() - 1) / 2;
        f64::midpoint(self.0[lower], self.0[upper])
    }

    fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    fn triple(&self) -> String {
        format!(
            "{:.2} / **{:.2}** / {:.2}",
            self.0[0],
            self.median(),
            self.max()
        )
    }
}

fn of(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Figures {
    Figures::of(&runs.iter().map(figure).collect::<Vec<f64>>())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The most memory that this process ever had, which its children start from.
fn own_peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
