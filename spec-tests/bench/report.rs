//! Costs as a table and as JSON.

use crate::Result;
use crate::image::Exported;
use serde_json::{Value, json};
use std::process::Command;
use std::thread;

/// What a command took.
#[derive(Clone, Default)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_kilobytes: f64,
    /// Requests to the registry, of a phase that talks to one.
    pub(crate) requests: Option<usize>,
    /// The image that an export wrote.
    pub(crate) exported: Option<Exported>,
}

/// A row of the table.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) name: &'static str,
    /// One per round.
    pub(crate) costs: Vec<Cost>,
}

impl Row {
    /// Whether both are about the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.part, self.name) == (other.part, other.name)
    }

    fn median(&self, number: fn(&Cost) -> f64) -> f64 {
        let mut numbers: Vec<f64> = self.costs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn exported(&self) -> impl Iterator<Item = &Exported> {
        self.costs.iter().filter_map(|cost| cost.exported.as_ref())
    }

    fn gzip_bytes(&self) -> Option<u64> {
        self.exported().map(|exported| exported.gzip_bytes).next()
    }

    fn requests(&self) -> Option<usize> {
        self.costs.iter().find_map(|cost| cost.requests)
    }
}

/// Whether all lifecycles wrote the same image in every round; `None` for what is no export.
fn same_image(rows: &[&Row]) -> Option<bool> {
    let mut configs = rows
        .iter()
        .flat_map(|row| row.exported())
        .map(|exported| &exported.config);
    let first = configs.next()?;
    Some(configs.all(|config| config == first))
}

/// The rows of all lifecycles that are about the same.
fn matching<'a>(row: &Row, columns: &'a [Vec<Row>]) -> Vec<&'a Row> {
    let find = |column: &'a Vec<Row>| column.iter().find(|other| other.is(row));
    columns.iter().filter_map(find).collect()
}

/// Prints medians of the first column, the subject, and those of the others with their ratios to it.
pub(crate) fn print(columns: &[Vec<Row>]) {
    println!(
        "{:<44} {:>9} {:>9} {:>9}   ratios baseline/subject",
        "", "time s", "CPU s", "RSS MB"
    );
    for row in columns.first().into_iter().flatten() {
        let rows = matching(row, columns);
        print_line(&format!("{}: {}", row.part, row.name), row, "");
        for theirs in rows.iter().skip(1) {
            let ratio = |number: fn(&Cost) -> f64| theirs.median(number) / row.median(number);
            let mut end = format!(
                "   {:.2}x time, {:.2}x CPU, {:.2}x RSS",
                ratio(|cost| cost.seconds),
                ratio(|cost| cost.cpu_seconds),
                ratio(|cost| cost.peak_kilobytes),
            );
            if same_image(&rows) == Some(false) {
                end += ", ANOTHER IMAGE";
            }
            print_line("  baseline", theirs, &end);
        }
    }
}

fn print_line(name: &str, row: &Row, end: &str) {
    let requests = row.requests().map(|count| format!("   {count} requests"));
    let gzip = row
        .gzip_bytes()
        .map(|bytes| format!("   {:.1} MB gzip", bytes as f64 / 1e6));
    println!(
        "{name:<44} {:>9.3} {:>9.3} {:>9.1}{end}{}{}",
        row.median(|cost| cost.seconds),
        row.median(|cost| cost.cpu_seconds),
        row.median(|cost| cost.peak_kilobytes) / 1e3,
        requests.unwrap_or_default(),
        gzip.unwrap_or_default(),
    );
}

/// Every round of every row; the crate's documentation says what is where.
///
/// # Errors
/// There is no `date`.
pub(crate) fn to_json(rounds: usize, columns: &[Vec<Row>]) -> Result<Value> {
    let list =
        |row: &Row, number: fn(&Cost) -> f64| row.costs.iter().map(number).collect::<Vec<_>>();
    let costs = |row: &&Row| {
        json!({
            "seconds": list(row, |cost| cost.seconds),
            "cpu_seconds": list(row, |cost| cost.cpu_seconds),
            "peak_kilobytes": list(row, |cost| cost.peak_kilobytes),
            "requests": row.requests(),
            "gzip_bytes": row.gzip_bytes(),
        })
    };
    let row = |row: &Row| {
        let rows = matching(row, columns);
        json!({
            "part": row.part,
            "name": row.name,
            "subject": rows.first().map(costs),
            "baseline": rows.get(1).map(costs),
            "same_image": same_image(&rows),
        })
    };
    let rows: Vec<Value> = columns.first().into_iter().flatten().map(row).collect();
    let date = Command::new("date").args(["-u", "+%F"]).output()?.stdout;
    Ok(json!({
        "date": String::from_utf8(date)?.trim(),
        "processors": thread::available_parallelism()?.get(),
        "rounds": rounds,
        "rows": rows,
    }))
}
