//! The process of a manager: one thread for its owner, one for the door of each object, one for each process that uses
//! the object.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use procession_os::{Call, Channel, Plain, Received, Shim};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proxy::{Managed, Reply};
use crate::ErrorKind;
use crate::channel::link::Link;
use crate::handle::{Descriptor, Handles};
use crate::panics::{catch, catch_panics};
use crate::wire::{self, Bytes, Fault};

/// Asks for an object.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    /// Entry and constructor.
    pub call: (u64, u64),
    #[serde(with = "crate::wire::byte_string")]
    pub argument: Vec<u8>,
    /// Where those who get a proxy of it will knock.
    pub door: Descriptor,
    pub handles: Handles,
}

/// What a constructor's entry needs, and gives.
pub(super) struct Making {
    argument: Vec<u8>,
    handles: Handles,
    door: Option<Channel>,
    result: Result<Option<JoinHandle<()>>, Fault>,
}

/// The entry of a constructor.
pub(super) struct Create;

impl<A: DeserializeOwned + 'static, T: Managed> Shim<Plain<A, T>> for Create {
    type Context = Making;

    fn run(constructor: Plain<A, T>, making: &mut Making) {
        let bytes = Bytes::Owned(std::mem::take(&mut making.argument));
        let fds = std::mem::take(&mut making.handles).into_iter().filter_map(|handle| handle.into_fd().ok()).collect();
        let made = catch(|| {
            let argument = wire::decode_argument(bytes, fds).map_err(Fault::BadArgument)?;
            Ok((constructor.0)(argument))
        });
        making.result = made.map(|object| {
            let door = making.door.take()?;
            let object = Arc::new(Mutex::new(object));
            Builder::new().name("object".to_string()).spawn(move || answer_door(&door, &object)).ok()
        });
    }
}

/// Serves until the manager and all proxies are gone.
pub(super) fn serve(control: Link) {
    catch_panics();
    let mut objects = Vec::new();
    loop {
        objects.retain(|object: &JoinHandle<()>| !object.is_finished());
        let made = match control.receive::<Request>(None) {
            Ok(request) => make(request).map(|object| objects.extend(object)),
            // Its door has not arrived, perhaps.
            Err(error) if error.kind() == ErrorKind::BadArgument => Err(Fault::BadArgument(error.to_string())),
            Err(_) => break,
        };
        if control.send(made).is_err() {
            break;
        }
    }
    // Who asks for more is not left waiting for those who use what there is.
    drop(control);
    for object in objects {
        let _ = object.join();
    }
}

fn make(request: Request) -> Result<Option<JoinHandle<()>>, Fault> {
    let bad = |what: &str| Fault::BadArgument(what.to_string());
    let door = request.door.into_fd().and_then(Channel::from_fd).map_err(|_| bad("its door is no socket"))?;
    let call = Call::<Making>::from_raw(request.call).map_err(|_| bad("it names no constructor of this program"))?;
    let (argument, handles) = (request.argument, request.handles);
    let mut making = Making { argument, handles, door: Some(door), result: Ok(None) };
    call.run(&mut making);
    match making.result? {
        Some(thread) => Ok(Some(thread)),
        None => Err(Fault::Failed("the manager's process cannot start another thread".to_string())),
    }
}

/// Lets in those who have a proxy of `object`, until none is left.
fn answer_door<T: Managed>(door: &Channel, object: &Arc<Mutex<T>>) {
    let mut visits: Vec<JoinHandle<()>> = Vec::new();
    while procession_os::readable(door, None).is_ok() {
        match door.receive() {
            Ok(Received::Message(_, fds)) => {
                visits.retain(|visit| !visit.is_finished());
                for link in fds.into_iter().filter_map(|fd| Link::from_fd(fd).ok()) {
                    let object = Arc::clone(object);
                    let visit = Builder::new().name("visit".to_string());
                    let visit = visit.spawn(move || answer(&link.taking_turns(), &object));
                    // Without a thread the link is closed, which the visitor sees.
                    visits.extend(visit);
                }
            }
            Ok(Received::Empty) => {}
            // Somebody has sent what is no knock; the others have done nothing.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {}
            Ok(Received::Closed) | Err(_) => break,
        }
    }
    for visit in visits {
        let _ = visit.join();
    }
}

/// Answers the calls of one visitor.
fn answer<T: Managed>(link: &Link, object: &Mutex<T>) {
    loop {
        let received = catch(|| Ok(link.receive::<T::Call>(None)));
        let reply: Reply<T> = match received {
            // What an earlier call has left behind when it panicked is what there is.
            Ok(Ok(call)) => catch(|| Ok(object.lock().unwrap_or_else(PoisonError::into_inner).call(call))),
            Ok(Err(error)) if error.kind() == ErrorKind::BadArgument => Err(Fault::BadArgument(error.to_string())),
            Ok(Err(_)) => return,
            Err(fault) => Err(fault),
        };
        let sent = match catch_unwind(AssertUnwindSafe(|| link.send(reply))) {
            Ok(Err(error)) if error.kind() == ErrorKind::BadArgument => {
                link.send::<Reply<T>>(Err(Fault::BadResult(error.to_string())))
            }
            Ok(sent) => sent,
            Err(_) => link.send::<Reply<T>>(Err(Fault::BadResult("encoding it panicked".to_string()))),
        };
        if sent.is_err() {
            return;
        }
    }
}
