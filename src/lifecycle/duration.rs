//! Lengths of time as platforms write them and logs show them: the grammar of Go's `time` package.

use std::time::Duration;

const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// Reads a duration such as `336h` or `1h30m0.5s`. Negative and over-long ones (more than 2^63 ns) are none: no input
/// has a use for them.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total = nanoseconds(number, *nanos).and_then(|part| total.checked_add(part))?;
        rest = &tail[unit.len()..];
    }
    i64::try_from(total)
        .is_ok()
        .then_some(Duration::from_nanos(total))
}

/// `number` (digits with at most one point) times `unit`.
fn nanoseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut scale = unit;
    let mut part = 0;
    for digit in fraction.chars() {
        scale /= 10;
        part += scale * u64::from(digit.to_digit(10)?);
    }
    whole.checked_mul(unit)?.checked_add(part)
}

/// A duration in the form `1h2m3.5s`; below a second the unit is `ms`, `µs` or `ns`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (scale, unit) = match nanos {
        0 => return "0s".into(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let rest = decimal(nanos % 60_000_000_000, 1_000_000_000);
            return match (seconds / 3_600, seconds / 60 % 60) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            };
        }
    };
    format!("{}{unit}", decimal(nanos, scale))
}

/// `value / scale` without trailing zeros; `scale` is a power of ten.
fn decimal(value: u128, scale: u128) -> String {
    let width = scale.ilog10() as usize;
    let (whole, fraction) = (value / scale, value % scale);
    let digits = format!("{fraction:0width$}");
    match digits.trim_end_matches('0') {
        "" => whole.to_string(),
        digits => format!("{whole}.{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a, T: PartialEq + std::fmt::Debug>(
        read: impl Fn(&'a str) -> T,
        expected: &T,
        texts: &[&'a str],
    ) {
        for text in texts {
            assert_eq!(read(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn durations_read() {
        rows(
            parse,
            &Some(Duration::from_secs(5_400)),
            &["1h30m", "90m", "5400s", "+1.5h", "1h1800s"],
        );
        rows(
            parse,
            &Some(Duration::from_micros(1_500)),
            &["1.5ms", "1500us", "1500µs", "1500μs", "1.500ms", "1ms500us"],
        );
        rows(parse, &Some(Duration::ZERO), &["0", "0s", "+0", ".0s"]);
        let bad = [
            "",
            "h",
            "1",
            ".",
            ".s",
            "1.2.3s",
            "1d",
            "-1h",
            "1h 1m",
            "9223372036854775808ns",
            "99999999999h",
        ];
        rows(parse, &None, &bad);
    }

    #[test]
    fn durations_written() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_001_000_000, "4m5.001s"),
            (1_209_600_000_000_000, "336h0m0s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0..=i64::MAX as u64) {
            let time = Duration::from_nanos(nanos);
            proptest::prop_assert_eq!(parse(&format(time)), Some(time));
        }

        #[test]
        fn any_text_gets_an_answer(text in "[0-9.+hmsnuµ-]{0,12}|\\PC*") {
            let _ = parse(&text);
        }
    }
}
