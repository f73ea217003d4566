//! Objects that live in a process of their own and are used through proxies: Python's `Manager`.

mod dict;
mod list;
mod namespace;
mod proxy;
pub(crate) mod server;
mod value;

use std::sync::Mutex;

use procession_os::{Call, Channel, OutsideImage, Plain};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use dict::DictProxy;
pub use list::ListProxy;
pub use namespace::NamespaceProxy;
#[doc(hidden)]
pub use proxy::macros;
pub use proxy::{Managed, MethodCall, MethodReply, Proxy};
pub use value::ValueProxy;

use self::server::{Create, Making, Request};
use crate::channel::link::{self, Link};
use crate::wire::{self, Fault};
use crate::{Error, ErrorKind, Event, Lock, Process, Queue, init};

/// A server process that holds objects, for use by any number of processes through proxies: Python's `Manager`.
///
/// A proxy travels as an argument of a [`Process`] or of a [`Pool`](crate::Pool)'s task, or through a
/// [`Pipe`](crate::Pipe). An object lives as long as a proxy of it is left anywhere, and the server as long as the
/// `Manager` or an object: a process that is killed leaves nothing behind. Calls of one object run one at a time.
///
/// There is no address and no password: a proxy holds a socket that leads to its object, so nobody can connect who was not
/// given one (unix(7), SCM_RIGHTS). What a proxy sends is plain data; which functions run is decided by the program that
/// made the object.
///
/// For numbers and arrays use [`Value`](crate::Value) and [`Array`](crate::Array), for messages [`Queue`](crate::Queue), for
/// locks [`Lock`](crate::Lock) and its like: they need no server, travel as proxies do, and are many times faster.
///
/// # Examples
/// ```
/// use procession::{DictProxy, Manager, Process};
///
/// fn work((dict, name): (DictProxy<String, String>, String)) {
///     dict.insert(name.clone(), format!("{name} was here")).unwrap();
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let manager = Manager::new()?;
///     let dict = manager.dict()?;
///     for n in 0..2 {
///         Process::spawn(work, (dict.clone(), format!("worker {n}")))?.join()?;
///     }
///     assert_eq!(dict.len()?, 2);
///     assert_eq!(dict.get("worker 1".to_string())?, Some("worker 1 was here".to_string()));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Manager {
    control: Mutex<Link>,
    process: Option<Process>,
}

impl Manager {
    /// Starts a server without objects.
    ///
    /// # Errors
    /// [`ErrorKind::NotInitialized`], or [`ErrorKind::Start`] or [`ErrorKind::Create`] when the system has no room for it.
    pub fn new() -> Result<Manager, Error> {
        init::check()?;
        let (ours, theirs) = Link::pair()?;
        let process = Process::builder().name("manager").spawn(server::serve, theirs)?;
        Ok(Manager { control: Mutex::new(ours), process: Some(process) })
    }

    /// Makes an object in the server: what `constructor` returns there for `argument`.
    ///
    /// # Errors
    /// [`ErrorKind::Remote`] if the constructor panics, [`ErrorKind::OutsideImage`] and [`ErrorKind::BadArgument`] as for
    /// [`Process::spawn`], [`ErrorKind::EndOfStream`] if the server is gone.
    ///
    /// # Examples
    /// ```
    /// use procession::{Manager, managed};
    ///
    /// struct Counter(i64);
    ///
    /// impl Counter {
    ///     fn add(&mut self, n: i64) -> i64 {
    ///         self.0 += n;
    ///         self.0
    ///     }
    /// }
    ///
    /// managed! {
    ///     /// What proxies of a counter can do.
    ///     trait CounterCalls for Counter {
    ///         /// Adds to it; returns the sum.
    ///         fn add(n: i64) -> i64;
    ///     }
    /// }
    ///
    /// # procession::init();
    /// let manager = Manager::new()?;
    /// let counter = manager.create(Counter, 40)?;
    /// counter.add(1)?;
    /// assert_eq!(counter.clone().add(1)?, 42);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create<T: Managed, A>(&self, constructor: fn(A) -> T, argument: A) -> Result<Proxy<T>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        let call =
            Call::<Making>::new::<Create, _>(Plain(constructor)).map_err(|OutsideImage| Error::outside_image())?;
        let (ours, theirs) = Channel::pair().map_err(|e| Error::create("an object of a manager", e))?;
        let mut bytes = Vec::new();
        let handles = wire::encode_argument(argument, &mut bytes).map_err(|e| {
            Error::new(ErrorKind::BadArgument, format!("failed to encode what an object is made of: {e}"))
        })?;
        let request = Request { call: call.to_raw(), argument: bytes, door: theirs.into_fd().into(), handles };
        // One at a time: the next reply is ours.
        let control = link::lock(&self.control);
        let made = control.send(request).and_then(|()| control.receive::<Result<(), Fault>>(None));
        made.map_err(proxy::gone)?.map_err(proxy::refused)?;
        Ok(Proxy::new(ours))
    }

    /// Makes an empty dictionary.
    ///
    /// # Errors
    /// As [`Manager::create`].
    pub fn dict<K, V>(&self) -> Result<DictProxy<K, V>, Error>
    where
        K: Serialize + DeserializeOwned + Eq + std::hash::Hash + Send + Clone + 'static,
        V: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        self.create(|()| dict::Dict::default(), ()).map(DictProxy)
    }

    /// Makes a list of what `items` has.
    ///
    /// # Errors
    /// As [`Manager::create`].
    pub fn list<V>(&self, items: impl IntoIterator<Item = V>) -> Result<ListProxy<V>, Error>
    where
        V: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        self.create(list::List, items.into_iter().collect()).map(ListProxy)
    }

    /// Makes a place for one value.
    ///
    /// # Errors
    /// As [`Manager::create`].
    pub fn value<V>(&self, value: V) -> Result<ValueProxy<V>, Error>
    where
        V: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        self.create(value::Held, value).map(ValueProxy)
    }

    /// Makes an empty set of named values, each of a type of its own.
    ///
    /// # Errors
    /// As [`Manager::create`].
    pub fn namespace(&self) -> Result<NamespaceProxy, Error> {
        self.create(|()| namespace::Namespace::default(), ()).map(NamespaceProxy)
    }

    /// Makes a [`Queue`] of any length. As locks and events it lives in shared memory and not in the server: it needs none to
    /// be sent, used, and left by those who are killed.
    ///
    /// # Errors
    /// As [`Queue::unbounded`].
    pub fn queue<T>(&self) -> Result<Queue<T>, Error>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Queue::unbounded()
    }

    /// Makes a [`Lock`], in shared memory.
    ///
    /// # Errors
    /// As [`Lock::new`].
    pub fn lock(&self) -> Result<Lock, Error> {
        Lock::new()
    }

    /// Makes an [`Event`], in shared memory.
    ///
    /// # Errors
    /// As [`Event::new`].
    pub fn event(&self) -> Result<Event, Error> {
        Event::new()
    }

    /// Ends the server, and waits until it has ended: calls that run or come fail. Dropping the manager instead lets it
    /// serve those who still use it.
    pub fn shutdown(mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            let _ = process.join();
        }
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        link::lock(&self.control).finish();
        // It ends with its last object, which nobody should have to wait for.
        if let Some(mut process) = self.process.take() {
            let waiter = std::thread::Builder::new().name("manager-end".to_string());
            let _ = waiter.spawn(move || process.join().map(|_| ()));
        }
    }
}
