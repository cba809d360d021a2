//! Costs as a table and as JSON.

/// What a command took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_kilobytes: f64,
    /// Requests to the registry, where they were counted.
    pub(crate) requests: Option<usize>,
}

/// A row of the table: its name and the cost of every round.
pub(crate) type Row = (&'static str, Vec<Cost>);

/// Each number's median on its own.
fn median(costs: &[Cost]) -> Cost {
    let of = |number: fn(&Cost) -> f64| {
        let mut numbers: Vec<f64> = costs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Cost {
        seconds: of(|cost| cost.seconds),
        cpu_seconds: of(|cost| cost.cpu_seconds),
        peak_kilobytes: of(|cost| cost.peak_kilobytes),
        requests: costs.iter().find_map(|cost| cost.requests),
    }
}

pub(crate) fn print(columns: &[Vec<Row>]) {
    let [subject, rest @ ..] = columns else {
        return;
    };
    println!(
        "{:<34} {:>9} {:>9} {:>9}   ratios baseline/subject",
        "", "time s", "CPU s", "RSS MB"
    );
    for (index, (name, costs)) in subject.iter().enumerate() {
        let ours = median(costs);
        print_line(name, ours, "");
        for (_, costs) in rest.iter().filter_map(|column| column.get(index)) {
            let theirs = median(costs);
            let ratios = format!(
                "   {:.2}x time, {:.2}x CPU, {:.2}x RSS",
                theirs.seconds / ours.seconds,
                theirs.cpu_seconds / ours.cpu_seconds,
                theirs.peak_kilobytes / ours.peak_kilobytes,
            );
            print_line("  baseline", theirs, &ratios);
        }
    }
}

fn print_line(name: &str, cost: Cost, end: &str) {
    let requests = match cost.requests {
        Some(requests) => format!("   {requests} requests"),
        None => String::new(),
    };
    println!(
        "{name:<34} {:>9.3} {:>9.3} {:>9.1}{end}{requests}",
        cost.seconds,
        cost.cpu_seconds,
        cost.peak_kilobytes / 1e3
    );
}

/// Every round of every row, by lifecycle.
pub(crate) fn to_json(directories: &[&str], columns: &[Vec<Row>]) -> serde_json::Value {
    let list =
        |costs: &[Cost], number: fn(&Cost) -> f64| costs.iter().map(number).collect::<Vec<_>>();
    let row = |(name, costs): &Row| {
        serde_json::json!({
            "name": name,
            "seconds": list(costs, |cost| cost.seconds),
            "cpu_seconds": list(costs, |cost| cost.cpu_seconds),
            "peak_kilobytes": list(costs, |cost| cost.peak_kilobytes),
            "requests": costs.iter().find_map(|cost| cost.requests),
        })
    };
    let lifecycle = |(directory, column): (&&str, &Vec<Row>)| {
        serde_json::json!({
            "lifecycle": directory,
            "rows": column.iter().map(row).collect::<Vec<_>>(),
        })
    };
    directories.iter().zip(columns).map(lifecycle).collect()
}
