//! What expressions say of rows.

mod properties;

use super::*;

/// A row by the text of its fields: `null`, `true`, numbers and `'texts'` as in an expression, all else nested.
fn cell(text: &str) -> Cell<'_> {
    match text {
        "null" => Cell::Null,
        "true" => Cell::Bool(true),
        "false" => Cell::Bool(false),
        text if text.starts_with('\'') => Cell::Text(text.trim_matches('\'').into()),
        text if text.starts_with(['[', '{']) => Cell::Nested(text.into()),
        text => Cell::Number(text.into()),
    }
}

/// What an expression yields for a row, written as [`cell`] reads it, or the error.
fn eval(expression: &str, row: &[(&str, &str)]) -> Result<String, String> {
    let expr = Expr::parse(expression).unwrap_or_else(|error| panic!("{error}"));
    let find = |path: &FieldPath| row.iter().find(|(name, _)| *name == path.to_string());
    let row: Vec<Cell<'_>> = expr.fields().iter().map(|path| cell(find(path).expect("a field of the row").1)).collect();
    match expr.eval(&row).map_err(|error| error.to_string())? {
        Cell::Null => Ok("null".into()),
        Cell::Bool(value) => Ok(value.to_string()),
        Cell::Number(text) | Cell::Nested(text) => Ok(text.into()),
        Cell::Text(text) => Ok(format!("'{text}'")),
    }
}

/// Checks what an expression yields where fields are named by the row, and where constants stand in their places.
fn check(row: &[(&str, &str)], cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(eval(expression, row).as_deref(), Ok(*expected), "{expression}");
    }
}

const ROW: &[(&str, &str)] = &[
    ("n", "500"),
    ("t", "'500'"),
    ("word", "'abc'"),
    ("nothing", "null"),
    ("yes", "true"),
    ("no", "false"),
    ("list", "[1,2]"),
    ("host.name", "'web-1'"),
    ("big", "18446744073709551617"),
    ("long", "123456789012345678901234567890123456789012345678901"),
    ("cents", "1.50"),
    ("zip", "'007'"),
    ("zero", "0"),
    ("umlaut", "'Gr\u{f6}\u{df}e'"),
];

#[test]
fn nulls_are_unknown() {
    check(
        ROW,
        &[
            ("nothing = null", "null"),
            ("nothing = 1", "null"),
            ("nothing != 1", "null"),
            ("not nothing", "null"),
            ("nothing and yes", "null"),
            ("nothing and no", "false"),
            ("no and nothing", "false"),
            ("nothing or yes", "true"),
            ("nothing or no", "null"),
            ("nothing is null", "true"),
            ("nothing is not null", "false"),
            ("n is null", "false"),
            ("not n is null", "true"),
            ("nothing in (1, 2)", "null"),
            ("n in (1, nothing)", "null"),
            ("n in (500, nothing)", "true"),
            ("n not in (500, nothing)", "false"),
            ("n not in (1, nothing)", "null"),
            ("nothing =~ 'a'", "null"),
            ("nothing !~ 'a'", "null"),
            ("nothing like 'a'", "null"),
            ("nothing + 1", "null"),
            ("-nothing", "null"),
            ("nothing || 'a'", "null"),
        ],
    );
}

#[test]
fn numbers_are_compared_as_numbers() {
    check(
        ROW,
        &[
            ("n >= 500", "true"),
            ("n > 500.0", "false"),
            ("n = 5e2", "true"),
            ("t = 500", "true"),
            ("t < 1000", "true"),
            ("1000 > t", "true"),
            ("n = '500'", "true"),
            ("n < '1000'", "true"),
            ("t < '1000'", "false"),
            ("number(t) < number('1000')", "true"),
            ("word = 5", "false"),
            ("word != 5", "true"),
            ("word < 5", "null"),
            ("5 > word", "null"),
            ("list = 5", "false"),
            ("yes = 1", "false"),
            ("zip = 7", "true"),
            ("zip = '7'", "false"),
            ("cents = 1.5", "true"),
            ("big > 18446744073709551616", "true"),
            ("big = 18446744073709551617", "true"),
            ("long > 123456789012345678901234567890123456789012345678900", "true"),
            ("long = 123456789012345678901234567890123456789012345678901.0", "true"),
            ("long = '123456789012345678901234567890123456789012345678901'", "true"),
            ("-1 > long", "false"),
            ("n + 0 < long", "true"),
            ("1e1000000000000 > long", "true"),
            ("1e400 > 1e399", "true"),
            ("0.1 + 0.2 = 0.3", "true"),
            ("n != 500 or n <> 500", "false"),
            ("n == 500", "true"),
        ],
    );
}

