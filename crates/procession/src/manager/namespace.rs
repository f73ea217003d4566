//! Named values of different types in a manager.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proxy::{Managed, Proxy};
use crate::wire;
use crate::{Error, ErrorKind};

/// The values, encoded: only those who use them know their types.
#[derive(Default)]
pub(super) struct Namespace(BTreeMap<String, Vec<u8>>);

/// What a proxy asks for.
#[derive(Serialize, Deserialize)]
pub(super) enum Call {
    Get(String),
    Set(String, #[serde(with = "crate::wire::byte_string")] Vec<u8>),
    Remove(String),
    Names,
}

/// What it gets.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Value(Option<Vec<u8>>),
    Names(Vec<String>),
}

impl Managed for Namespace {
    type Call = Call;
    type Reply = Reply;

    fn call(&mut self, call: Call) -> Reply {
        match call {
            Call::Get(name) => Reply::Value(self.0.get(&name).cloned()),
            Call::Set(name, value) => Reply::Value(self.0.insert(name, value)),
            Call::Remove(name) => Reply::Value(self.0.remove(&name)),
            Call::Names => Reply::Names(self.0.keys().cloned().collect()),
        }
    }
}

/// Named values in a [`Manager`](crate::Manager), each of a type of its own: Python's `Namespace`.
///
/// All calls have the errors of [`Proxy::call`].
///
/// # Examples
/// ```
/// # procession::init();
/// let manager = procession::Manager::new()?;
/// let namespace = manager.namespace()?;
/// namespace.set("limit", &10_u32)?;
/// namespace.set("hosts", &vec!["a", "b"])?;
/// assert_eq!(namespace.get::<u32>("limit")?, Some(10));
/// assert_eq!(namespace.get::<Vec<String>>("hosts")?, Some(vec!["a".to_string(), "b".to_string()]));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamespaceProxy(pub(super) Proxy<Namespace>);

#[allow(clippy::missing_errors_doc)]
impl NamespaceProxy {
    /// A copy of the value with that name. What was set as another type is an error, or, if its bytes fit, another value.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>, Error> {
        let Reply::Value(bytes) = self.0.call(Call::Get(name.to_string()))? else {
            return Err(super::dict::mismatch());
        };
        let value = bytes.map(|bytes| wire::decode_shared(&bytes)).transpose();
        value.map_err(|e| bad(&format!("decode `{name}`"), &e))
    }

    /// Sets the value with that name.
    pub fn set<V: Serialize>(&self, name: &str, value: &V) -> Result<(), Error> {
        let (bytes, handles) = wire::encode_shared(value).map_err(|e| bad(&format!("encode `{name}`"), &e))?;
        if !handles.is_empty() {
            return Err(bad(&format!("encode `{name}`"), "a namespace holds no handles"));
        }
        self.0.call(Call::Set(name.to_string(), bytes)).map(|_| ())
    }

    /// Takes the value with that name out; false if there was none.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        Ok(matches!(self.0.call(Call::Remove(name.to_string()))?, Reply::Value(Some(_))))
    }

    /// All names, sorted.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        match self.0.call(Call::Names)? {
            Reply::Names(names) => Ok(names),
            Reply::Value(_) => Err(super::dict::mismatch()),
        }
    }
}

fn bad(what: &str, cause: &str) -> Error {
    Error::new(ErrorKind::BadArgument, format!("failed to {what} of a namespace: {cause}"))
}
