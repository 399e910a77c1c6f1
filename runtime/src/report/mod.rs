//! Everything a user sees is an event. Writers of events know no reader; progress lines, the JSON-lines file and the
//! HTML report are readers.

pub mod event;
pub mod graph;
pub mod html;
pub mod jsonl;
pub mod progress;
mod svg;
pub mod sweep;

pub use event::{Event, Events, Reader};