#[test]
fn other_values_are_compared_as_texts() {
    check(
        ROW,
        &[
            ("word = 'abc'", "true"),
            ("word < \"abd\"", "true"),
            ("yes = true", "true"),
            ("yes = 'true'", "true"),
            ("'false' < yes", "true"),
            ("yes = 'x'", "false"),
            ("yes < 'x'", "null"),
            ("list = '[1,2]'", "true"),
            ("host.name like 'web-%'", "true"),
            ("host.name like 'web'", "false"),
            ("host.name like '_eb-_'", "true"),
            ("host.name not like '%x%'", "true"),
            ("host.name like 'w.*'", "false"),
            ("host.name =~ '^web-\\d+$'", "true"),
            ("host.name matches 'x'", "false"),
            ("host.name not matches 'x'", "true"),
            ("host.name !~ 'eb'", "false"),
            ("n =~ '^5'", "true"),
            ("n in (1, '500')", "true"),
            ("word not in ('x', 'y')", "true"),
        ],
    );
}

#[test]
fn calculates_exactly_while_it_can() {
    check(
        ROW,
        &[
            ("n + 1", "501"),
            ("t + 1", "501"),
            ("cents", "1.50"),
            ("1.50", "1.50"),
            ("cents + cents", "3"),
            ("cents * 1.1", "1.65"),
            ("0.1 + 0.2", "0.3"),
            ("n - 1 - 1", "498"),
            ("n / 2 / 2", "125"),
            ("n - (1 - 1)", "500"),
            ("(n - 1) * 2", "998"),
            ("n - 1 * 2", "498"),
            ("7 / 2", "3.5"),
            ("1 / 8", "0.125"),
            ("6 / 3", "2"),
            ("1 / 3", "0.3333333333333333"),
            ("-7 % 3", "-1"),
            ("7.5 % 2", "1.5"),
            ("-n", "-500"),
            ("- -n", "500"),
            ("--5", "5"),
            ("-0", "0"),
            ("2 - -3", "5"),
            ("big + 1", "18446744073709551618"),
            ("big * 10000000000", "184467440737095516170000000000"),
            ("big * big", "3.402823669209385e38"),
            ("12345678901234567890 * 100", "1234567890123456789000"),
            ("long * 2", "2.4691357802469138e50"),
            ("1e300 * 10", "1e301"),
            ("zero * 1e400", "0"),
            ("n + '1e2'", "600"),
            ("n || '!'", "'500!'"),
            ("cents || yes || list", "'1.50true[1,2]'"),
            ("1 + 2 || 'a'", "'3a'"),
        ],
    );
}

#[test]
fn rows_can_be_wrong() {
    for (expression, message) in [
        ("word + 1", "`+`: `abc` is not a number"),
        ("nothing + word", "`+`: `abc` is not a number"),
        ("yes * 2", "`*`: `true` is not a number"),
        ("-word", "`-`: `abc` is not a number"),
        ("n / zero", "`/`: `500` is divided by zero"),
        ("n % 0", "`%`: `500` is divided by zero"),
        ("1 / 0", "`/`: `1` is divided by zero"),
        ("1e999999 * 1e999999", "out of range"),
        ("1e400 + 1", "out of range"),
        ("n and yes", "`500` is neither true nor false"),
        ("not word", "`abc` is neither true nor false"),
        ("round(word)", "round: `abc` is not a number"),
        ("substr(word, 0)", "substr: places are counted from 1"),
        ("substr(word, 1, -1)", "substr: the length is less than 0"),
        ("substr(word, 1.5)", "substr: `1.5` is not a whole number"),
        ("split_part(word, 'b', 0)", "counted from 1"),
        ("max(1, word)", "max: `abc` is not to be compared"),
    ] {
        let error = eval(expression, ROW).expect_err(expression);
        assert!(error.contains(message), "{expression}: {error}");
    }
    // What is not needed is not wrong.
    check(ROW, &[("no and 1 / 0 = 1", "false"), ("if(yes, 1, 1 / 0)", "1"), ("coalesce(n, 1 / 0)", "500")]);
}

