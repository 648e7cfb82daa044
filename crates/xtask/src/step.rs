//! A step: a name, a time limit, and what it does.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::Invocation;

/// Where a step makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Systems {
    All,
    Linux,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Programs, one after the other.
    Programs(Vec<Invocation>),
    /// A check inside this program.
    Check(Box<dyn Check>),
}

/// A check inside this program.
pub(crate) trait Check: std::fmt::Debug {
    /// What is checked, for listings.
    fn describe(&self) -> &'static str;

    /// Fails with what is wrong and what to do.
    fn run(&self, limit: Duration) -> Result<(), Failure>;
}

/// One line of a plan.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// For each program of the step. Meant to end what hangs, so it is far above the usual time.
    pub(crate) limit: Duration,
    pub(crate) systems: Systems,
    pub(crate) action: Action,
}

impl Step {
    pub(crate) fn programs(name: &'static str, minutes: u64, programs: Vec<Invocation>) -> Step {
        let limit = Duration::from_secs(60 * minutes);
        Step {
            name,
            limit,
            systems: Systems::All,
            action: Action::Programs(programs),
        }
    }

    pub(crate) fn check(name: &'static str, minutes: u64, check: impl Check + 'static) -> Step {
        let limit = Duration::from_secs(60 * minutes);
        Step {
            name,
            limit,
            systems: Systems::All,
            action: Action::Check(Box::new(check)),
        }
    }

    pub(crate) fn on_linux(self) -> Step {
        Step {
            systems: Systems::Linux,
            ..self
        }
    }

    fn runs_here(&self) -> bool {
        self.systems == Systems::All || cfg!(target_os = "linux")
    }

    fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Programs(programs) => programs.iter().try_for_each(|program| {
                println!("   {program}");
                program.run(self.limit)
            }),
            Action::Check(check) => check.run(self.limit),
        }
    }
}

/// The one step with this name.
pub(crate) fn only(steps: Vec<Step>, name: &str) -> Result<Vec<Step>, Failure> {
    let names: Vec<String> = steps.iter().map(|step| format!("  {}", step.name)).collect();
    let chosen: Vec<Step> = steps.into_iter().filter(|step| step.name == name).collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!(
            "no step is named {name:?}; there are:\n{}",
            names.join("\n")
        )));
    }
    Ok(chosen)
}

/// Runs the steps in order and stops at the first failure. Ends with each step's time.
pub(crate) fn run_all(steps: &[Step]) -> Result<(), Failure> {
    let started = Instant::now();
    let mut times = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        println!("\n== {} ({} of {})", step.name, at + 1, steps.len());
        if !step.runs_here() {
            println!("   skipped: this step needs Linux");
            continue;
        }
        let begin = Instant::now();
        step.run().map_err(|failure| {
            let seconds = begin.elapsed().as_secs_f64();
            Failure::new(format!(
                "step `{}` failed after {seconds:.1} s: {failure}",
                step.name
            ))
        })?;
        println!("   {}: {:.1} s", step.name, begin.elapsed().as_secs_f64());
        times.push((step.name, begin.elapsed()));
    }
    println!("\n{}", summary(&times, started.elapsed()));
    Ok(())
}

fn summary(times: &[(&str, Duration)], total: Duration) -> String {
    let width = times.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = times
        .iter()
        .map(|(name, time)| format!("{name:width$} {:8.1} s", time.as_secs_f64()))
        .collect();
    lines.push(format!(
        "{} steps passed in {:.0} s",
        times.len(),
        total.as_secs_f64()
    ));
    lines.join("\n")
}

/// What [`run_all`] would do, as text.
pub(crate) fn listing(steps: &[Step]) -> String {
    let mut lines = Vec::new();
    for step in steps {
        let linux = if step.systems == Systems::Linux {
            ", Linux only"
        } else {
            ""
        };
        lines.push(format!(
            "{} (limit {} min{linux})",
            step.name,
            step.limit.as_secs() / 60
        ));
        match &step.action {
            Action::Programs(programs) => {
                lines.extend(programs.iter().map(|program| format!("   {program}")));
            }
            Action::Check(check) => lines.push(format!("   {}", check.describe())),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[derive(Debug)]
    struct Counted(Rc<Cell<u32>>, Result<(), Failure>);

    impl Check for Counted {
        fn describe(&self) -> &'static str {
            "counts its runs"
        }

        fn run(&self, _: Duration) -> Result<(), Failure> {
            self.0.set(self.0.get() + 1);
            self.1.clone()
        }
    }

    #[test]
    fn the_first_failure_stops_and_names_the_step() {
        let count = Rc::new(Cell::new(0));
        let steps = [
            Step::check("good", 1, Counted(count.clone(), Ok(()))),
            Step::check(
                "bad",
                1,
                Counted(count.clone(), Err(Failure::new("`x` ended with exit code 3"))),
            ),
            Step::check("never", 1, Counted(count.clone(), Ok(()))),
        ];
        let failure = run_all(&steps).unwrap_err();
        assert_eq!(count.get(), 2);
        assert!(failure.0.starts_with("step `bad` failed after"), "{failure}");
        assert!(failure.0.ends_with("`x` ended with exit code 3"), "{failure}");
    }

    #[test]
    fn a_step_is_chosen_by_its_name() {
        let steps = || {
            let check = || Counted(Rc::new(Cell::new(0)), Ok(()));
            vec![Step::check("one", 1, check()), Step::check("two", 1, check())]
        };
        let chosen = only(steps(), "two").unwrap();
        assert_eq!(chosen.iter().map(|step| step.name).collect::<Vec<_>>(), ["two"]);
        let failure = only(steps(), "three").unwrap_err();
        assert_eq!(failure.0, "no step is named \"three\"; there are:\n  one\n  two");
    }

    #[test]
    fn the_listing_shows_programs_and_checks() {
        let call = Invocation::new(std::path::Path::new("."), "cargo", ["fmt"]);
        let steps = [
            Step::programs("format", 5, vec![call]),
            Step::check("count", 1, Counted(Rc::new(Cell::new(0)), Ok(()))).on_linux(),
        ];
        assert_eq!(
            listing(&steps),
            "format (limit 5 min)\n   cargo fmt\ncount (limit 1 min, Linux only)\n   counts its runs"
        );
    }

    #[test]
    fn the_summary_lists_each_step_and_the_total() {
        let times = [
            ("format", Duration::from_millis(1500)),
            ("unit tests", Duration::from_secs(100)),
        ];
        assert_eq!(
            summary(&times, Duration::from_secs(102)),
            "format          1.5 s\nunit tests    100.0 s\n2 steps passed in 102 s"
        );
    }
}
