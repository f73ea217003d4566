//! Numbers against the slow way: all of them kept, sorted and added up.

use proptest::prelude::*;

use super::*;

fn stats(texts: &[String]) -> Stats {
    let mut stats = Stats::default();
    for text in texts {
        stats.add(&Raw::Number(text.as_bytes()));
    }
    stats
}

fn numbers() -> impl Strategy<Value = Vec<String>> {
    let number = prop_oneof![
        4 => "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?",
        1 => "-?[1-9]\\.[0-9]{1,25}e-?[1-9]{1,2}",
        1 => Just("0".to_string()),
        1 => Just("-0.00".to_string()),
    ];
    prop::collection::vec(number, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_is_as_the_sorted_numbers_have_it(texts in numbers()) {
        let mut sorted: Vec<f64> = texts.iter().map(|text| text.parse::<f64>().unwrap() + 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        let summary = stats(&texts).summary();
        prop_assert_eq!(summary.count, sorted.len() as u64);
        prop_assert_eq!(summary.min.unwrap().parse::<f64>().unwrap() + 0.0, sorted[0]);
        prop_assert_eq!(summary.max.unwrap().parse::<f64>().unwrap() + 0.0, sorted[sorted.len() - 1]);
        for ((_, q), found) in QUANTILES.iter().zip(summary.quantiles) {
            let exact = sorted[(q * (sorted.len() - 1) as f64) as usize];
            prop_assert!((found.unwrap() - exact).abs() <= exact.abs() * 0.010_000_1, "{found:?} for {exact}");
        }
        let sizes: f64 = sorted.iter().map(|number| number.abs()).sum();
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        prop_assert!((summary.mean.unwrap() - mean).abs() <= sizes * 1e-12, "{:?} for {mean}", summary.mean);
    }

    #[test]
    fn parts_in_any_order_give_the_same(mut texts in numbers(), cut in 0_usize..60, seed in any::<u64>()) {
        let whole = stats(&texts);
        // Another order, and two parts.
        texts.sort_by_key(|text| text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)));
        let (first, second) = texts.split_at(cut.min(texts.len()));
        let mut sum = stats(second);
        sum.merge(&stats(first));
        prop_assert_eq!(&sum, &whole);
        prop_assert_eq!(postcard::from_bytes::<Stats>(&postcard::to_stdvec(&sum).unwrap()).unwrap(), whole);
    }

    #[test]
    fn a_number_is_read_as_the_standard_library_and_the_scanner_do(text in "-?[0-9]{0,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{0,3})?") {
        let is_number = crate::data::json::is_number(text.as_bytes());
        let expected = text.parse::<f64>().ok().filter(|_| is_number);
        // Too small for an f64 is no number, but zero is one.
        let is_zero = text.split(['e', 'E']).next().is_some_and(|digits| !digits.contains(|c| ('1'..='9').contains(&c)));
        let expected = expected.filter(|value| value.is_finite() && (*value != 0.0 || is_zero));
        let found = Number::read(text.as_bytes());
        prop_assert_eq!(found.map(|number| number.value + 0.0), expected.map(|value| value + 0.0));
        if let Some(Number { mantissa, exponent, value }) = found {
            let kept: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
            prop_assert!((kept - value).abs() <= value.abs() * 1e-15, "{kept} {value}");
        }
    }
}

#[test]
fn decimals_add_up_exactly() {
    let texts: Vec<String> = ["0.1", "0.2", "-0.3", "1e15", "-1e15", "0.25"].map(String::from).to_vec();
    assert_eq!(stats(&texts).summary().mean, Some(0.25 / 6.0));
    let tenths = vec!["0.1".to_string(); 10];
    assert_eq!(stats(&tenths).summary().mean, Some(0.1));
}

#[test]
fn a_mean_is_finite_where_the_sum_is_not() {
    for number in ["1e308", "-1.5e308"] {
        let mean = stats(&vec![number.to_string(); 7]).summary().mean.unwrap();
        let expected: f64 = number.parse().unwrap();
        assert!((mean / expected - 1.0).abs() < 1e-15, "{mean}");
    }
    let both = ["1.7e308", "1.7e308", "1e-300"].map(String::from).to_vec();
    assert!((stats(&both).summary().mean.unwrap() / (1.7e308 / 3.0 * 2.0) - 1.0).abs() < 1e-15);
}

#[test]
fn extremes_stay_as_they_stand() {
    let texts = ["10.50", "10.5", "9007199254740993", "9007199254740992.5", "9007199254740992"].map(String::from);
    for texts in [texts.to_vec(), texts.iter().rev().cloned().collect()] {
        let summary = stats(&texts).summary();
        assert_eq!((summary.min.as_deref(), summary.max.as_deref()), (Some("10.5"), Some("9007199254740993")));
    }
}

#[test]
fn what_is_no_number_is_counted_apart() {
    let mut stats = Stats::default();
    for value in [Raw::Null, Raw::Text(b"12"), Raw::Text(b"12 ms"), Raw::Bool(true), Raw::Number(b"1e999")] {
        stats.add(&value);
    }
    let summary = stats.summary();
    assert_eq!((summary.count, summary.not_numbers, summary.min.as_deref()), (1, 3, Some("12")));
    let none = Stats::default().summary();
    assert_eq!((none.count, none.mean, none.quantiles, none.max), (0, None, [None; 3], None));
}
