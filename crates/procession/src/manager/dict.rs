//! A dictionary in a manager.

use std::collections::HashMap;
use std::hash::Hash;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proxy::{Managed, Proxy};
use crate::Error;

/// The dictionary itself.
pub(super) struct Dict<K, V>(HashMap<K, V>);

impl<K, V> Default for Dict<K, V> {
    fn default() -> Dict<K, V> {
        Dict(HashMap::new())
    }
}

/// What a proxy asks for.
#[derive(Serialize, Deserialize)]
pub(super) enum Call<K, V> {
    Get(K),
    Insert(K, V),
    GetOrInsert(K, V),
    Remove(K),
    Extend(Vec<(K, V)>),
    Items,
    Keys,
    Values,
    Len,
    Clear,
}

/// What it gets.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply<K, V> {
    Value(Option<V>),
    Items(Vec<(K, V)>),
    Keys(Vec<K>),
    Values(Vec<V>),
    Len(usize),
}

impl<K, V> Managed for Dict<K, V>
where
    K: Serialize + DeserializeOwned + Eq + Hash + Send + Clone + 'static,
    V: Serialize + DeserializeOwned + Send + Clone + 'static,
{
    type Call = Call<K, V>;
    type Reply = Reply<K, V>;

    fn call(&mut self, call: Call<K, V>) -> Reply<K, V> {
        match call {
            Call::Get(key) => Reply::Value(self.0.get(&key).cloned()),
            Call::Insert(key, value) => Reply::Value(self.0.insert(key, value)),
            Call::GetOrInsert(key, value) => Reply::Value(Some(self.0.entry(key).or_insert(value).clone())),
            Call::Remove(key) => Reply::Value(self.0.remove(&key)),
            Call::Extend(items) => {
                self.0.extend(items);
                Reply::Len(self.0.len())
            }
            Call::Items => Reply::Items(self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
            Call::Keys => Reply::Keys(self.0.keys().cloned().collect()),
            Call::Values => Reply::Values(self.0.values().cloned().collect()),
            Call::Len => Reply::Len(self.0.len()),
            Call::Clear => {
                self.0.clear();
                Reply::Len(0)
            }
        }
    }
}

/// A dictionary in a [`Manager`](crate::Manager): Python's `manager.dict()`. In no order.
///
/// Each call is one round trip to the server, and atomic there; two calls are not. All calls have the errors of
/// [`Proxy::call`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct DictProxy<K, V>(pub(super) Proxy<Dict<K, V>>);

impl<K, V> Clone for DictProxy<K, V> {
    fn clone(&self) -> DictProxy<K, V> {
        DictProxy(self.0.clone())
    }
}

#[allow(clippy::missing_errors_doc, clippy::len_without_is_empty)]
impl<K, V> DictProxy<K, V>
where
    K: Serialize + DeserializeOwned + Eq + Hash + Send + Clone + 'static,
    V: Serialize + DeserializeOwned + Send + Clone + 'static,
{
    /// A copy of the value under `key`.
    pub fn get(&self, key: K) -> Result<Option<V>, Error> {
        self.value(Call::Get(key))
    }

    /// Puts `value` under `key`; returns the one that was there.
    pub fn insert(&self, key: K, value: V) -> Result<Option<V>, Error> {
        self.value(Call::Insert(key, value))
    }

    /// The value under `key`; `value`, if there was none: Python's `setdefault`.
    pub fn get_or_insert(&self, key: K, value: V) -> Result<V, Error> {
        self.value(Call::GetOrInsert(key, value))?.ok_or_else(mismatch)
    }

    /// Takes out what is under `key`: Python's `pop`.
    pub fn remove(&self, key: K) -> Result<Option<V>, Error> {
        self.value(Call::Remove(key))
    }

    /// Puts in all items at once: Python's `update`.
    pub fn extend(&self, items: impl IntoIterator<Item = (K, V)>) -> Result<(), Error> {
        self.0.call(Call::Extend(items.into_iter().collect())).map(|_| ())
    }

    /// A copy of all items: Python's `dict(proxy)`.
    pub fn to_map(&self) -> Result<HashMap<K, V>, Error> {
        match self.0.call(Call::Items)? {
            Reply::Items(items) => Ok(items.into_iter().collect()),
            _ => Err(mismatch()),
        }
    }

    /// A copy of all keys.
    pub fn keys(&self) -> Result<Vec<K>, Error> {
        match self.0.call(Call::Keys)? {
            Reply::Keys(keys) => Ok(keys),
            _ => Err(mismatch()),
        }
    }

    /// A copy of all values.
    pub fn values(&self) -> Result<Vec<V>, Error> {
        match self.0.call(Call::Values)? {
            Reply::Values(values) => Ok(values),
            _ => Err(mismatch()),
        }
    }

    /// How many items there are.
    pub fn len(&self) -> Result<usize, Error> {
        match self.0.call(Call::Len)? {
            Reply::Len(len) => Ok(len),
            _ => Err(mismatch()),
        }
    }

    /// Takes out all items.
    pub fn clear(&self) -> Result<(), Error> {
        self.0.call(Call::Clear).map(|_| ())
    }

    fn value(&self, call: Call<K, V>) -> Result<Option<V>, Error> {
        match self.0.call(call)? {
            Reply::Value(value) => Ok(value),
            _ => Err(mismatch()),
        }
    }
}

/// The server has answered another question.
pub(super) fn mismatch() -> Error {
    Error::new(crate::ErrorKind::BadArgument, "failed to call an object of a manager: the reply is of another kind")
}
