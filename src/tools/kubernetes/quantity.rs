//! Amounts of processor and memory (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).

use serde_json::Value;

use super::model::Amounts;

/// The number that a quantity stands for, for example `500m` or `1Gi`: cores, bytes or pieces. None where it is no quantity.
pub(super) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let scale = match &text[end..] {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024_f64,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * scale)
}

/// What there is of a resource, for example of `cpu`.
pub(super) fn of(amounts: &Amounts, resource: &str) -> Option<f64> {
    parse(amounts.get(resource)?)
}

/// A part of a whole, for example `35%`; nothing where there is no whole.
pub(super) fn percent(part: f64, whole: f64) -> Value {
    // Sums of nothing are -0.
    if whole <= 0.0 { Value::Null } else { format!("{:.0}%", part / whole * 100.0 + 0.0).into() }
}

/// Processors as people say them: `1.5`, or `250m` for less than one.
pub(super) fn processors(amount: f64) -> String {
    if amount < 1.0 { format!("{:.0}m", amount * 1e3) } else { format!("{}", (amount * 100.0).round() / 100.0) }
}

/// Processors in thousandths, rounded up, so that one can be held against another: `1500m`.
pub(super) fn millicores(amount: f64) -> String {
    format!("{}m", (amount * 1000.0).ceil())
}

/// Bytes in the largest unit that fits: `1.5Gi`.
pub(super) fn bytes(amount: f64) -> String {
    let units = [("Ti", 1024_f64.powi(4)), ("Gi", 1024_f64.powi(3)), ("Mi", 1024_f64.powi(2)), ("Ki", 1024_f64)];
    match units.iter().find(|(_, scale)| amount >= *scale) {
        Some((unit, scale)) => format!("{}{unit}", (amount / scale * 10.0).round() / 10.0),
        None => format!("{amount:.0}"),
    }
}

/// Bytes in Mi, rounded up, so that one can be held against another: `1536Mi`.
pub(super) fn mebibytes(amount: f64) -> String {
    format!("{}Mi", (amount / 1024.0 / 1024.0).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_notation() {
        for (text, expected) in [
            ("150m", 0.15),
            ("500m", 0.5),
            ("2", 2.0),
            ("1500000n", 0.0015),
            ("120000000n", 0.12),
            ("1.5", 1.5),
            ("64Mi", 67_108_864.0),
            ("1Ki", 1024.0),
            ("1Gi", 1_073_741_824.0),
            ("1G", 1e9),
            ("3M", 3e6),
            ("12e3", 12_000.0),
            ("12e6", 12e6),
            ("1E", 1e18),
        ] {
            let number = parse(text).unwrap();
            assert!((number - expected).abs() <= expected * 1e-9, "{text}: {number}");
        }
        for text in ["", "m", "x", "1x", "1ee3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_with_their_unit() {
        let number = |text| parse(text).unwrap();
        assert_eq!(bytes(number("1536Mi")), "1.5Gi");
        assert_eq!(mebibytes(50_331_648.0), "48Mi");
        assert_eq!(processors(number("250m")), "250m");
        assert_eq!(processors(64.0), "64");
        assert_eq!(millicores(0.0251), "26m");
        assert_eq!(percent(1.0, 3.0), "33%");
        assert_eq!(percent([].iter().sum(), 3.0), "0%");
    }
}
