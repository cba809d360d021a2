//! Floating point numbers as decimal digits: what the TOML and JSON emitters share.

/// The fewest decimal digits that read back as the same number: `0.d₁d₂d₃… × 10^point`.
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    point: i32,
}

impl Decimal {
    /// The digits of a finite number.
    pub(crate) fn of(number: f64) -> Self {
        let (mut digits, mut exponent) = split(&format!("{:e}", number.abs()));
        // Of two shortest candidates at the same distance the reference takes the even one, which rounding to that
        // many digits gives.
        let rounded = format!("{:.*e}", digits.len().saturating_sub(1), number.abs());
        if rounded.parse() == Ok(number.abs()) {
            (digits, exponent) = split(&rounded);
        }
        Self {
            negative: number.is_sign_negative(),
            digits,
            point: exponent + 1,
        }
    }

    /// The exponent in scientific notation.
    pub(crate) fn exponent(&self) -> i32 {
        self.point - 1
    }

    /// Plain notation, e.g. `1200`, `-0.5`.
    pub(crate) fn plain(&self) -> String {
        let mut text = self.sign();
        let length = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        if self.point <= 0 {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', self.point.unsigned_abs() as usize));
            text.push_str(&self.digits);
        } else if self.point >= length {
            text.push_str(&self.digits);
            text.extend(std::iter::repeat_n('0', (self.point - length) as usize));
        } else {
            let (whole, fraction) = self.digits.split_at(self.point as usize);
            text.push_str(whole);
            text.push('.');
            text.push_str(fraction);
        }
        text
    }

    /// Scientific notation with a signed exponent of at least `exponent_digits` digits, e.g. `1.5e+06`.
    pub(crate) fn scientific(&self, exponent_digits: usize) -> String {
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if self.exponent() < 0 { '-' } else { '+' };
        format!(
            "{}{first}{point}{rest}e{sign}{:0exponent_digits$}",
            self.sign(),
            self.exponent().unsigned_abs()
        )
    }

    fn sign(&self) -> String {
        if self.negative {
            "-".to_owned()
        } else {
            String::new()
        }
    }
}

/// The digits and the exponent of a text in scientific notation.
fn split(text: &str) -> (String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (
        mantissa.replace('.', ""),
        exponent.parse().unwrap_or_default(),
    )
}
