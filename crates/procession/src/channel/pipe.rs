//! Two connected ends for whole messages: Python's `Pipe`.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::Error;

/// Two connected ends for messages: Python's `Pipe`.
///
/// Each end has one owner: it is sent to another process as an argument (or as part of one, or through another pipe),
/// and has left this one then. What an end has sent stays there to be received when it is closed or its process dies;
/// after that [`recv`](Receiver::recv) says so. Between them lies a socket pair of the kernel's (unix(7)): a sender waits
/// while that is full, which is at some 200 KiB.
///
/// A message may carry up to 250 handles: ends of other pipes, queues, locks...
///
/// # Examples
/// ```
/// use procession::{Connection, Pipe, Process};
///
/// fn square(end: Connection<u64, u64>) {
///     while let Ok(n) = end.recv() {
///         end.send(n * n).unwrap();
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let (ours, theirs) = Pipe::duplex()?;
///     let mut process = Process::spawn(square, theirs)?;
///     ours.send(7)?;
///     assert_eq!(ours.recv()?, 49);
///     ours.close();
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub enum Pipe {}

impl Pipe {
    /// Two ends that both send and receive: messages of type `A` go from the first to the second, of type `B` back.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create): those of socketpair(2).
    #[allow(clippy::type_complexity)]
    pub fn duplex<A, B>() -> Result<(Connection<A, B>, Connection<B, A>), Error> {
        let (a, b) = Link::pair()?;
        Ok((Connection { link: a, types: PhantomData }, Connection { link: b, types: PhantomData }))
    }

    /// An end that receives and one that sends: Python's `Pipe(duplex=False)`, in the same order.
    ///
    /// # Errors
    /// As [`Pipe::duplex`].
    pub fn one_way<T>() -> Result<(Receiver<T>, Sender<T>), Error> {
        let (a, b) = Link::pair()?;
        Ok((Receiver { link: a, types: PhantomData }, Sender { link: b, types: PhantomData }))
    }
}

/// An end of a [`Pipe`] that sends values of type `A` and receives values of type `B`.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Connection<A, B> {
    link: Link,
    #[serde(skip)]
    types: PhantomData<fn(A) -> B>,
}

/// The end of a [`Pipe`] that receives.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Receiver<T> {
    link: Link,
    #[serde(skip)]
    types: PhantomData<fn() -> T>,
}

/// The end of a [`Pipe`] that sends.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Sender<T> {
    link: Link,
    #[serde(skip)]
    types: PhantomData<fn(T)>,
}

/// What all ends have.
macro_rules! end {
    ($name:ident<$($type:ident),+>) => {
        impl<$($type),+> $name<$($type),+> {
            /// Closes this end, as dropping it does. The other one is told after it has received all that was sent.
            pub fn close(self) {}
        }

        /// The socket, to wait for several ends at once with poll(2). Bytes that others read from it or write to it are
        /// lost to the pipe.
        impl<$($type),+> AsFd for $name<$($type),+> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.link.as_fd()
            }
        }

        impl<$($type),+> fmt::Debug for $name<$($type),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("fd", &self.link.as_fd()).finish()
            }
        }
    };
}

/// What ends have that send values of type `$type`.
macro_rules! sends {
    ($name:ident<$($param:ident),+>, $type:ident) => {
        impl<$($param),+> $name<$($param),+> {
            /// Sends a message; waits while there is no room between the ends.
            ///
            /// # Errors
            /// [`EndOfStream`](crate::ErrorKind::EndOfStream) if the other end is closed (Python's `BrokenPipeError`),
            /// [`BadArgument`](crate::ErrorKind::BadArgument) if the value cannot be encoded, carries more than 250
            /// handles, or takes more than 16 GiB; [`Io`](crate::ErrorKind::Io) for what the system refuses (sendmsg(2)).
            pub fn send(&self, value: $type) -> Result<(), Error>
            where
                $type: Serialize + 'static,
            {
                self.link.send(value)
            }

            /// Sends bytes as one message, for [`recv_bytes`](Receiver::recv_bytes) or as an encoded value.
            ///
            /// # Errors
            /// As [`send`](Sender::send).
            pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
                self.link.send_bytes(bytes, &[])
            }
        }
    };
}

