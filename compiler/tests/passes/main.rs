//! The passes: gradients against finite differences, every form of a program against the interpreter, schedules run step
//! by step, and the text before and after each pass.

mod executor;
mod gradients;
mod models;
mod orders;
mod random;
mod scale;
mod schedules;
mod snapshots;
mod world;
