//! Times as image configurations, log lines and free-form data have them.

use toml_datetime::{Datetime, Offset, Time};

/// `seconds` since the Unix epoch as RFC 3339 in UTC, e.g. `1980-01-01T00:00:01Z`.
pub fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date after Howard Hinnant's algorithm, eras of 400 years starting at 0000-03-01.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A TOML date or time in the reference's form: seconds always present, no trailing zeros in fractions (FACTS 3.1).
pub(crate) fn datetime_text(value: &Datetime) -> String {
    let date = value.date.map(|date| date.to_string());
    let time = value
        .time
        .map(|time| time_text(time) + &offset_text(value.offset));
    date.into_iter().chain(time).collect::<Vec<_>>().join("T")
}

/// The same as a point in time, as the reference writes it to JSON: local ones become UTC, dates midnight, times a
/// time of the first of January of the year zero (FACTS 3.3).
pub(crate) fn datetime_instant_text(value: &Datetime) -> String {
    let date = value
        .date
        .map_or_else(|| "0000-01-01".to_owned(), |date| date.to_string());
    let time = value.time.map_or_else(|| "00:00:00".to_owned(), time_text);
    format!(
        "{date}T{time}{}",
        offset_text(Some(value.offset.unwrap_or(Offset::Z)))
    )
}

fn time_text(time: Time) -> String {
    let whole = format!(
        "{:02}:{:02}:{:02}",
        time.hour,
        time.minute,
        time.second.unwrap_or_default()
    );
    match time.nanosecond.unwrap_or_default() {
        0 => whole,
        nanosecond => format!(
            "{whole}.{}",
            format!("{nanosecond:09}").trim_end_matches('0')
        ),
    }
}

fn offset_text(offset: Option<Offset>) -> String {
    match offset {
        None => String::new(),
        Some(Offset::Z | Offset::Custom { minutes: 0 }) => "Z".to_owned(),
        Some(offset) => offset.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_of_toml() {
        for (text, toml, json) in [
            (
                "1979-05-27T00:32:00.990-07:00",
                "1979-05-27T00:32:00.99-07:00",
                "1979-05-27T00:32:00.99-07:00",
            ),
            (
                "1979-05-27 00:32:00+00:00",
                "1979-05-27T00:32:00Z",
                "1979-05-27T00:32:00Z",
            ),
            (
                "1979-05-27T00:32",
                "1979-05-27T00:32:00",
                "1979-05-27T00:32:00Z",
            ),
            ("1979-05-27", "1979-05-27", "1979-05-27T00:00:00Z"),
            ("07:32:00.5", "07:32:00.5", "0000-01-01T07:32:00.5Z"),
        ] {
            let value: Datetime = text.parse().unwrap();
            assert_eq!(
                (datetime_text(&value), datetime_instant_text(&value)),
                (toml.to_owned(), json.to_owned())
            );
        }
    }

    #[test]
    fn known_times() {
        for (seconds, text) in [
            (315_532_801, "1980-01-01T00:00:01Z"),
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
