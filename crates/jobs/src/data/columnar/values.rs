//! Writes single values of Arrow's arrays as text: numbers exactly, instants by RFC 3339, bytes in base64.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayAccessor, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};

use super::nested;
use crate::data::calendar::{write_day, write_instant, write_time};
use crate::data::digits::{pointed, shortest, shortest_of_32};
use crate::time::offset;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool(bool),
    /// A number of JSON.
    Number,
    Text,
    /// An array or an object of JSON.
    Nested,
}

/// Writes the value of a row behind what is there, and tells what it is.
pub type Write1<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Kind + 'a>;

/// The writer for the values of an array; `is_pointed` if whole numbers of floating point have a point.
///
/// # Errors
/// When its type has no text: intervals, unions, run ends, and what lies too deep.
pub fn writer(array: &dyn Array, is_pointed: bool) -> Result<Write1<'_>, String> {
    match array.data_type() {
        DataType::Float64 if is_pointed => Ok(unless_null(array, numbers::<Float64Type>(array, pointed))),
        _ => writer_at(array, 0),
    }
}

/// The same for an array that lies in so many others.
pub(super) fn writer_at(array: &dyn Array, depth: usize) -> Result<Write1<'_>, String> {
    let write: Write1<'_> = match array.data_type() {
        DataType::Null => return Ok(Box::new(|_, _| Kind::Null)),
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(|row, _| Kind::Bool(values.value(row)))
        }
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Float16 => numbers::<Float16Type>(array, |value| shortest_of_32(value.to_f32())),
        DataType::Float32 => numbers::<Float32Type>(array, shortest_of_32),
        DataType::Float64 => numbers::<Float64Type>(array, shortest),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            texts(move |row, out| write_day(days.value(row).into(), out))
        }
        DataType::Date64 => {
            let millis = array.as_primitive::<Date64Type>();
            texts(move |row, out| {
                let (day, rest) = parts(millis.value(row), 86_400_000);
                write_day(day, out);
                if rest != 0 {
                    out.push(b'T');
                    write_time(rest / 1000, (rest % 1000) as u32 * 1_000_000, out);
                }
            })
        }
        DataType::Timestamp(unit, zone) => {
            // The name of a place says nothing without tables of its clocks: the instant is shown in UTC.
            let offset = zone.as_ref().map(|zone| offset(zone.as_bytes()).unwrap_or(0));
            let (a_second, nanos) = scale_of(*unit);
            let value = longs(array, *unit, true);
            texts(move |row, out| {
                let (second, rest) = parts(value(row), a_second);
                write_instant(second, (rest * nanos) as u32, offset, out);
            })
        }
        DataType::Time32(unit) | DataType::Time64(unit) => {
            let (a_second, nanos) = scale_of(*unit);
            let value = longs(array, *unit, false);
            texts(move |row, out| {
                let time = value(row);
                // No time of day is below zero, but a file may say so.
                if time < 0 {
                    out.push(b'-');
                }
                let (second, rest) = parts(time.saturating_abs(), a_second);
                write_time(second, (rest * nanos) as u32, out);
            })
        }
        DataType::Utf8 => bytes(array.as_string::<i32>(), |text: &str, out| out.extend_from_slice(text.as_bytes())),
        DataType::LargeUtf8 => {
            bytes(array.as_string::<i64>(), |text: &str, out| out.extend_from_slice(text.as_bytes()))
        }
        DataType::Utf8View => bytes(array.as_string_view(), |text: &str, out| out.extend_from_slice(text.as_bytes())),
        DataType::Binary => bytes(array.as_binary::<i32>(), write_base64),
        DataType::LargeBinary => bytes(array.as_binary::<i64>(), write_base64),
        DataType::BinaryView => bytes(array.as_binary_view(), write_base64),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary(), write_base64),
        _ => nested::writer(array, depth)?,
    };
    Ok(unless_null(array, write))
}

fn unless_null<'a>(array: &dyn Array, write: Write1<'a>) -> Write1<'a> {
    let Some(nulls) = array.logical_nulls() else { return write };
    Box::new(move |row, out| if nulls.is_null(row) { Kind::Null } else { write(row, out) })
}