#[test]
fn functions() {
    check(
        ROW,
        &[
            ("length(umlaut)", "5"),
            ("length('')", "0"),
            ("length(nothing)", "null"),
            ("length(cents)", "4"),
            ("lower(umlaut) || upper(umlaut)", "'gr\u{f6}\u{df}eGR\u{d6}SSE'"),
            ("UPPER(word)", "'ABC'"),
            ("trim(' a b\u{a0}')", "'a b'"),
            ("substr('hello', 2)", "'ello'"),
            ("substr('hello', 2, 3)", "'ell'"),
            ("substr('hello', -3)", "'llo'"),
            ("substr('hello', -3, 2)", "'ll'"),
            ("substr('hello', -6, 2)", "'h'"),
            ("substr('hello', -9, 2)", "''"),
            ("substr('hello', -9)", "'hello'"),
            ("substr('hello', 9)", "''"),
            ("substr(umlaut, 3, 2)", "'\u{f6}\u{df}'"),
            ("substr(word, nothing)", "null"),
            ("substr(word, 1, nothing)", "null"),
            ("substr(word, 1, 9223372036854775807)", "'abc'"),
            ("substr(word, -9223372036854775808)", "'abc'"),
            ("replace(word, 'b', 'xx')", "'axxc'"),
            ("replace(word, '', 'xx')", "'abc'"),
            ("replace(word, 'b', nothing)", "null"),
            ("concat(word, nothing, n)", "'abc500'"),
            ("coalesce(nothing, word, n)", "'abc'"),
            ("coalesce(nothing)", "null"),
            ("if(n > 1, 'a', 'b')", "'a'"),
            ("if(nothing, 'a', 'b')", "'b'"),
            ("abs(-1.50)", "1.5"),
            ("round(2.5)", "3"),
            ("round(-2.5)", "-3"),
            ("round(2.4999)", "2"),
            ("round(2.345, 2)", "2.35"),
            ("round(1234, -2)", "1200"),
            ("round(50, -2)", "100"),
            ("round(49, -2)", "0"),
            ("round(1, -99)", "0"),
            ("round(n, nothing)", "null"),
            ("floor(-1.5)", "-2"),
            ("floor(1e-60)", "0"),
            ("floor(-1e-60)", "-1"),
            ("ceil(1e-60)", "1"),
            ("ceil(-1.5)", "-1"),
            ("min(3, nothing, cents, 2)", "1.50"),
            ("max(3, nothing, cents, '20')", "'20'"),
            ("max('b', 'a')", "'b'"),
            ("max(nothing)", "null"),
            ("number('1.50')", "1.50"),
            ("number('+007.')", "7"),
            ("number('.5e3')", "0.5e3"),
            ("number(zip)", "7"),
            ("number(word)", "null"),
            ("number(yes)", "null"),
            ("number(word) + 1", "null"),
            ("text(cents)", "'1.50'"),
            ("text(cents + 1)", "'2.5'"),
            ("text(list)", "'[1,2]'"),
            ("starts_with(word, 'ab')", "true"),
            ("ends_with(word, 'ab')", "false"),
            ("contains(list, 2)", "true"),
            ("contains(nothing, 2)", "null"),
            ("split_part('a,b,c', ',', 2)", "'b'"),
            ("split_part('a,b,c', ',', -1)", "'c'"),
            ("split_part('a,b,c', ',', 4)", "''"),
            ("split_part('a,b,c', '', 1)", "'a,b,c'"),
            ("regex_replace(host.name, '([a-z]+)-(?<n>\\d)', '${n}$1$$')", "'1web$'"),
            ("regex_replace('aaa', 'a', 'b')", "'bbb'"),
            ("regex_replace('abc', '', '-')", "'-a-b-c-'"),
            ("regex_replace(word, 'x', 'y')", "'abc'"),
            ("regex_replace(word, 'abc', '')", "''"),
            ("regex_extract(host.name, '[a-z]+')", "'web'"),
            ("regex_extract(host.name, '([a-z]+)-(\\d)', 2)", "'1'"),
            ("regex_extract(host.name, 'x')", "null"),
            ("regex_extract(nothing, 'x')", "null"),
        ],
    );
}

