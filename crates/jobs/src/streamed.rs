//! JSON that is made while it is written: a result may have a row for each of a million files.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A value of JSON, of which rows do not exist before they are written.
///
/// # Examples
/// ```
/// use procession_jobs::Streamed;
///
/// let rows = Streamed::rows(|| (0..3).map(|n| n.into()));
/// let object = Streamed::Object(vec![("rows", rows), ("count", Streamed::Value(3.into()))]);
/// assert_eq!(serde_json::to_string(&object)?, r#"{"rows":[0,1,2],"count":3}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub enum Streamed<'a> {
    /// What is small.
    Value(Value),
    /// Members in their order.
    Object(Vec<(&'static str, Streamed<'a>)>),
    /// The elements of an array, made each time that they are written.
    Rows(Box<MakeRows<'a>>),
}

/// Makes the elements of an array.
pub type MakeRows<'a> = dyn Fn() -> Box<dyn Iterator<Item = Value> + 'a> + 'a;

impl<'a> Streamed<'a> {
    /// An array of what an iterator gives.
    pub fn rows<R: Iterator<Item = Value> + 'a>(make: impl Fn() -> R + 'a) -> Streamed<'a> {
        Streamed::Rows(Box::new(move || Box::new(make())))
    }

    /// The same as one value in memory.
    pub fn to_value(&self) -> Value {
        match self {
            Streamed::Value(value) => value.clone(),
            Streamed::Object(members) => {
                members.iter().map(|(name, member)| (name.to_string(), member.to_value())).collect()
            }
            Streamed::Rows(make) => make().collect(),
        }
    }
}

impl From<Value> for Streamed<'_> {
    fn from(value: Value) -> Self {
        Streamed::Value(value)
    }
}

impl Serialize for Streamed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Streamed::Value(value) => value.serialize(serializer),
            Streamed::Object(members) => serializer.collect_map(members.iter().map(|(name, member)| (name, member))),
            Streamed::Rows(make) => serializer.collect_seq(make()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_written_as_the_value_is() {
        let rows = |count: usize| Streamed::rows(move || (0..count).map(|n| json!({"n": n, "t": "\u{9b}\""})));
        for streamed in [
            rows(0),
            rows(2),
            // Nobody knows before how many there are.
            Streamed::rows(|| (0..9).filter(|_| false).map(Value::from)),
            Streamed::Object(Vec::new()),
            Streamed::Object(vec![
                ("z", rows(1)),
                ("a", json!(1.5).into()),
                ("m", Streamed::Object(vec![("x", rows(0))])),
            ]),
        ] {
            let value = streamed.to_value();
            assert_eq!(serde_json::to_string_pretty(&streamed).unwrap(), serde_json::to_string_pretty(&value).unwrap());
            assert_eq!(serde_json::to_string(&streamed).unwrap(), value.to_string());
        }
    }
}