fn texts<'a>(write: impl Fn(usize, &mut Vec<u8>) + 'a) -> Write1<'a> {
    Box::new(move |row, out| {
        write(row, out);
        Kind::Text
    })
}

fn integers<T: ArrowPrimitiveType<Native: std::fmt::Display>>(array: &dyn Array) -> Write1<'_> {
    let values = array.as_primitive::<T>();
    Box::new(|row, out| {
        // Memory takes all that is written.
        let _ = write!(out, "{}", values.value(row));
        Kind::Number
    })
}

/// Numbers of floating point; what JSON has no number for (not a number, infinite) is text.
fn numbers<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, show: impl Fn(T::Native) -> String + 'a) -> Write1<'a> {
    let values = array.as_primitive::<T>();
    Box::new(move |row, out| {
        let text = show(values.value(row));
        out.extend_from_slice(text.as_bytes());
        let is_number = text.ends_with(|letter: char| letter.is_ascii_digit());
        if is_number { Kind::Number } else { Kind::Text }
    })
}

/// Decimals with all digits that their scale says, also zeros.
fn decimals<T: DecimalType>(array: &dyn Array, scale: i8) -> Write1<'_>
where
    T::Native: std::fmt::Display,
{
    let values = array.as_primitive::<T>();
    let places = usize::from(scale.max(0).unsigned_abs());
    let zeros = usize::from(scale.min(0).unsigned_abs());
    Box::new(move |row, out| {
        let text = values.value(row).to_string();
        let (sign, digits) = text.strip_prefix('-').map_or(("", &text[..]), |digits| ("-", digits));
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let point = if fraction.is_empty() { "" } else { "." };
        let zeros = if whole == "0" { 0 } else { zeros };
        let _ = write!(out, "{sign}{whole}{:0<zeros$}{point}{fraction}", "");
        Kind::Number
    })
}

/// Numbers of a unit of time, whatever their width.
fn longs(array: &dyn Array, unit: TimeUnit, is_instant: bool) -> Box<dyn Fn(usize) -> i64 + '_> {
    fn of<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &dyn Array) -> Box<dyn Fn(usize) -> i64 + '_> {
        let values = array.as_primitive::<T>();
        Box::new(|row| values.value(row).into())
    }
    match (is_instant, unit) {
        (true, TimeUnit::Second) => of::<TimestampSecondType>(array),
        (true, TimeUnit::Millisecond) => of::<TimestampMillisecondType>(array),
        (true, TimeUnit::Microsecond) => of::<TimestampMicrosecondType>(array),
        (true, TimeUnit::Nanosecond) => of::<TimestampNanosecondType>(array),
        (false, TimeUnit::Second) => of::<Time32SecondType>(array),
        (false, TimeUnit::Millisecond) => of::<Time32MillisecondType>(array),
        (false, TimeUnit::Microsecond) => of::<Time64MicrosecondType>(array),
        (false, TimeUnit::Nanosecond) => of::<Time64NanosecondType>(array),
    }
}

/// How many of a unit are a second, and how many nanoseconds it is.
fn scale_of(unit: TimeUnit) -> (i64, i64) {
    let a_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    (a_second, 1_000_000_000 / a_second)
}

fn parts(value: i64, whole: i64) -> (i64, i64) {
    (value.div_euclid(whole), value.rem_euclid(whole))
}

fn bytes<'a, A: ArrayAccessor + 'a>(array: A, write: fn(A::Item, &mut Vec<u8>)) -> Write1<'a> {
    texts(move |row, out| write(array.value(row), out))
}

/// Bytes as [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4) writes them.
fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let group =
            three.iter().fold(0_usize, |group, byte| group << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for n in 0..4 {
            out.push(if n <= three.len() { LETTERS[group >> (18 - 6 * n) & 63] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_below_zero_have_a_sign() {
        let times = arrow_array::Time64MicrosecondArray::from(vec![-1, 3_600_000_000, i64::MIN]);
        let write = writer(&times, false).unwrap();
        for (row, shown) in ["-00:00:00.000001", "01:00:00", "-2562047788:00:54.775807"].iter().enumerate() {
            let mut out = Vec::new();
            assert_eq!((write(row, &mut out), String::from_utf8(out).unwrap()), (Kind::Text, shown.to_string()));
        }
    }
}