/// What ends have that receive values of type `$type`.
macro_rules! receives {
    ($name:ident<$($param:ident),+>, $type:ident) => {
        impl<$($param),+> $name<$($param),+> {
            /// Waits for the next message.
            ///
            /// # Errors
            /// [`EndOfStream`](crate::ErrorKind::EndOfStream) if the other end is closed and all was received (Python's
            /// `EOFError`), [`BadArgument`](crate::ErrorKind::BadArgument) if the message is no value of this type
            /// (the next one can be received), [`Io`](crate::ErrorKind::Io) if the other process was killed in the
            /// middle of a message, and for what the system refuses (recvmsg(2)).
            pub fn recv(&self) -> Result<$type, Error>
            where
                $type: DeserializeOwned + 'static,
            {
                self.link.receive(None)
            }

            /// Waits for the next message, at most for `timeout`. What has come of it by then is kept.
            ///
            /// # Errors
            /// [`Timeout`](crate::ErrorKind::Timeout), and as [`recv`](Receiver::recv).
            pub fn recv_timeout(&self, timeout: Duration) -> Result<$type, Error>
            where
                $type: DeserializeOwned + 'static,
            {
                self.link.receive(Some(timeout))
            }

            /// The bytes of the next message, as [`send_bytes`](Sender::send_bytes) has sent them. Handles that it
            /// carries are closed.
            ///
            /// # Errors
            /// As [`recv`](Receiver::recv).
            pub fn recv_bytes(&self) -> Result<Vec<u8>, Error> {
                Ok(self.link.receive_bytes(None)?.0)
            }

            /// Whether there is something to receive, be it the end; waits for it at most for `timeout`.
            ///
            /// # Errors
            /// [`Io`](crate::ErrorKind::Io): those of poll(2).
            pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
                self.link.poll(timeout)
            }
        }
    };
}

end!(Connection<A, B>);
end!(Receiver<T>);
end!(Sender<T>);
sends!(Connection<A, B>, A);
sends!(Sender<T>, T);
receives!(Connection<A, B>, B);
receives!(Receiver<T>, T);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn both_ends_send_and_receive() {
        let (a, b) = Pipe::duplex::<u64, String>().unwrap();
        a.send(7).unwrap();
        a.send(8).unwrap();
        b.send("seven".to_string()).unwrap();
        assert_eq!((b.recv().unwrap(), b.recv().unwrap(), a.recv().unwrap()), (7, 8, "seven".to_string()));
        assert!(!a.poll(Duration::ZERO).unwrap());
        assert_eq!(a.recv_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
        b.close();
        assert!(a.poll(Duration::MAX).unwrap() && a.recv_timeout(Duration::MAX).unwrap_err().is_end_of_stream());
        assert!(a.send(9).unwrap_err().is_end_of_stream());
    }

    #[test]
    fn the_end_comes_after_what_was_sent() {
        let (receiver, sender) = Pipe::one_way::<Vec<u8>>().unwrap();
        sender.send(Vec::new()).unwrap();
        sender.send_bytes(b"raw").unwrap();
        drop(sender);
        assert_eq!((receiver.recv_bytes().unwrap(), receiver.recv().unwrap()), (Vec::new(), b"raw".to_vec()));
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::EndOfStream);
    }

    #[test]
    fn a_message_of_another_type_costs_only_itself() {
        let (receiver, sender) = Pipe::one_way::<(u64, String)>().unwrap();
        sender.send_bytes(b"\xff").unwrap();
        sender.send((1, "x".to_string())).unwrap();
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::BadArgument);
        assert_eq!(receiver.recv().unwrap(), (1, "x".to_string()));
    }

    #[test]
    fn large_messages_stream() {
        let (receiver, sender) = Pipe::one_way::<Vec<u8>>().unwrap();
        let sent: Vec<u8> = (0..20_000_000u32).map(|n| (n >> 3) as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(sent.clone()).unwrap());
            assert!(receiver.recv().unwrap() == sent);
        });
    }

    #[test]
    fn ends_travel_through_pipes_and_leave() {
        let (receiver, sender) = Pipe::one_way::<(u8, Vec<Sender<String>>)>().unwrap();
        let (answers, theirs): (Vec<_>, Vec<_>) = (0..250).map(|_| Pipe::one_way::<String>().unwrap()).unzip();
        sender.send((1, theirs)).unwrap();
        let (_, theirs) = receiver.recv().unwrap();
        theirs.iter().enumerate().for_each(|(n, end)| end.send(n.to_string()).unwrap());
        drop(theirs);
        for (n, end) in answers.iter().enumerate() {
            assert_eq!(end.recv().unwrap(), n.to_string());
            assert!(end.recv().unwrap_err().is_end_of_stream(), "an end was left behind");
        }
        let too_many = (0..251).map(|_| Pipe::one_way().unwrap().1).collect();
        assert_eq!(sender.send((2, too_many)).unwrap_err().kind(), ErrorKind::BadArgument);
        sender.send((3, Vec::new())).unwrap();
        assert_eq!(receiver.recv().unwrap().0, 3);
    }

    #[test]
    fn other_descriptors_are_no_ends() {
        let (receiver, sender) = Pipe::one_way::<Sender<u8>>().unwrap();
        let sending = crate::handle::Sending::begin();
        let mut bytes = Vec::new();
        let file = crate::handle::Descriptor::from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().0));
        crate::wire::encode(file.clone(), &mut bytes).unwrap();
        drop(sending);
        sender.link.send_bytes(&bytes, &[file.as_fd()]).unwrap();
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::BadArgument);
    }
}
