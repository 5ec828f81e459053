//! The pool under one order of things after another: see docs/testing.md.

mod alarm;
mod crowd;
mod ends;
mod schedules;
mod taken_back;
mod threshold;
mod world;
