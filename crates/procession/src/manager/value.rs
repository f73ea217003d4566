//! One value in a manager.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proxy::{Managed, Proxy};
use crate::Error;

/// The place of the value.
pub(super) struct Held<V>(pub V);

/// What a proxy asks for; it gets the value that was there.
#[derive(Serialize, Deserialize)]
pub(super) enum Call<V> {
    Get,
    Set(V),
}

impl<V: Serialize + DeserializeOwned + Send + Clone + 'static> Managed for Held<V> {
    type Call = Call<V>;
    type Reply = V;

    fn call(&mut self, call: Call<V>) -> V {
        match call {
            Call::Get => self.0.clone(),
            Call::Set(value) => std::mem::replace(&mut self.0, value),
        }
    }
}

/// One value of any type in a [`Manager`](crate::Manager): Python's `manager.Value()`.
///
/// All calls have the errors of [`Proxy::call`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct ValueProxy<V>(pub(super) Proxy<Held<V>>);

impl<V> Clone for ValueProxy<V> {
    fn clone(&self) -> ValueProxy<V> {
        ValueProxy(self.0.clone())
    }
}

#[allow(clippy::missing_errors_doc)]
impl<V: Serialize + DeserializeOwned + Send + Clone + 'static> ValueProxy<V> {
    /// A copy of the value.
    pub fn get(&self) -> Result<V, Error> {
        self.0.call(Call::Get)
    }

    /// Replaces the value; returns the old one.
    pub fn set(&self, value: V) -> Result<V, Error> {
        self.0.call(Call::Set(value))
    }
}