#[test]
fn fields_are_named_once_in_order() {
    let expr = Expr::parse("b.c = 1 and `a b` = a and b.c > `in`").unwrap();
    assert_eq!(expr.fields().iter().map(FieldPath::to_string).collect::<Vec<_>>(), ["b.c", "`a b`", "a", "in"]);
    assert_eq!(expr.fields()[3].parts(), ["in"]);
    assert!(Expr::parse("AND_ = 1 Or TRUE is Not NULL").is_ok());
}

#[test]
fn says_what_was_expected_and_where() {
    for (expression, position, message) in [
        ("", 1, "expected a value"),
        ("a =", 4, "expected a value"),
        ("a = )", 5, "expected a value"),
        ("(a", 3, "expected `)`"),
        ("a b", 3, "expected an operator"),
        ("a = 1)", 6, "expected an operator"),
        ("a < b < c", 7, "parentheses"),
        ("a is nul", 6, "expected `null`"),
        ("a not 1", 7, "expected `in`"),
        ("a in 1", 6, "expected `(`"),
        ("a in (1", 8, "expected `,` or `)`"),
        ("a = in", 5, "`in`, in backquotes"),
        ("a =~ b", 6, "a regex as a text"),
        ("a =~ '('", 6, "unclosed group at character 1"),
        ("a =~ 'x{1000}{1000}{1000}'", 6, "MiB"),
        ("regex_extract(a, 'x', 1)", 23, "number of a group"),
        ("foo(a)", 1, "expected one of the functions abs, "),
        ("round(a, 1, 2)", 1, "1 or 2 arguments"),
        ("if(a)", 1, "3 arguments"),
        ("coalesce()", 10, "expected a value"),
        ("a = not b", 5, "`not`, in backquotes"),
    ] {
        let error = Expr::parse(expression).expect_err(expression);
        assert_eq!(error.position(), position, "{expression}: {error}");
        assert!(error.message().contains(message), "{expression}: {error}");
    }
    assert_eq!(
        Expr::parse("\u{e4}\n= 'x' &").unwrap_err().to_string(),
        "expected `and` instead of `&` at character 9\n  \u{e4} = 'x' &\n          ^"
    );
}

#[test]
fn depth_is_bounded_and_length_is_not() {
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Expr::parse(&nested(199)).is_ok());
    for text in [
        nested(200),
        nested(100_000),
        "not ".repeat(100_000) + "a",
        "- ".repeat(100_000) + "a",
        "abs(".repeat(100_000),
        "a in (".repeat(100_000),
    ] {
        assert!(Expr::parse(&text).unwrap_err().message().contains("200"));
    }
    for operator in ["or", "and", "+", "*", "||"] {
        let expr = Expr::parse(&format!("a{}", format!(" {operator} a").repeat(20_000))).unwrap();
        assert!(expr.eval(&vec![Cell::Number("1".into())]).is_ok() || matches!(operator, "or" | "and"));
    }
    let deep = "if(a or b and c = d || e + f * g, 1, ".repeat(30) + "abs(" + &"(".repeat(160) + "a";
    let deep = format!("{deep}{})", ")".repeat(190));
    let expr = Expr::parse(&deep).unwrap();
    let row = vec![Cell::Null; 7];
    assert_eq!(expr.eval(&row).unwrap(), Cell::Null);
}

#[test]
fn texts_are_bounded() {
    let more = "a".repeat(10_000);
    let grow = |n: usize| "replace(".repeat(n) + "a" + &format!(", 'a', '{more}')").repeat(n);
    let row = vec![Cell::Text("a".into())];
    assert!(matches!(Expr::parse(&grow(1)).unwrap().eval(&row).unwrap(), Cell::Text(text) if text == more));
    for expression in [
        grow(100),
        format!("regex_replace(a, '.+', '{}')", "$0".repeat(10_000)),
        format!("concat({})", ["a"; 7_000].join(", ")),
        ["a"; 7_000].join("||"),
    ] {
        let error = Expr::parse(&expression).unwrap().eval(&vec![Cell::Text(more.as_str().into())]).unwrap_err();
        assert!(error.to_string().contains("64 MiB"), "{error}");
    }
}
