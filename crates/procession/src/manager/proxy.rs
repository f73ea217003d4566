//! The far end of an object: calls go to the server, results come back.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use procession_os::Channel;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::link::{self, Link};
use crate::handle::{self, Descriptor};
use crate::wire::Fault;
use crate::{Error, ErrorKind};

/// What can live in a [`Manager`](crate::Manager). The macro [`managed!`](crate::managed) writes it for methods of a type.
pub trait Managed: Send + 'static {
    /// What a proxy sends.
    type Call: Serialize + DeserializeOwned + 'static;
    /// What it gets back.
    type Reply: Serialize + DeserializeOwned + 'static;

    /// Does what is asked. A panic is the caller's [`ErrorKind::Remote`]; the object stays as it is then.
    fn call(&mut self, call: Self::Call) -> Self::Reply;
}

/// What comes back for a call.
pub(super) type Reply<T> = Result<<T as Managed>::Reply, Fault>;

/// Stands for an object in a [`Manager`](crate::Manager), in any process.
///
/// Clones, and what arrives where it is sent, stand for the same object. Calls through one proxy wait for each other;
/// those through clones only while the object itself is busy.
pub struct Proxy<T> {
    door: Arc<Channel>,
    /// Opened with the first call.
    link: Mutex<Option<Link>>,
    object: PhantomData<fn() -> T>,
}

impl<T> Proxy<T> {
    pub(super) fn new(door: Channel) -> Proxy<T> {
        Proxy { door: Arc::new(door), link: Mutex::default(), object: PhantomData }
    }
}

impl<T: Managed> Proxy<T> {
    /// Calls the object, and waits for its reply.
    ///
    /// # Errors
    /// [`ErrorKind::Remote`] if the object panics, [`ErrorKind::EndOfStream`] if the server is gone,
    /// [`ErrorKind::BadArgument`] if the call or the reply cannot be encoded or decoded.
    pub fn call(&self, call: T::Call) -> Result<T::Reply, Error> {
        let mut link = link::lock(&self.link);
        let open = match link.take() {
            Some(link) => link,
            None => self.knock()?,
        };
        // What cannot be encoded is not sent: the link is as it was.
        let received = match open.send(call) {
            Ok(()) => open.receive::<Reply<T>>(None),
            Err(error) => Err(error),
        };
        if received.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::BadArgument) {
            *link = Some(open);
        }
        received.map_err(gone)?.map_err(refused)
    }

    fn knock(&self) -> Result<Link, Error> {
        let (ours, theirs) = Link::pair()?;
        let ours = ours.taking_turns();
        self.door.send(&[0], &[theirs.as_fd()]).map_err(|_| gone(Error::new(ErrorKind::EndOfStream, "")))?;
        Ok(ours)
    }
}

/// The error of a link, in the words of a manager.
pub(super) fn gone(error: Error) -> Error {
    if error.is_end_of_stream() || error.kind() == ErrorKind::Io {
        return Error::new(
            ErrorKind::EndOfStream,
            "failed to call an object of a manager: the manager's process has ended",
        );
    }
    error
}

/// The server's refusal as an error.
pub(super) fn refused(fault: Fault) -> Error {
    let kind = match &fault {
        Fault::BadArgument(_) | Fault::BadResult(_) => ErrorKind::BadArgument,
        Fault::Failed(_) | Fault::Passing(_) | Fault::Panicked { .. } => ErrorKind::Remote,
    };
    Error::new(kind, format!("failed to call an object of a manager: {}", crate::FailureKind::from(fault)))
}

impl<T> Clone for Proxy<T> {
    fn clone(&self) -> Proxy<T> {
        Proxy { door: Arc::clone(&self.door), link: Mutex::default(), object: PhantomData }
    }
}

impl<T> fmt::Debug for Proxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy<{}>", std::any::type_name::<T>())
    }
}

