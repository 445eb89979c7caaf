//! Quantities of CPU and memory (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).

/// A quantity as a number: cores, or bytes.
pub(super) fn parse(text: &str) -> Option<f64> {
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

/// Cores, in thousandths.
pub(super) fn cores(cores: f64) -> String {
    format!("{}m", (cores * 1000.0).ceil())
}

/// Bytes, in Mi.
pub(super) fn bytes(bytes: f64) -> String {
    format!("{}Mi", (bytes / 1024.0 / 1024.0).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_notation() {
        for (text, expected) in [
            ("150m", 0.15),
            ("2", 2.0),
            ("1500000n", 0.0015),
            ("1.5", 1.5),
            ("64Mi", 67_108_864.0),
            ("1Ki", 1024.0),
            ("1G", 1e9),
            ("12e3", 12_000.0),
            ("1E", 1e18),
        ] {
            let number = parse(text).unwrap();
            assert!((number - expected).abs() <= expected * 1e-9, "{text}: {number}");
        }
        for text in ["", "m", "1x", "1ee3"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!((cores(0.0251), bytes(50_331_648.0)), ("26m".to_owned(), "48Mi".to_owned()));
    }
}
