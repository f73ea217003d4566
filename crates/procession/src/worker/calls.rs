//! The typed entries of calls, one for each kind of function that a pool takes.

use std::any::Any;

use procession_os::{Plain, Shim, WithContext};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tasks::{Item, Tasks};
use crate::TaskError;
use crate::panics::catch;
use crate::wire::{self, Fault, RecordKind};

/// `fn(A) -> R`
pub(crate) struct Run;
impl<A: DeserializeOwned + 'static, R: Serialize + 'static> Shim<Plain<A, R>> for Run {
    type Context = Tasks;
    fn run(function: Plain<A, R>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let result = (function.0)(tasks.argument(item)?);
            wire::encode(result, out).map_err(Fault::BadResult)
        });
    }
}

/// The fault of a function that returned this error.
fn returned<E: std::fmt::Display + 'static>(error: &E) -> Fault {
    let message = format!("{error:#}");
    match (error as &dyn Any).downcast_ref::<TaskError>() {
        Some(error) if error.is_retryable() => Fault::Passing(message),
        _ => Fault::Failed(message),
    }
}

/// `fn(A) -> Result<R, E>` whose error is the task's failure.
pub(crate) struct TryRun;
impl<A, R, E> Shim<Plain<A, Result<R, E>>> for TryRun
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: std::fmt::Display + 'static,
{
    type Context = Tasks;
    fn run(function: Plain<A, Result<R, E>>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| match (function.0)(tasks.argument(item)?) {
            Ok(result) => wire::encode(result, out).map_err(Fault::BadResult),
            Err(error) => Err(returned(&error)),
        });
    }
}

impl<C, A, R> Shim<WithContext<C, A, R>> for Run
where
    C: DeserializeOwned + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    type Context = Tasks;
    fn run(function: WithContext<C, A, R>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let context = tasks.context::<C>()?;
            let Some(context) = context.downcast_ref::<C>() else {
                return Err(Fault::BadArgument("its context has another type".to_string()));
            };
            let result = (function.0)(context, tasks.argument(item)?);
            wire::encode(result, out).map_err(Fault::BadResult)
        });
    }
}

impl<C, A, R, E> Shim<WithContext<C, A, Result<R, E>>> for TryRun
where
    C: DeserializeOwned + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: std::fmt::Display + 'static,
{
    type Context = Tasks;
    fn run(function: WithContext<C, A, Result<R, E>>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let context = tasks.context::<C>()?;
            let Some(context) = context.downcast_ref::<C>() else {
                return Err(Fault::BadArgument("its context has another type".to_string()));
            };
            match (function.0)(context, tasks.argument(item)?) {
                Ok(result) => wire::encode(result, out).map_err(Fault::BadResult),
                Err(error) => Err(returned(&error)),
            }
        });
    }
}

/// The initializer: keeps what it returns for the life of the worker.
pub(crate) struct Initialize;
impl<A, T> Shim<Plain<A, T>> for Initialize
where
    A: DeserializeOwned + 'static,
    T: Send + Sync + 'static,
{
    type Context = Tasks;
    fn run(function: Plain<A, T>, tasks: &mut Tasks) {
        match catch(|| Ok((function.0)(tasks.argument::<A>(Item::Whole)?))) {
            Ok(state) => tasks.state = Some(Box::leak(Box::new(state))),
            Err(fault) => tasks.publish_failure(RecordKind::NotReady, fault),
        }
    }
}
