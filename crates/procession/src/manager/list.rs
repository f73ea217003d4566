//! A list in a manager.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::dict::mismatch;
use super::proxy::{Managed, Proxy};
use crate::Error;

/// The list itself.
pub(super) struct List<V>(pub Vec<V>);

/// What a proxy asks for.
#[derive(Serialize, Deserialize)]
pub(super) enum Call<V> {
    Push(V),
    Pop,
    Get(usize),
    Set(usize, V),
    Remove(usize),
    Extend(Vec<V>),
    ToVec,
    Len,
    Clear,
}

/// What it gets.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply<V> {
    Value(Option<V>),
    All(Vec<V>),
    Len(usize),
}

impl<V: Serialize + DeserializeOwned + Send + Clone + 'static> Managed for List<V> {
    type Call = Call<V>;
    type Reply = Reply<V>;

    fn call(&mut self, call: Call<V>) -> Reply<V> {
        match call {
            Call::Push(value) => {
                self.0.push(value);
                Reply::Len(self.0.len())
            }
            Call::Pop => Reply::Value(self.0.pop()),
            Call::Get(at) => Reply::Value(self.0.get(at).cloned()),
            Call::Set(at, value) => Reply::Value(self.0.get_mut(at).map(|old| std::mem::replace(old, value))),
            Call::Remove(at) => Reply::Value((at < self.0.len()).then(|| self.0.remove(at))),
            Call::Extend(values) => {
                self.0.extend(values);
                Reply::Len(self.0.len())
            }
            Call::ToVec => Reply::All(self.0.clone()),
            Call::Len => Reply::Len(self.0.len()),
            Call::Clear => {
                self.0.clear();
                Reply::Len(0)
            }
        }
    }
}

/// A list in a [`Manager`](crate::Manager): Python's `manager.list()`.
///
/// Each call is one round trip to the server, and atomic there; two calls are not. All calls have the errors of
/// [`Proxy::call`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct ListProxy<V>(pub(super) Proxy<List<V>>);

impl<V> Clone for ListProxy<V> {
    fn clone(&self) -> ListProxy<V> {
        ListProxy(self.0.clone())
    }
}

#[allow(clippy::missing_errors_doc, clippy::len_without_is_empty)]
impl<V: Serialize + DeserializeOwned + Send + Clone + 'static> ListProxy<V> {
    /// Puts `value` at the end: Python's `append`.
    pub fn push(&self, value: V) -> Result<(), Error> {
        self.0.call(Call::Push(value)).map(|_| ())
    }

    /// Takes out the last value.
    pub fn pop(&self) -> Result<Option<V>, Error> {
        self.value(Call::Pop)
    }

    /// A copy of the value at `index`; none behind the end.
    pub fn get(&self, index: usize) -> Result<Option<V>, Error> {
        self.value(Call::Get(index))
    }

    /// Replaces the value at `index` and returns the old one; none, and nothing is changed, behind the end.
    pub fn set(&self, index: usize, value: V) -> Result<Option<V>, Error> {
        self.value(Call::Set(index, value))
    }

    /// Takes out the value at `index`; none behind the end.
    pub fn remove(&self, index: usize) -> Result<Option<V>, Error> {
        self.value(Call::Remove(index))
    }

    /// Puts all values at the end at once.
    pub fn extend(&self, values: impl IntoIterator<Item = V>) -> Result<(), Error> {
        self.0.call(Call::Extend(values.into_iter().collect())).map(|_| ())
    }

    /// A copy of all values: Python's `list(proxy)`.
    pub fn to_vec(&self) -> Result<Vec<V>, Error> {
        match self.0.call(Call::ToVec)? {
            Reply::All(values) => Ok(values),
            _ => Err(mismatch()),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> Result<usize, Error> {
        match self.0.call(Call::Len)? {
            Reply::Len(len) => Ok(len),
            _ => Err(mismatch()),
        }
    }

    /// Takes out all values.
    pub fn clear(&self) -> Result<(), Error> {
        self.0.call(Call::Clear).map(|_| ())
    }

    fn value(&self, call: Call<V>) -> Result<Option<V>, Error> {
        match self.0.call(call)? {
            Reply::Value(value) => Ok(value),
            _ => Err(mismatch()),
        }
    }
}
