//! Amounts of processor and memory (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).

use serde_json::Value;

const SCALES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The number that a quantity stands for, for example `500m` or `1Gi`; zero where it is none.
pub(in crate::tools::kubernetes) fn parse(text: &str) -> f64 {
    let text = text.trim();
    let plain = text.parse::<f64>().ok();
    let scaled =
        || SCALES.iter().find_map(|(suffix, scale)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * scale));
    plain.or_else(scaled).unwrap_or(0.0)
}

/// A part of a whole, for example `35%`; nothing where there is no whole.
pub(in crate::tools::kubernetes) fn percent(part: f64, whole: f64) -> Value {
    if whole <= 0.0 { Value::Null } else { format!("{:.0}%", part / whole * 100.0).into() }
}

/// Processors: `1.5`, or `250m` for less than one.
pub(super) fn processors(amount: f64) -> String {
    if amount < 1.0 { format!("{:.0}m", amount * 1e3) } else { format!("{}", (amount * 100.0).round() / 100.0) }
}

/// Bytes in the largest unit that fits: `1.5Gi`.
pub(super) fn bytes(amount: f64) -> String {
    let units = [("Ti", 1_099_511_627_776.0), ("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)];
    match units.iter().find(|(_, scale)| amount >= *scale) {
        Some((unit, scale)) => format!("{}{unit}", (amount / scale * 10.0).round() / 10.0),
        None => format!("{amount:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers_with_their_unit() {
        for (text, number) in [
            ("500m", 0.5),
            ("2", 2.0),
            ("1.5", 1.5),
            ("1Gi", 1_073_741_824.0),
            ("64Mi", 67_108_864.0),
            ("12e6", 12e6),
            ("3M", 3e6),
            ("120000000n", 0.12),
            ("1E", 1e18),
            ("", 0.0),
            ("x", 0.0),
        ] {
            assert!((parse(text) - number).abs() <= number * 1e-9, "{text}: {}", parse(text));
        }
        assert_eq!(bytes(parse("1536Mi")), "1.5Gi");
        assert_eq!(processors(parse("250m")), "250m");
        assert_eq!(processors(64.0), "64");
        assert_eq!(percent(1.0, 3.0), "33%");
    }
}
