//! The built binary, as its users meet it.

mod columns;
mod common;
mod crashes;
mod early;
mod fields;
mod flags;
mod hash;
mod journal;
mod logs;
mod output;
mod sandbox;
mod signals;
mod transform;
