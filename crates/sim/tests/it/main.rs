//! The world as a whole: what it must conserve, and what pools do in it.

mod fleet;
mod incident;
mod onset;
mod ours;
mod repeatable;
mod short;
mod size;
mod utilisation;
mod visits;
