//! An exact decimal number, as sources write them: integers, digits with a point, bytes with a scale.

use std::fmt;

/// The most digits kept; more than any column of the contract can hold, and safe in 128 bits.
const MOST_DIGITS: u32 = 36;

/// `mantissa` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    mantissa: i128,
    scale: i32,
}

impl Number {
    pub(super) fn integer(value: i64) -> Self {
        Self {
            mantissa: i128::from(value),
            scale: 0,
        }
    }

    /// Big-endian two's complement. `None` when it is longer than 128 bits.
    pub(super) fn from_bytes(bytes: &[u8], scale: i32) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > 16 || scale.unsigned_abs() > MOST_DIGITS {
            return None;
        }
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
        let mut wide = [sign; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        Some(Self {
            mantissa: i128::from_be_bytes(wide),
            scale,
        })
    }

    /// Digits, with a sign, a point and an exponent if need be.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if whole.is_empty() && fraction.is_empty() || !all().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut mantissa: i128 = 0;
        for digit in all() {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if scale.unsigned_abs() > 400 {
            return None;
        }
        Some(Self {
            mantissa: if negative { -mantissa } else { mantissa },
            scale,
        })
    }

    /// The number as an integer, if it is one.
    pub(super) fn as_integer(self) -> Option<i64> {
        let Self { mantissa, scale } = self.trimmed();
        match scale {
            0 => i64::try_from(mantissa).ok(),
            ..0 => i64::try_from(mantissa.checked_mul(power_of_ten(scale.unsigned_abs())?)?).ok(),
            _ => None,
        }
    }

    /// The mantissa at another scale, rounded half away from zero. `None` when it has more digits than `precision`.
    pub(super) fn at_scale(self, scale: i32, precision: u8) -> Option<i128> {
        let Self { mantissa, scale: own } = self.trimmed();
        let rescaled = if own <= scale {
            mantissa.checked_mul(power_of_ten((scale - own).unsigned_abs())?)?
        } else {
            match power_of_ten((own - scale).unsigned_abs()) {
                Some(divisor) => {
                    let (quotient, remainder) = (mantissa / divisor, mantissa % divisor);
                    let rounds_up = remainder.unsigned_abs() * 2 >= divisor.unsigned_abs();
                    quotient + if rounds_up { mantissa.signum() } else { 0 }
                }
                None => 0,
            }
        };
        (rescaled.unsigned_abs() < power_of_ten(u32::from(precision))?.unsigned_abs()).then_some(rescaled)
    }

    /// The same number without zeros at its end.
    fn trimmed(self) -> Self {
        let Self {
            mut mantissa,
            mut scale,
        } = self;
        if mantissa == 0 {
            return Self { mantissa: 0, scale: 0 };
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }
}

impl fmt::Display for Number {
    /// The shortest exact form: `12`, `-0.5`; never an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mantissa, scale } = self.trimmed();
        let sign = if mantissa < 0 { "-" } else { "" };
        let digits = mantissa.unsigned_abs().to_string();
        let places = usize::try_from(scale).unwrap_or(0);
        if scale <= 0 {
            let zeros = if mantissa == 0 {
                0
            } else {
                scale.unsigned_abs() as usize
            };
            return write!(f, "{sign}{digits}{}", "0".repeat(zeros));
        }
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_print_in_their_shortest_exact_form() {
        for (written, canonical) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("12", "12"),
            ("12.50", "12.5"),
            ("-0.05", "-0.05"),
            ("1.0E-1", "0.1"),
            ("2.5e3", "2500"),
            ("+7.", "7"),
            (".5", "0.5"),
        ] {
            assert_eq!(parse(written).to_string(), canonical, "{written}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1,5",
            "0x10",
            "NaN",
            "inf",
            "1e",
            "1e999999",
            "١",
            "1 2",
            &"9".repeat(60),
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_decimal_is_rounded_half_away_from_zero_and_held_to_its_precision() {
        assert_eq!(parse("0.6667").at_scale(3, 9), Some(667));
        assert_eq!(parse("0.0005").at_scale(3, 9), Some(1));
        assert_eq!(parse("-0.0005").at_scale(3, 9), Some(-1));
        assert_eq!(parse("0.00049").at_scale(3, 9), Some(0));
        assert_eq!(parse("999999.999").at_scale(3, 9), Some(999_999_999));
        assert_eq!(parse("1000000").at_scale(3, 9), None);
        assert_eq!(parse("1e-300").at_scale(3, 9), Some(0));
    }

    #[test]
    fn only_whole_numbers_are_integers() {
        assert_eq!(parse("12.000").as_integer(), Some(12));
        assert_eq!(parse("1.2e1").as_integer(), Some(12));
        assert_eq!(parse("12.5").as_integer(), None);
        assert_eq!(parse("9223372036854775808").as_integer(), None);
        assert_eq!(parse("-9223372036854775808").as_integer(), Some(i64::MIN));
    }

    #[test]
    fn bytes_are_big_endian_twos_complement() {
        assert_eq!(Number::from_bytes(&[0x02, 0x5e], 3).unwrap().to_string(), "0.606");
        assert_eq!(Number::from_bytes(&[0xff], 1).unwrap().to_string(), "-0.1");
        assert_eq!(Number::from_bytes(&[], 1), None);
        assert_eq!(Number::from_bytes(&[0; 17], 1), None);
    }
}
