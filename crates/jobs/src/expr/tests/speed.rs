//! How many rows a second an expression takes.

use crate::data::{Cell, FieldPath};
use crate::expr::Expr;

/// Rows in a second, by expression: `cargo test --release -p procession-jobs --lib expr::tests::speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let row = [
        Cell::Number("503".into()),
        Cell::Text("error".into()),
        Cell::Text("GET /index.html?id=12345 HTTP/1.1".into()),
        Cell::Text("0.125".into()),
    ];
    for expression in [
        "a >= 500",
        "a >= 500.5",
        "b = 'error'",
        "b in ('warning', 'notice', 'error')",
        "a >= 500 and b = 'error'",
        "c =~ 'id=[0-9]+'",
        "c like '%id=12345%'",
        "a * 1.19 + 5",
        "a / 7",
        "d > 0.1",
        "upper(b) || ' ' || a",
        "substr(c, 5, 11)",
        "regex_extract(c, 'id=([0-9]+)', 1)",
    ] {
        // The fields of the row by their names.
        let expr = Expr::parse(expression).unwrap();
        let number = |path: &FieldPath| usize::from(path.to_string().as_bytes()[0] - b'a');
        let row: Vec<Cell<'_>> = expr.fields().iter().map(|path| row[number(path)].borrowed()).collect();
        let begin = std::time::Instant::now();
        let count = 1_000_000;
        for _ in 0..count {
            std::hint::black_box(expr.eval(std::hint::black_box(&row)).unwrap());
        }
        let nanoseconds = begin.elapsed().as_nanos() as f64 / f64::from(count);
        println!("{expression:<40} {nanoseconds:>7.1} ns {:>7.1} million rows/s", 1000.0 / nanoseconds);
    }
}
