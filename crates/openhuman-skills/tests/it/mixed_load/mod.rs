//! Calls, schedules and events at once. The full size runs in `cargo xtask bench skills`.

mod load;

use load::{Size, run};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_lost_in_a_mixed_load() {
    let size = Size {
        skills: 200,
        calls: 400,
        schedules: 5,
        events: 5,
    };
    let report = run(&size).await.unwrap();
    println!(
        "{:?}: {} calls ({} refusals), {} schedules, {} events ({} refused), threads {} to {}",
        report.wall,
        report.calls,
        report.calls_busy,
        report.cron,
        report.events,
        report.events_refused,
        report.threads_before,
        report.threads_most
    );
}
