use std::io::{IsTerminal as _, stdout};

use chrono::SecondsFormat;
use rustix::termios::tcgetwinsize;
use slipway_models::functions::{StatsBody, StatsBucket, StatsFigures, StatsPeriod};

use crate::arguments::Stats;
use crate::commands::find;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where the terminal does not tell.
const COLUMNS: usize = 80;
/// What stands beside a chart: its name, and its highest value.
const MARGIN: usize = 24;

/// Prints what a function's runs come to: for a person with charts, else with a row for each part of the period that
/// had a run.
pub(crate) async fn run(options: &Stats, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    let stats = client.stats(function.id, options.period).await?;
    if output.is_json() {
        return output::value(&stats);
    }
    output::line(&summary(&function.name, &stats))?;
    if stats.totals.calls == 0 {
        return Ok(());
    }
    if !stdout().is_terminal() {
        return rows(&stats.buckets);
    }
    let columns = tcgetwinsize(stdout()).map_or(COLUMNS, |size| usize::from(size.ws_col));
    output::line(&charts(&stats.buckets, columns))
}

fn summary(name: &str, stats: &StatsBody) -> String {
    let (span, step) = match stats.period {
        StatsPeriod::Hour => ("hour", "minute"),
        StatsPeriod::Day => ("24 hours", "15 minutes"),
        StatsPeriod::Week => ("7 days", "2 hours"),
        StatsPeriod::Month => ("30 days", "6 hours"),
    };
    let StatsFigures { calls, errors, cold_starts, .. } = stats.totals;
    let totals = &stats.totals;
    let memory = totals.peak_memory_bytes.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    let mut lines = vec![
        format!("{name}: the last {span}, by {step}"),
        format!("calls   {calls}, {errors} failed, {cold_starts} cold"),
        format!(
            "time    p50 {}  p95 {}  p99 {}  queue p95 {}",
            milliseconds(totals.p50_ms),
            milliseconds(totals.p95_ms),
            milliseconds(totals.p99_ms),
            milliseconds(totals.queue_p95_ms),
        ),
        format!("peaks   memory {memory}  CPU {}", milliseconds(totals.peak_cpu_ms)),
    ];
    lines.extend(totals.errors_by_kind.iter().map(|(kind, count)| format!("failed  {count} x {kind}")));
    lines.join("\n")
}

fn rows(buckets: &[StatsBucket]) -> Result<(), Failure> {
    let busy = buckets.iter().filter(|bucket| bucket.figures.calls > 0);
    let rows: Vec<_> = busy
        .map(|StatsBucket { start, figures }| {
            [
                start.to_rfc3339_opts(SecondsFormat::Secs, true),
                figures.calls.to_string(),
                figures.errors.to_string(),
                milliseconds(figures.p50_ms),
                milliseconds(figures.p95_ms),
                milliseconds(figures.p99_ms),
            ]
        })
        .collect();
    output::table(["FROM", "CALLS", "FAILED", "P50", "P95", "P99"], &rows)
}

fn charts(buckets: &[StatsBucket], columns: usize) -> String {
    let width = columns.saturating_sub(MARGIN).max(BARS.len());
    let (calls, most) =
        chart(buckets, width, |figures| u32::try_from(figures.calls).unwrap_or(u32::MAX).into());
    let (p95, longest) = chart(buckets, width, |figures| figures.p95_ms.unwrap_or_default());
    format!("calls  {calls}  max {most:.0}\np95    {p95}  max {}", milliseconds(Some(longest)))
}

/// Draws a figure over time, at most `width` columns wide; returns it with the highest value. Where buckets share a
/// column, the highest of them shows.
fn chart(buckets: &[StatsBucket], width: usize, figure: fn(&StatsFigures) -> f64) -> (String, f64) {
    let highest =
        |part: &[StatsBucket]| part.iter().map(|bucket| figure(&bucket.figures)).fold(0.0, f64::max);
    let heights: Vec<f64> = buckets.chunks(buckets.len().div_ceil(width).max(1)).map(highest).collect();
    let top = heights.iter().copied().fold(0.0, f64::max);
    let bar = |height: f64| {
        let mut steps = BARS.iter().zip(1_u8..);
        let reached = steps.find(|(_, step)| height * 8.0 <= top * f64::from(*step));
        reached.map_or(' ', |(bar, _)| *bar)
    };
    (heights.iter().map(|height| if *height > 0.0 { bar(*height) } else { ' ' }).collect(), top)
}

fn milliseconds(span: Option<f64>) -> String {
    match span {
        None => "-".to_owned(),
        Some(span) if span < 1_000.0 => format!("{span:.1} ms"),
        Some(span) => format!("{:.2} s", span / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use slipway_kernel::{Clock as _, SystemClock};

    use super::*;

    fn buckets(calls: &[u64]) -> Vec<StatsBucket> {
        let bucket = |calls: &u64| StatsBucket {
            start: SystemClock.now(),
            figures: StatsFigures {
                calls: *calls,
                errors: 0,
                errors_by_kind: std::collections::BTreeMap::new(),
                p50_ms: None,
                p95_ms: None,
                p99_ms: None,
                queue_p95_ms: None,
                cold_starts: 0,
                peak_memory_bytes: None,
                peak_cpu_ms: None,
            },
        };
        calls.iter().map(bucket).collect()
    }

    #[test]
    fn a_bar_is_as_high_as_its_share_of_the_highest() {
        let chart = charts(&buckets(&[0, 1, 4, 8, 800_000]), COLUMNS);
        assert_eq!(chart, "calls   ▁▁▁█  max 800000\np95           max 0.0 ms");
        let chart = charts(&buckets(&[1, 2, 3, 4, 5, 6, 7, 8]), COLUMNS);
        assert!(chart.starts_with("calls  ▁▂▃▄▅▆▇█  max 8\n"), "{chart}");
    }

    #[test]
    fn a_chart_fits_a_narrow_terminal_and_hides_no_peak() {
        let mut calls = [1; 120];
        calls[77] = 90;
        let (chart, top) =
            chart(&buckets(&calls), 40, |figures| u32::try_from(figures.calls).unwrap().into());
        assert_eq!((chart.chars().count(), chart.matches('█').count()), (40, 1));
        assert!((top - 90.0).abs() < f64::EPSILON);
    }

    #[test]
    fn spans_are_written_in_the_unit_that_fits() {
        let texts = [None, Some(0.26), Some(999.0), Some(1_234.0)].map(milliseconds);
        assert_eq!(texts, ["-", "0.3 ms", "999.0 ms", "1.23 s"]);
    }
}