impl<T> Serialize for Proxy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let door = self.door.as_fd().try_clone_to_owned();
        let door = door.map_err(|e| S::Error::custom(handle::note(crate::error::describe(&e))))?;
        Descriptor::from(door).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Proxy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Proxy<T>, D::Error> {
        let door = Descriptor::deserialize(deserializer)?.into_fd().and_then(Channel::from_fd);
        let bad = |_| D::Error::custom(handle::note("what was passed is no proxy".to_string()));
        door.map(Proxy::new).map_err(bad)
    }
}

/// A call by the name of a method, as [`managed!`](crate::managed) makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodCall {
    /// The method.
    pub name: String,
    /// Its arguments, encoded as a tuple.
    #[serde(with = "crate::wire::byte_string")]
    pub arguments: Vec<u8>,
}

/// What a [`MethodCall`] comes to: the encoded result, or why there is none.
pub type MethodReply = Result<Vec<u8>, String>;

/// What the macro's code calls.
pub mod macros {
    use super::*;
    use crate::wire::{decode_shared, encode_shared};

    /// Calls a method through a proxy.
    pub fn call<T, A, R>(proxy: &Proxy<T>, name: &str, arguments: A) -> Result<R, Error>
    where
        T: Managed<Call = MethodCall, Reply = MethodReply>,
        A: Serialize,
        R: DeserializeOwned,
    {
        let bad = |what: &str, e: String| Error::new(ErrorKind::BadArgument, format!("failed to {what} `{name}`: {e}"));
        let arguments = encode(&arguments).map_err(|e| bad("encode the arguments of", e))?;
        let result = proxy.call(MethodCall { name: name.to_string(), arguments })?;
        let bytes = result.map_err(|e| bad("call", e))?;
        decode_shared(&bytes).map_err(|e| bad("decode the result of", e))
    }

    /// The arguments of a call.
    pub fn decode<A: DeserializeOwned>(arguments: &[u8]) -> Result<A, String> {
        decode_shared(arguments)
    }

    /// The result of a call.
    pub fn encode<R: Serialize>(result: &R) -> MethodReply {
        let (bytes, handles) = encode_shared(result)?;
        if handles.is_empty() {
            Ok(bytes)
        } else {
            Err("handles are no arguments and no results of managed! methods".into())
        }
    }
}

/// Makes methods of a type callable through a [`Proxy`](crate::Proxy): writes [`Managed`](crate::Managed) for the type, and
/// a trait with the same methods for its proxies. There each takes `&self` and returns a `Result`.
///
/// The methods are those that the type has, with `&self` or `&mut self`; arguments and results are what serde can encode.
/// See [`Manager::create`](crate::Manager::create) for an example.
#[macro_export]
macro_rules! managed {
    (
        $(#[$attribute:meta])*
        $visibility:vis trait $name:ident for $object:ty {
            $(
                $(#[$method_attribute:meta])*
                fn $method:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;
            )*
        }
    ) => {
        $(#[$attribute])*
        $visibility trait $name {
            $(
                $(#[$method_attribute])*
                fn $method(&self $(, $argument: $type)*) -> ::std::result::Result<($($result)?), $crate::Error>;
            )*
        }

        impl $name for $crate::Proxy<$object> {
            $(
                fn $method(&self $(, $argument: $type)*) -> ::std::result::Result<($($result)?), $crate::Error> {
                    $crate::__managed::call(self, stringify!($method), ($($argument,)*))
                }
            )*
        }

        impl $crate::Managed for $object {
            type Call = $crate::MethodCall;
            type Reply = $crate::MethodReply;

            fn call(&mut self, call: $crate::MethodCall) -> $crate::MethodReply {
                match call.name.as_str() {
                    $(
                        stringify!($method) => {
                            let ($($argument,)*): ($($type,)*) = $crate::__managed::decode(&call.arguments)?;
                            $crate::__managed::encode(&<$object>::$method(self $(, $argument)*))
                        }
                    )*
                    other => ::std::result::Result::Err(::std::format!("there is no method `{other}`")),
                }
            }
        }
    };
}
