//! Pools behind HTTP on loopback: the app that is asked, and who asks it.

mod app;
mod line;
mod site;

pub(crate) use app::App;
pub(crate) use line::Line;
pub(crate) use site::Site;
